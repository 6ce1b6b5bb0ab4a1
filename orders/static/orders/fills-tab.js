// The Fills tab: the account's halves of trades, newest first; new ones appear as they happen, older ones by page.

import { group, price as priceText, trimmed } from "../trading/format.js";
import { account } from "./account.js";
import { make } from "./dom.js";
import { read } from "./order-entry.js";
import { KeyedTable, Pages, Tab, cell, sideElement, timeElement } from "./table.js";

const PAGE = 50;
const keyOf = ({ trade_id, order_id }) => `${trade_id}/${order_id}`;

export class FillsTab extends Tab {
  #fills = null;
  #unseen = 0;
  #onlyMarket;
  #table = new KeyedTable({
    name: "fills",
    label: "Fills",
    columns: [
      ["Time"],
      ["Market"],
      ["Side"],
      ["Price", "number"],
      ["Amount", "number"],
      ["Total", "number"],
      ["Fee", "number"],
      ["Role"],
    ],
    row,
    empty: { title: "No fills yet.", text: "Every trade of your orders is listed here, with its price and fee." },
  });
  #pages = new Pages({
    load: (cursor) => read("/fills", { limit: PAGE, market: this.#onlyMarket(), cursor }),
    take: (fills) => this.#take(fills),
  });

  constructor({ signal, onlyMarket }) {
    super("fills", "Fills");
    this.#onlyMarket = onlyMarket;
    this.panel.append(this.#table.element, this.#pages.element);
    account.addEventListener("fills", ({ detail }) => this.#news(detail), { signal });
  }

  toggled(isShown) {
    super.toggled(isShown);
    if (!isShown) return;
    this.#unseen = 0;
    this.counted(0);
    if (!this.#fills) this.filtered();
  }

  filtered() {
    this.#fills = null;
    if (this.isShown) this.#pages.restart();
  }

  draw() {
    const fills = [...(this.#fills?.values() ?? [])].sort((a, b) => b.trade_id - a.trade_id);
    this.#table.show(
      fills.map((fill) => [keyOf(fill), fill]),
      { loading: !this.#fills },
    );
  }

  #news(fills) {
    if (!this.isShown) this.counted((this.#unseen += fills.length));
    if (this.#fills) this.#take(fills.filter(({ market }) => [null, market].includes(this.#onlyMarket())));
  }

  #take(fills) {
    this.#fills ??= new Map();
    for (const fill of fills) this.#fills.set(keyOf(fill), fill);
    this.changed();
  }
}

/** A fill never changes. */
function row(fill) {
  const fee = fill.fee.startsWith("-") ? `\u2212${trimmed(fill.fee.slice(1))}` : trimmed(fill.fee);
  const decimals = fill.price.split(".")[1]?.length ?? 0;
  const element = make(
    "tr",
    {},
    cell("Time", "card-time", timeElement(fill.executed_at)),
    cell("Market", "card-market", fill.market),
    cell("Side", "card-side", sideElement(fill.side)),
    cell("Price", "number", group(fill.price)),
    cell("Amount", "number", group(fill.quantity)),
    cell("Total", "number", make("span", { title: group(fill.notional) }, priceText(fill.notional, decimals))),
    cell("Fee", "number", `${fee} `, make("span", { class: "unit" }, fill.fee_asset)),
    cell("Role", "muted", fill.liquidity),
  );
  return { element, update: () => undefined };
}
