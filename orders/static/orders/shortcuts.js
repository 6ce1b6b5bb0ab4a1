// Keyboard shortcuts of the floor. They never fire while someone types, holds a modifier, or answers a dialog.
// "/" focuses the market search, which carries data-market-search.

import { make } from "./dom.js";
import { shown } from "./confirm-dialog.js";
import { cancelLast } from "./order-actions.js";

const ticket = () => document.querySelector("order-ticket");

/** Bring the ticket forward (on a phone it is behind a tab) and set one of its choices. */
function choose(name, value) {
  document.dispatchEvent(new CustomEvent("show-ticket"));
  ticket()[name] = value;
  ticket().focus();
}

const SHORTCUTS = [
  { key: "b", text: "Buy", run: () => choose("side", "buy") },
  { key: "s", text: "Sell", run: () => choose("side", "sell") },
  { key: "l", text: "Limit order", run: () => choose("type", "limit") },
  { key: "m", text: "Market order", run: () => choose("type", "market") },
  { key: "/", text: "Search a market", run: searchMarkets },
  { key: "c", text: "Cancel the last order", run: cancelLast },
  { key: "?", text: "This list", run: showList },
];

const ELSEWHERE = [
  { key: "Enter", text: "Send the order, save an amendment" },
  { key: "Esc", text: "Clear the ticket, leave an amendment" },
  { key: "\u2191 \u2193", text: "Change a price by a tick, an amount by a lot (Shift: by ten)" },
];

function searchMarkets() {
  document.dispatchEvent(new CustomEvent("search-markets"));
  document.querySelector("[data-market-search]")?.focus();
}

/** Show the list of shortcuts. */
export function showList() {
  const rows = [...SHORTCUTS, ...ELSEWHERE].map(({ key, text }) =>
    make("div", {}, make("dt", {}, ...key.split(" ").map((one) => make("kbd", {}, one))), make("dd", {}, text)),
  );
  const close = make("button", { type: "submit", class: "button", autofocus: true }, "Close");
  return shown(
    make(
      "dialog",
      { class: "dialog", "aria-labelledby": "shortcuts-title" },
      make(
        "form",
        { method: "dialog" },
        make("h2", { id: "shortcuts-title" }, "Keyboard shortcuts"),
        make("dl", { class: "shortcut-list" }, ...rows),
        make("div", { class: "dialog-actions" }, close),
      ),
    ),
  );
}

const TYPED = "input:not([type=radio]):not([type=checkbox]), textarea, select, [contenteditable]";

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || event.repeat) return;
  if (event.target.closest?.(TYPED) || document.querySelector("dialog[open]")) return;
  const shortcut = SHORTCUTS.find(({ key }) => key === event.key.toLowerCase());
  if (!shortcut) return;
  event.preventDefault();
  shortcut.run();
});
