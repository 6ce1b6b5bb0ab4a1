// <markets-table>: keeps the front page's table current. The server has drawn it; cells are rewritten as tickers come.

import { feed } from "../marketdata/feed.js";
import { group, percent } from "./format.js";

const NOTHING = "\u2013";

class MarketsTable extends HTMLElement {
  connectedCallback() {
    for (const row of this.querySelectorAll("tr[data-market]")) {
      const cells = {};
      for (const cell of row.querySelectorAll("[data-cell]")) cells[cell.dataset.cell] = cell.firstElementChild ?? cell;
      feed.subscribe(`ticker.${row.dataset.market}`, (message) => {
        if (message.type === "snapshot") draw(row, cells, message);
      });
    }
  }
}

function draw(row, cells, { last, high, low, volume, change_rate: rate }) {
  put(cells.last, last === null ? NOTHING : group(last));
  put(cells.change, percent(rate));
  put(cells.high, high === null ? NOTHING : group(high));
  put(cells.low, low === null ? NOTHING : group(low));
  put(cells.volume, group(volume));
  const direction = !rate || /^-?[0.]+$/.test(rate) ? "" : rate.startsWith("-") ? "falls" : "rises";
  cells.change.className = direction;
  row.querySelector(".spark")?.setAttribute("class", `spark ${direction}`);
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

customElements.define("markets-table", MarketsTable);
