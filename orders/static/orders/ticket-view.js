// The elements of the order ticket: what is where and how it is named. order-ticket.js brings them to life.

import { market } from "./filters.js";
import { make } from "./dom.js";
import { csrfToken } from "./order-entry.js";

const { base, quote } = market;

export const SHARES = [25, 50, 75, 100];

const TIMES = [
  ["gtc", "GTC", "Good till canceled: what does not trade at once waits in the book"],
  ["ioc", "IOC", "Immediate or cancel: what does not trade at once is canceled"],
  ["fok", "FOK", "Fill or kill: all of it at once, or nothing"],
];

const SELF_TRADE = [
  ["cancel_taker", "Cancel this order"],
  ["cancel_maker", "Cancel the older"],
  ["cancel_both", "Cancel both"],
  ["decrement", "Reduce both"],
];

/** Fill `host` with the ticket and return its parts by name. */
export function ticketView(host, { signedIn, demo }) {
  const parts = {
    banner: make("p", { class: "notice warning ticket-banner", id: "ticket-banner", role: "status", hidden: true }),
    sides: choice(
      "side",
      "Side",
      [
        ["buy", "Buy"],
        ["sell", "Sell"],
      ],
      "ticket-sides",
    ),
    types: choice(
      "type",
      "Order type",
      [
        ["limit", "Limit"],
        ["market", "Market"],
      ],
      "ticket-types",
    ),
    available: make("button", { type: "button", class: "ticket-available", disabled: true }),
    price: decimalField("price", "Price", quote),
    quantity: decimalField("quantity", "Amount", base),
    unit: make(
      "select",
      { class: "ticket-unit", "aria-label": "Amount in", hidden: true },
      ...options([
        ["base", base],
        ["quote", quote],
      ]),
    ),
    touch: make("button", { type: "button", class: "ticket-touch" }),
    shares: SHARES.map((share) =>
      make("button", { type: "button", class: "ticket-share", "data-share": share }, `${share}%`),
    ),
    time: choiceField("time_in_force", "Time in force", TIMES),
    selfTrade: selectField("self_trade_prevention", "Self-trade", SELF_TRADE),
    postOnly: checkField("post_only", "Post-only", "refused if it would trade"),
    rows: summaryRows(),
    note: make("p", { class: "ticket-note", id: "ticket-note" }),
    submit: make("button", {
      type: "submit",
      class: "button large wide ticket-submit",
      "aria-describedby": "ticket-note ticket-banner",
    }),
    message: make("p", { class: "ticket-message error", role: "alert" }),
  };
  parts.quantity.box.append(parts.unit);
  parts.price.head.append(parts.touch);
  parts.form = make(
    "form",
    { class: "ticket-form", novalidate: true, "aria-label": `Order ticket for ${base}-${quote}` },
    parts.sides.element,
    parts.types.element,
    make("div", { class: "ticket-funds" }, make("span", { class: "muted" }, "Available"), parts.available),
    parts.price.element,
    parts.quantity.element,
    make("div", { class: "ticket-shares", role: "group", "aria-label": "Share of what is available" }, ...parts.shares),
    make("div", { class: "ticket-options" }, parts.time.element, parts.selfTrade.element, parts.postOnly.element),
    make("dl", { class: "ticket-summary" }, ...Object.values(parts.rows).map(({ element }) => element)),
    parts.note,
    parts.message,
    ...(signedIn ? [parts.submit] : []),
  );
  host.replaceChildren(parts.banner, parts.form, ...(signedIn ? [] : [invitation(demo)]));
  return parts;
}

function choice(name, legend, choices, className) {
  const inputs = {};
  const labels = choices.map(([value, text, title], index) => {
    inputs[value] = make("input", { type: "radio", name, value, checked: index === 0 });
    const more = title && make("span", { class: "visually-hidden" }, title);
    return make("label", { class: value, title }, inputs[value], make("span", {}, text), more);
  });
  const element = make(
    "fieldset",
    { class: `segments ${className}` },
    make("legend", { class: "visually-hidden" }, legend),
    ...labels,
  );
  return { element, inputs };
}

