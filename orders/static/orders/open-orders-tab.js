// The Open orders tab: what waits in the books, with progress, amending in place, cancel and cancel all.

import { atMostEvery } from "../marketdata/frame.js";
import { account } from "./account.js";
import { make, setText } from "./dom.js";
import { OpenOrderRow } from "./open-order-row.js";
import { cancelAllOrders } from "./order-actions.js";
import { KeyedTable, Tab } from "./table.js";

const SHOWN_STEP = 100;
const COUNT_MS = 100;

export class OpenOrdersTab extends Tab {
  #onlyMarket;
  #shown = SHOWN_STEP;
  #cancelAll = make("button", { type: "button", class: "button quiet account-cancel-all" }, "Cancel all");
  #more = make("button", { type: "button", class: "button quiet" });
  #pager = make("div", { class: "pager", hidden: true }, this.#more);
  #table = new KeyedTable({
    name: "open",
    label: "Open orders",
    columns: [
      ["Time"],
      ["Market"],
      ["Side"],
      ["Type"],
      ["Price", "number"],
      ["Amount", "number"],
      ["Filled"],
      ["Total", "number"],
      [""],
    ],
    row: (order) => new OpenOrderRow(order),
    empty: { title: "No open orders yet.", text: "Orders you place wait here until they fill." },
  });

  constructor({ signal, onlyMarket }) {
    super("open", "Open orders");
    this.#onlyMarket = onlyMarket;
    this.tools = this.#cancelAll;
    this.panel.append(this.#table.element, this.#pager);
    this.#cancelAll.addEventListener("click", () => cancelAllOrders(this.#onlyMarket()));
    this.#more.addEventListener("click", () => {
      this.#shown += SHOWN_STEP;
      this.draw();
    });
    const counted = atMostEvery(COUNT_MS, () => this.#count());
    account.addEventListener("orders", counted, { signal });
    account.addEventListener("orders", this.changed, { signal });
  }

  toggled(isShown) {
    super.toggled(isShown);
    this.#offerCancelAll();
  }

  filtered() {
    this.#count();
    this.changed();
  }

  draw() {
    const orders = this.#orders();
    const shown = orders.slice(0, this.#shown);
    this.#table.show(
      shown.map((order) => [order.id, order]),
      { loading: !account.orders },
    );
    this.#pager.hidden = shown.length === orders.length;
    setText(this.#more, `Show more (${orders.length - shown.length})`);
  }

  #count() {
    const count = this.#orders().length;
    this.counted(account.complete ? count : `${count}+`);
    this.#offerCancelAll();
  }

  #orders() {
    const market = this.#onlyMarket();
    const orders = [...(account.orders?.values() ?? [])];
    return orders.filter((order) => !market || order.market === market).sort((a, b) => b.id - a.id);
  }

  #offerCancelAll() {
    this.#cancelAll.hidden = !this.isShown || !this.#orders().length;
  }
}
