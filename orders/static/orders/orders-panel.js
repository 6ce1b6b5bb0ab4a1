// <orders-panel>: open orders, order history, fills and balances in tabs. Each tab is an object of its own that draws
// while it is shown; this element only keeps the tabs.

import { account } from "./account.js";
import { BalancesTab } from "./balances-tab.js";
import { make, setText } from "./dom.js";
import { FillsTab } from "./fills-tab.js";
import { HistoryTab } from "./history-tab.js";
import { OpenOrdersTab } from "./open-orders-tab.js";
import { market } from "./filters.js";

const CHOICE = "orders-panel.only-this-market";

export class OrdersPanel extends HTMLElement {
  #tabs = [];
  #shown = null;
  #filter = null;
  #stop = new AbortController();

  connectedCallback() {
    if (!account.user) return this.#invite();
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    const only = make("input", { type: "checkbox", checked: localStorage.getItem(CHOICE) === "yes" });
    const onlyMarket = () => (only.checked ? market.market : null);
    this.#tabs = [
      new OpenOrdersTab({ signal, onlyMarket }),
      new HistoryTab({ signal, onlyMarket }),
      new FillsTab({ signal, onlyMarket }),
      new BalancesTab({ signal }),
    ];
    only.addEventListener("change", () => {
      localStorage.setItem(CHOICE, only.checked ? "yes" : "no");
      for (const tab of this.#tabs) tab.filtered();
    });
    this.#build(only);
    this.#show(this.#tabs[0]);
  }

  disconnectedCallback() {
    this.#stop.abort();
  }

  /** Show a tab: open, history, fills or balances. */
  show(name) {
    const tab = this.#tabs.find((one) => one.name === name);
    if (tab) this.#show(tab);
  }

  #build(only) {
    const list = make("div", { class: "tabs account-tabs", role: "tablist", "aria-label": "My account" });
    this.#filter = make("label", { class: "check account-filter" }, only, make("span", {}, `Only ${market.market}`));
    const tools = make("div", { class: "account-tools" }, this.#filter);
    this.replaceChildren(make("div", { class: "account-head" }, list, tools));
    for (const tab of this.#tabs) {
      const badge = make("span", { class: "badge", hidden: true });
      tab.button = make(
        "button",
        { type: "button", role: "tab", id: `tab-${tab.name}`, "aria-controls": `panel-${tab.name}` },
        tab.title,
        badge,
      );
      tab.panel.id = `panel-${tab.name}`;
      tab.panel.setAttribute("role", "tabpanel");
      tab.panel.setAttribute("aria-labelledby", tab.button.id);
      tab.counted = (count) => {
        badge.hidden = !count;
        setText(badge, count ? String(count) : "");
      };
      tab.button.addEventListener("click", () => this.#show(tab));
      list.append(tab.button);
      if (tab.tools) tools.append(tab.tools);
      this.append(tab.panel);
    }
    list.addEventListener("keydown", (event) => this.#key(event));
  }

  #show(shown) {
    this.#shown = shown;
    this.#filter.hidden = !shown.isOfMarkets;
    for (const tab of this.#tabs) {
      const isShown = tab === shown;
      tab.button.setAttribute("aria-selected", isShown);
      tab.button.tabIndex = isShown ? 0 : -1;
      tab.panel.hidden = !isShown;
      if (tab.tools) tab.tools.hidden = !isShown;
      tab.toggled(isShown);
    }
  }

  #key(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = this.#tabs.at((this.#tabs.indexOf(this.#shown) + step) % this.#tabs.length);
    this.#show(next);
    next.button.focus();
    event.preventDefault();
  }

  /** Nobody is signed in: tell what will be here. */
  #invite() {
    const here = encodeURIComponent(location.pathname);
    this.replaceChildren(
      make(
        "div",
        { class: "empty" },
        make("strong", {}, "Your orders, fills and balances will be here."),
        make(
          "p",
          {},
          "The market is open to everyone to watch. To trade, ",
          make("a", { href: `/login?next=${here}` }, "log in"),
          " or ",
          make("a", { href: `/signup?next=${here}` }, "sign up"),
          ".",
        ),
      ),
    );
  }
}

customElements.define("orders-panel", OrdersPanel);
