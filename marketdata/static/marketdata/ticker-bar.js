// <ticker-bar data-part="price|stats">: the last price with the change of 24 hours, or high, low and volume.
// The part with the price also names the browser's tab and tells a screen reader the price, seldom.

import { group, percent } from "../trading/format.js";
import { market } from "./market.js";
import { ticker } from "./ticker.js";

const SPOKEN_MS = 15_000;
const TITLE_MS = 1_000;
const NOTHING = "\u2013";
const STATES = { post_only: "post only", cancel_only: "cancel only", halted: "halted" };

/** A volume of any size in few characters: "1,234.5", "12.3 K", "4.56 M". */
export function compact(text) {
  const value = Number(text);
  const [divisor, unit] = value >= 1e9 ? [1e9, "B"] : value >= 1e6 ? [1e6, "M"] : value >= 1e5 ? [1e3, "K"] : [1, ""];
  const scaled = value / divisor;
  const digits = scaled >= 1000 ? 0 : scaled >= 100 ? 1 : scaled >= 1 ? 2 : 4;
  return group(scaled.toFixed(digits)) + (unit && `\u2009${unit}`);
}

/** The class that gives a signed decimal text its colour and arrow. */
export function directionOf(text) {
  const value = Number(text ?? 0);
  return value > 0 ? "rises" : value < 0 ? "falls" : "";
}

class TickerBar extends HTMLElement {
  #cells = {};
  #spoken = null;
  #spokenAt = -Infinity;
  #titleAt = -Infinity;

  connectedCallback() {
    if (this.dataset.part === "price") this.#buildPrice();
    else this.#buildStats();
    ticker.addEventListener("change", () => this.#draw());
    this.#draw();
  }

  #buildPrice() {
    this.replaceChildren(this.#cell("last", "strong"), this.#cell("change", "span"), this.#cell("state", "span"));
    this.#cells.last.classList.add("live-data");
    this.#cells.change.classList.add("live-data");
    this.#cells.state.classList.add("badge", "warn");
    this.#cells.state.hidden = true;
    this.#spoken = document.createElement("p");
    this.#spoken.className = "visually-hidden";
    this.#spoken.setAttribute("aria-live", "polite");
    this.append(this.#spoken);
  }

  #buildStats() {
    const list = document.createElement("dl");
    for (const [name, label] of [
      ["high", "24h high"],
      ["low", "24h low"],
      ["volume", `24h vol, ${market.base}`],
      ["quote_volume", `24h vol, ${market.quote}`],
    ]) {
      const term = document.createElement("dt");
      term.textContent = label;
      const pair = document.createElement("div");
      pair.className = name.replace("_", "-");
      pair.append(term, this.#cell(name, "dd"));
      this.#cells[name].classList.add("live-data");
      list.append(pair);
    }
    this.replaceChildren(list);
  }

  #cell(name, tag) {
    const cell = document.createElement(tag);
    cell.className = `number ${name}`;
    cell.textContent = name === "state" ? "" : NOTHING;
    this.#cells[name] = cell;
    return cell;
  }

  #draw() {
    const now = ticker.now;
    if (!now) return;
    if (this.#spoken) this.#drawPrice(now);
    else {
      for (const name of ["high", "low"]) put(this.#cells[name], now[name] === null ? NOTHING : group(now[name]));
      for (const name of ["volume", "quote_volume"]) put(this.#cells[name], compact(now[name]));
    }
  }

  #drawPrice(now) {
    const { last, change, state } = this.#cells;
    put(last, now.last === null ? NOTHING : group(now.last));
    last.dataset.direction = ticker.direction;
    put(change, percent(now.change_rate));
    change.className = `number change live-data ${directionOf(now.change)}`;
    put(state, STATES[now.state] ?? "");
    state.hidden = !STATES[now.state];
    this.#tell(now);
  }

  #tell({ last, change_rate }) {
    const now = performance.now();
    if (last === null) return;
    if (now - this.#titleAt > TITLE_MS) {
      this.#titleAt = now;
      document.title = `${group(last)} ${market.market} \u00b7 Bourse`;
    }
    if (now - this.#spokenAt > SPOKEN_MS) {
      this.#spokenAt = now;
      put(this.#spoken, `Last price ${last} ${market.quote}, ${percent(change_rate)} in 24 hours.`);
    }
  }
}

/** Set an element's text if it is another one. */
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

customElements.define("ticker-bar", TickerBar);
