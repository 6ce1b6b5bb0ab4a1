// The trading floor: which panel a phone shows, the ticket as a drawer or sheet, the tabs of the book. The panels
// themselves are elements of marketdata and orders.

import "../../marketdata/feed-status.js";
import "../../marketdata/market-list.js";
import "../../marketdata/ticker-bar.js";
import "../../marketdata/order-book.js";
import "../../marketdata/trade-tape.js";
import "../../marketdata/price-chart.js";
import "../../marketdata/depth-chart.js";
import "../../orders/order-ticket.js";
import "../../orders/orders-panel.js";
import "../../orders/shortcuts.js";

const floor = document.querySelector(".trading-floor");
const ticketPanel = document.getElementById("ticket-panel");
const ticket = document.querySelector("order-ticket");
const openers = [...document.querySelectorAll("[data-open-ticket]")];
const bookTabs = [...document.querySelectorAll(".book-tabs [role=tab]")];
const isDrawer = matchMedia("(max-width: 1099px)");
const isPhone = matchMedia("(max-width: 640px)");
let returnTo = null;

/** Show the ticket above the rest, where it has no place of its own; `side` chooses buy or sell. */
function openTicket(side) {
  if (isDrawer.matches && !(isPhone.matches && floor.dataset.tab === "trade")) {
    if (!("ticket" in floor.dataset)) returnTo = document.activeElement;
    floor.dataset.ticket = "open";
    ticketPanel.setAttribute("role", "dialog");
    ticketPanel.setAttribute("aria-modal", "true");
    behind(true);
  }
  if (side) ticket.side = side;
  if (side) ticket.focus();
}

function closeTicket() {
  if (!("ticket" in floor.dataset)) return;
  delete floor.dataset.ticket;
  ticketPanel.removeAttribute("role");
  ticketPanel.removeAttribute("aria-modal");
  behind(false);
  returnTo?.focus();
}

/** What lies behind an open drawer cannot be reached. */
function behind(isBehind) {
  for (const opener of openers) opener.setAttribute("aria-expanded", isBehind);
  for (const panel of floor.children) if (panel !== ticketPanel && !panel.matches(".sheet-shade")) panel.inert = isBehind;
  document.querySelector(".site-header").inert = isBehind;
}

/** A phone shows one panel at a time: chart, book, trade, orders or wallet. */
function showTab(name) {
  closeTicket();
  floor.dataset.tab = name;
  for (const button of document.querySelectorAll(".tab-bar [data-show]")) {
    if (button.dataset.show === name) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
  document.getElementById({ orders: "tab-open", wallet: "tab-balances" }[name])?.click();
}

function showBookTab(chosen) {
  for (const tab of bookTabs) {
    const isChosen = tab === chosen;
    tab.setAttribute("aria-selected", isChosen);
    tab.tabIndex = isChosen ? 0 : -1;
  }
  floor.dataset.book = chosen.id.slice("tab-".length);
}

function moveAlongTabs(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const shown = bookTabs.filter((tab) => tab.offsetParent);
  const next = shown[(shown.indexOf(event.target) + step + shown.length) % shown.length];
  showBookTab(next);
  next.focus();
  event.preventDefault();
}

for (const tab of bookTabs) {
  tab.addEventListener("click", () => showBookTab(tab));
  tab.addEventListener("keydown", moveAlongTabs);
}
for (const opener of openers) opener.addEventListener("click", () => openTicket(opener.dataset.openTicket));
for (const closer of document.querySelectorAll("[data-close-ticket]")) closer.addEventListener("click", closeTicket);
for (const button of document.querySelectorAll(".tab-bar [data-show]"))
  button.addEventListener("click", () => showTab(button.dataset.show));
for (const pick of ["pick-price", "pick-level", "show-ticket"]) document.addEventListener(pick, () => openTicket());
document.addEventListener("keydown", (event) => event.key === "Escape" && !event.defaultPrevented && closeTicket());
isDrawer.addEventListener("change", closeTicket);
isPhone.addEventListener("change", () => {
  closeTicket();
  if (!isPhone.matches && floor.dataset.book === "trades") showBookTab(bookTabs[0]);
});
