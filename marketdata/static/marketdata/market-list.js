// <market-list>: the market's name in the header, which opens the list of all markets with a search. Prices in the list
// are live while it is open. "search-markets" on document opens it.

import { group, percent } from "../trading/format.js";
import { feed } from "./feed.js";
import { oncePerFrame } from "./frame.js";
import { market } from "./market.js";
import { compact, directionOf } from "./ticker-bar.js";

const FOLLOWED_MAX = 100;

class MarketList extends HTMLElement {
  #markets = [];
  #found = [];
  #active = 0;
  #tickers = new Map();
  #stops = [];
  #parts = {};
  #draw = oncePerFrame(() => this.#render());

  connectedCallback() {
    this.innerHTML = `
      <button type="button" class="market-name" aria-haspopup="dialog" aria-expanded="false">
        <span></span><svg viewBox="0 0 12 12" aria-hidden="true"><path d="M2.5 4.5 6 8l3.5-3.5"/></svg>
      </button>
      <div class="market-popover" popover="auto" role="dialog" aria-label="Markets">
        <div class="market-search affix">
          <input type="search" data-market-search role="combobox" aria-label="Search a market" aria-expanded="true"
                 aria-controls="market-options" aria-autocomplete="list" autocomplete="off" spellcheck="false" placeholder="Search">
          <kbd aria-hidden="true">/</kbd>
        </div>
        <div class="market-head" aria-hidden="true"><span>Market</span><span>Last</span><span>24h</span><span>Volume</span></div>
        <div class="market-options" id="market-options" role="listbox" aria-label="Markets"></div>
        <p class="empty" hidden></p>
      </div>`;
    const find = (selector) => this.querySelector(selector);
    this.#parts = {
      button: find("button"),
      popover: find(".market-popover"),
      search: find("input"),
      options: find(".market-options"),
      empty: find(".empty"),
    };
    this.#parts.button.querySelector("span").textContent = market.market;
    this.#parts.button.title = "Other markets (/)";
    this.#parts.button.addEventListener("click", () => this.#parts.popover.togglePopover());
    this.#parts.popover.addEventListener("toggle", ({ newState }) => this.#toggled(newState === "open"));
    this.#parts.search.addEventListener("input", () => this.#search());
    this.#parts.search.addEventListener("keydown", (event) => this.#key(event));
    document.addEventListener("search-markets", () => this.#parts.popover.showPopover());
  }

  async #toggled(isOpen) {
    this.#parts.button.setAttribute("aria-expanded", isOpen);
    for (const stop of this.#stops.splice(0)) stop();
    if (!isOpen) return;
    this.#parts.search.value = "";
    this.#parts.search.focus();
    if (!this.#markets.length) await this.#load();
    this.#search();
    for (const { market: symbol } of this.#markets.slice(0, FOLLOWED_MAX))
      this.#stops.push(feed.subscribe(`ticker.${symbol}`, (message) => this.#take(symbol, message)));
  }

  async #load() {
    try {
      const response = await fetch("/api/v1/markets", { headers: { Accept: "application/json" } });
      this.#markets = response.ok ? await response.json() : [];
    } catch {
      this.#markets = [];
    }
  }

  #take(symbol, message) {
    if (message.type !== "snapshot") return;
    this.#tickers.set(symbol, message);
    this.#draw();
  }

  #search() {
    const words = this.#parts.search.value.toUpperCase().split(/[\s/-]+/).filter(Boolean);
    this.#found = this.#markets.filter(({ market }) => words.every((word) => market.includes(word)));
    this.#active = words.length ? 0 : Math.max(0, this.#found.findIndex((found) => found.market === market.market));
    this.#parts.options.replaceChildren(...this.#found.map((found, index) => this.#option(found, index)));
    this.#parts.empty.hidden = this.#found.length > 0;
    this.#parts.empty.textContent = this.#markets.length ? "No market is called so." : "The markets could not be loaded.";
    this.#mark();
    this.#render();
  }

  #option({ market: symbol, state }, index) {
    const option = document.createElement("a");
    option.href = `/trade/${symbol}`;
    option.id = `market-option-${index}`;
    option.tabIndex = -1;
    option.setAttribute("role", "option");
    const texts = [symbol, "\u2013", "\u2013", "\u2013"];
    option.append(...texts.map((text) => Object.assign(document.createElement("span"), { className: "number", textContent: text })));
    if (state !== "open") option.firstChild.append(Object.assign(document.createElement("small"), { textContent: ` ${state.replace("_", " ")}` }));
    option.addEventListener("pointermove", () => {
      if (this.#active === index) return;
      this.#active = index;
      this.#mark();
    });
    return option;
  }

  #render() {
    this.#found.forEach(({ market: symbol }, index) => {
      const ticker = this.#tickers.get(symbol);
      const cells = this.#parts.options.children[index]?.children;
      if (!ticker || !cells) return;
      const texts = [ticker.last === null ? "\u2013" : group(ticker.last), percent(ticker.change_rate), compact(ticker.quote_volume)];
      texts.forEach((text, column) => {
        if (cells[column + 1].textContent !== text) cells[column + 1].textContent = text;
      });
      cells[2].className = `number ${directionOf(ticker.change)}`;
    });
  }

  #mark() {
    [...this.#parts.options.children].forEach((option, index) => option.setAttribute("aria-selected", index === this.#active));
    const active = this.#parts.options.children[this.#active];
    if (active) this.#parts.search.setAttribute("aria-activedescendant", active.id);
    else this.#parts.search.removeAttribute("aria-activedescendant");
    active?.scrollIntoView({ block: "nearest" });
  }

  #key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && this.#found.length) {
      this.#active = (this.#active + step + this.#found.length) % this.#found.length;
      this.#mark();
    } else if (event.key === "Enter") this.#parts.options.children[this.#active]?.click();
    else if (event.key === "Escape") {
      this.#parts.popover.hidePopover();
      this.#parts.search.blur(); // at once, so that the next key is a shortcut and no text
    }
    else return;
    event.preventDefault();
  }
}

customElements.define("market-list", MarketList);