/** A choice with its name before it; `value` is the one chosen, `allow(values)` hides the others. */
function choiceField(name, label, choices) {
  const { element, inputs } = choice(name, label, choices, "");
  const error = make("p", { class: "error", "aria-live": "polite" });
  const all = Object.values(inputs);
  return {
    element: make(
      "div",
      { class: "field" },
      make("span", { class: "option-name", "aria-hidden": "true" }, label),
      element,
      error,
    ),
    input: element,
    error,
    get value() {
      return all.find((input) => input.checked).value;
    },
    allow(values) {
      for (const input of all) input.parentElement.hidden = !values.includes(input.value);
      if (!values.includes(this.value)) inputs[values[0]].checked = true;
    },
  };
}

function decimalField(name, label, unit) {
  const id = `ticket-${name}`;
  const attributes = {
    id,
    name,
    inputmode: "decimal",
    autocomplete: "off",
    spellcheck: "false",
    maxlength: 40,
    placeholder: "0",
  };
  const input = make("input", { type: "text", ...attributes, "aria-describedby": `${id}-error` });
  const unitText = make("span", { class: "ticket-unit-text" }, unit);
  const box = make("div", { class: "affix" }, input, unitText);
  const error = make("p", { class: "error", id: `${id}-error`, "aria-live": "polite" });
  const head = make("div", { class: "ticket-head" }, make("label", { for: id, class: "muted small" }, label));
  return { element: make("div", { class: "field" }, head, box, error), head, input, box, unitText, error };
}

function selectField(name, label, choices) {
  const id = `ticket-${name}`;
  const input = make("select", { id, name, "aria-describedby": `${id}-error` }, ...options(choices));
  const error = make("p", { class: "error", id: `${id}-error`, "aria-live": "polite" });
  return { element: make("div", { class: "field" }, make("label", { for: id }, label), input, error), input, error };
}

function checkField(name, label, hint) {
  const id = `ticket-${name}`;
  const input = make("input", { type: "checkbox", id, name, "aria-describedby": `${id}-error` });
  const text = make("span", {}, label, make("span", { class: "hint" }, ` ${hint}`));
  const error = make("p", { class: "error", id: `${id}-error`, "aria-live": "polite" });
  return {
    element: make("div", { class: "field" }, make("label", { class: "check" }, input, text), error),
    input,
    error,
  };
}

function options(choices) {
  return choices.map(([value, text]) => make("option", { value }, text));
}

function summaryRows() {
  const row = (label) => {
    const name = make("dt", {}, label);
    const value = make("dd", { class: "number" }, "\u2013");
    return { element: make("div", {}, name, value), name, value };
  };
  return {
    average: row("Average price"),
    slippage: row("Slippage"),
    total: row("Total"),
    fee: row("Fee"),
    receives: row("You get"),
    worst: row("Costs at most"),
  };
}

function invitation(demo) {
  const here = encodeURIComponent(location.pathname);
  const links = make(
    "div",
    { class: "ticket-links" },
    make("a", { class: `button${demo ? "" : " primary"}`, href: `/signup?next=${here}` }, "Sign up"),
    make("a", { class: "button", href: `/login?next=${here}` }, "Log in"),
  );
  if (!demo) return make("div", { class: "ticket-invitation" }, make("p", {}, `Sign up to trade ${base}.`), links);
  const trial = make(
    "form",
    { method: "post", action: "/demo/start" },
    make("input", { type: "hidden", name: "csrfmiddlewaretoken", value: csrfToken() }),
    make("input", { type: "hidden", name: "next", value: location.pathname }),
    make("button", { type: "submit", class: "button primary large wide" }, "Try it with test funds"),
  );
  const text = make("p", { class: "muted small" }, "One click, no e-mail: a trial account with test money.");
  return make("div", { class: "ticket-invitation" }, trial, text, links);
}
