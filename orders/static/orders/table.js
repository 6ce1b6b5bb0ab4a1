// Tables of the orders panel: rows kept by key and changed only where they differ, an empty state, and "load more".

import { atMostEvery } from "../marketdata/frame.js";
import { dateTime, shortDate, timeOfDay } from "../trading/format.js";
import { make } from "./dom.js";

const DRAW_MS = 100;

/** A tab: its `panel`, whether it is shown, and `draw` called when something changed while it is. */
export class Tab {
  button = null;
  tools = null;
  isShown = false;
  /** True if its rows belong to markets, so that they can be filtered by them. */
  isOfMarkets = true;
  panel = make("div", { class: "account-body", tabindex: 0 });
  /** Told how many the badge shows; the panel sets it. */
  counted = () => undefined;
  /** Draw again soon, at the pace of the screen, if anyone looks. */
  changed = atMostEvery(DRAW_MS, () => this.isShown && this.draw());

  constructor(name, title) {
    this.name = name;
    this.title = title;
  }

  /** The tab is shown or hidden. */
  toggled(isShown) {
    this.isShown = isShown;
    if (isShown) this.draw();
  }

  /** The person chose other markets to see. */
  filtered() {
    this.changed();
  }
}

/**
 * A table whose rows have keys. `columns`: [label, class]; `row(item)` makes a row: {element, update(item)}.
 * `empty`: what stands there instead when there are none: {title, text}. `name` is for the style sheet.
 */
export class KeyedTable {
  element = make("div", {});
  #rows = new Map();
  #row;
  #body = make("tbody");
  #table;
  #empty;

  constructor({ name, label, columns, row, empty }) {
    this.#row = row;
    const heads = columns.map(([text, className]) => make("th", { scope: "col", class: className ?? "" }, text));
    this.#table = make(
      "table",
      { class: `table cards ${name}-table`, "aria-label": label },
      make("thead", {}, make("tr", {}, ...heads)),
      this.#body,
    );
    this.#empty = make("div", { class: "empty" }, make("strong", {}, empty.title), make("p", {}, empty.text));
    this.element.append(this.#table, this.#empty);
  }

  /** Show `items` ([key, item], in order). `loading`: nothing is known yet. */
  show(items, { loading = false } = {}) {
    const keys = new Set(items.map(([key]) => key));
    for (const [key, { element }] of this.#rows)
      if (!keys.has(key)) {
        if (element.contains(document.activeElement)) this.element.closest("[tabindex]")?.focus();
        element.remove();
        this.#rows.delete(key);
      }
    let before = null;
    for (const [key, item] of items) {
      const row = this.#rows.get(key) ?? this.#row(item);
      this.#rows.set(key, row);
      row.update(item);
      const next = before ? before.nextSibling : this.#body.firstChild;
      if (row.element !== next) this.#body.insertBefore(row.element, next);
      before = row.element;
    }
    this.element.setAttribute("aria-busy", loading);
    this.#table.hidden = !items.length;
    this.#empty.hidden = items.length > 0 || loading;
  }
}

/** A cell; `label` names it where rows are cards. */
export function cell(label, className, ...children) {
  return make("td", { "data-label": label, class: className }, ...children);
}

/** A time as a person reads it: today's by the clock, with the whole date in the tooltip. */
export function timeElement(iso) {
  const isToday = new Date(iso).toDateString() === new Date().toDateString();
  return make("time", { datetime: iso, title: dateTime(iso) }, isToday ? timeOfDay(iso) : shortDate(iso));
}

/** "Buy" or "Sell" in its colour. */
export function sideElement(side) {
  return make("span", { class: `side-${side} medium` }, side === "buy" ? "Buy" : "Sell");
}

/** A page after the other from the REST API: `load(cursor)` gives {results, next}. */
export class Pages {
  button = make("button", { type: "button", class: "button quiet" }, "Load more");
  element = make("div", { class: "pager", hidden: true }, this.button);
  #next = null;
  #load;
  #take;
  #run = 0;

  constructor({ load, take }) {
    this.#load = load;
    this.#take = take;
    this.button.addEventListener("click", () => this.#more());
  }

  /** Begin again with the newest. */
  restart() {
    this.#next = null;
    return this.#more();
  }

  async #more() {
    const run = ++this.#run;
    this.button.disabled = true;
    try {
      const page = await this.#load(this.#next);
      if (run !== this.#run) return;
      this.#next = page.next;
      this.button.textContent = "Load more";
      this.element.hidden = !page.next;
      this.#take(page.results);
    } catch (error) {
      if (run !== this.#run) return;
      this.element.hidden = false;
      this.button.textContent = `${error.message} Try again`;
    } finally {
      if (run === this.#run) this.button.disabled = false;
    }
  }
}
