// The Balances tab: what the account has of each asset and what that is worth in USDT at the last prices.

import { feed } from "../marketdata/feed.js";
import { compareDecimals, group, multiplyDecimals, withDecimals } from "../trading/format.js";
import { account } from "./account.js";
import { make, setText } from "./dom.js";
import { read } from "./order-entry.js";
import { KeyedTable, Tab, cell } from "./table.js";

const VALUE = "USDT";
const NOTHING = "\u2013";
const ENDING_ZEROS = /^([^.]*(?:\.\d*[1-9])?)(\.?0*)$/; // all of an asset's decimals are shown, so that the points stand in line

export class BalancesTab extends Tab {
  isOfMarkets = false;
  #prices = new Map([[VALUE, "1"]]);
  #markets = null; // market by base asset, once asked for
  #followed = new Set();
  #signal;
  #table = new KeyedTable({
    name: "balances",
    label: "Balances",
    columns: [
      ["Asset"],
      ["Available", "number"],
      ["Held by orders", "number"],
      ["Total", "number"],
      [`Value in ${VALUE}`, "number"],
    ],
    row: (balance) => row(balance, (asset) => this.#prices.get(asset)),
    empty: { title: "Nothing here yet.", text: "Deposits and what you buy appear here." },
  });

  constructor({ signal }) {
    super("balances", "Balances");
    this.#signal = signal;
    this.tools = make("a", { class: "button quiet", href: "/portfolio" }, "Portfolio");
    this.panel.append(this.#table.element);
    account.addEventListener("balances", this.changed, { signal });
  }

  toggled(isShown) {
    super.toggled(isShown);
    if (isShown && !this.#markets) this.#loadMarkets();
  }

  draw() {
    const balances = [...(account.balances?.values() ?? [])];
    for (const { asset, balance } of balances) if (compareDecimals(balance, "0")) this.#follow(asset);
    this.#table.show(
      balances.map((balance) => [balance.asset, balance]),
      { loading: !account.balances },
    );
  }

  async #loadMarkets() {
    this.#markets = new Map();
    for (const { market, base, quote } of await read("/markets"))
      if (quote === VALUE && !this.#markets.has(base)) this.#markets.set(base, market);
    this.changed();
  }

  /** Hear the last price of an asset, if it has a market against USDT. */
  #follow(asset) {
    const market = this.#markets?.get(asset);
    if (!market || this.#followed.has(asset)) return;
    this.#followed.add(asset);
    const stop = feed.subscribe(`ticker.${market}`, ({ last }) => {
      if (last) this.#prices.set(asset, last);
      this.changed();
    });
    this.#signal.addEventListener("abort", stop);
  }
}

function row({ asset }, priceOf) {
  const names = [
    ["Available", "available"],
    ["Held by orders", "held"],
    ["Total", "balance"],
  ];
  const cells = names.map(([label]) => cell(label, "number"));
  const value = cell(`Value in ${VALUE}`, "number");
  const element = make("tr", {}, make("th", { scope: "row" }, asset), ...cells, value);
  const update = (balance) => {
    names.forEach(([, name], index) => {
      const [, text, zeros] = ENDING_ZEROS.exec(group(balance[name]));
      if (cells[index].textContent === text + zeros) return;
      cells[index].replaceChildren(text, make("span", { class: "muted" }, zeros));
      cells[index].classList.toggle("muted", compareDecimals(balance[name], "0") === 0);
    });
    const price = priceOf(asset);
    setText(value, price ? group(withDecimals(multiplyDecimals(balance.balance, price), 2)) : NOTHING);
  };
  return { element, update };
}
