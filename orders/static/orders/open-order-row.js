// One open order: its row, and the editor of price and amount that takes the place of both cells. Enter saves, Escape
// reverts, a refused amendment says why at the field it names.

import { group, multiplyDecimals, trimmed, withDecimals } from "../trading/format.js";
import { unitsOf } from "./amounts.js";
import { make, setText } from "./dom.js";
import { typeText } from "./history-tab.js";
import { amendOrder, cancelOrder, orderText } from "./order-actions.js";
import { cell, sideElement, timeElement } from "./table.js";
import { plain } from "./ticket-words.js";

const FIELDS = { price: "Price", quantity: "Amount" };

export class OpenOrderRow {
  #order;
  #values = {};
  #cells = {};
  #inputs = null;
  #errors = {};
  #bar = make("span", { class: "fill-bar" });
  #percent = make("span", {});
  #total = cell("Total", "number");
  #actions = cell("", "row-actions");

  constructor(order) {
    this.#order = order;
    for (const [name, label] of Object.entries(FIELDS)) {
      this.#values[name] = make("button", {
        type: "button",
        class: "cell-edit",
        title: `Change the ${label.toLowerCase()}`,
      });
      this.#values[name].addEventListener("click", () => this.#edit(name));
      this.#cells[name] = cell(label, "number", this.#values[name]);
    }
    this.element = make(
      "tr",
      { class: "open-order", "data-order": order.id },
      cell("Time", "card-time", timeElement(order.created_at)),
      cell("Market", "card-market", order.market),
      cell("Side", "card-side", sideElement(order.side)),
      cell("Type", "", typeText(order)),
      this.#cells.price,
      this.#cells.quantity,
      cell(
        "Filled",
        "row-filled",
        make("span", { class: "fill-track", "aria-hidden": "true" }, this.#bar),
        this.#percent,
      ),
      this.#total,
      this.#actions,
    );
    this.element.addEventListener("keydown", (event) => this.#key(event));
    this.#showCancel();
  }

  /** Show the order as it is now; what is being edited stays. */
  update(order) {
    const before = this.#order;
    this.#order = order;
    for (const name of Object.keys(FIELDS)) {
      setText(this.#values[name], group(order[name]));
      this.#values[name].setAttribute("aria-label", `${FIELDS[name]} ${group(order[name])}, change`);
    }
    const filled = Number(order.filled_quantity) / Number(order.quantity);
    this.#bar.style.setProperty("width", `${filled * 100}%`);
    setText(this.#percent, `${Math.floor(filled * 100)} %`);
    this.#percent.title = `${group(trimmed(order.filled_quantity))} of ${group(trimmed(order.quantity))}`;
    const decimals = order.price.split(".")[1]?.length ?? 0;
    setText(this.#total, group(withDecimals(multiplyDecimals(order.price, order.remaining_quantity), decimals)));
    this.element.dataset.side = order.side;
    if (order.filled_quantity !== before.filled_quantity) this.#flash();
  }

  #flash() {
    this.element.classList.remove("flash");
    requestAnimationFrame(() => this.element.classList.add("flash"));
  }

  #showCancel() {
    const button = make(
      "button",
      { type: "button", class: "button quiet row-cancel", "aria-label": `Cancel: ${orderText(this.#order)}` },
      "Cancel",
    );
    button.addEventListener("click", async () => {
      if (button.getAttribute("aria-disabled") === "true") return;
      button.setAttribute("aria-disabled", "true"); // and not disabled, so that the focus stays
      await cancelOrder(this.#order);
      button.setAttribute("aria-disabled", "false");
    });
    this.#actions.replaceChildren(button);
  }

  // ---------------------------------------------------------------------------------------------- amending

  #edit(first) {
    this.#inputs = {};
    for (const [name, label] of Object.entries(FIELDS)) {
      const error = `order-${this.#order.id}-${name}-error`;
      const attributes = {
        type: "text",
        inputmode: "decimal",
        autocomplete: "off",
        maxlength: 40,
        "aria-label": label,
        "aria-describedby": error,
      };
      this.#inputs[name] = make("input", { ...attributes, class: "cell-input", name });
      this.#inputs[name].value = this.#order[name];
      this.#errors[name] = make("span", { class: "cell-error", id: error, role: "alert" });
      this.#cells[name].replaceChildren(this.#inputs[name], this.#errors[name]);
    }
    const save = make("button", { type: "button", class: "button row-save" }, "Save");
    const back = make("button", { type: "button", class: "button quiet", "aria-label": "Do not change" }, "Back");
    save.addEventListener("click", () => this.#save());
    back.addEventListener("click", () => this.#revert(first));
    this.#actions.replaceChildren(save, back);
    this.element.classList.add("editing");
    this.#inputs[first].select();
  }

  #key(event) {
    if (!this.#inputs || event.target.tagName !== "INPUT") return;
    if (event.key === "Enter") this.#save();
    else if (event.key === "Escape") this.#revert(event.target.name);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #revert(focused) {
    this.#inputs = null;
    for (const name of Object.keys(FIELDS)) this.#cells[name].replaceChildren(this.#values[name]);
    this.element.classList.remove("editing");
    this.#showCancel();
    this.#values[focused].focus();
  }

  async #save() {
    const inputs = this.#inputs;
    const focused = document.activeElement?.name === "quantity" ? "quantity" : "price";
    const changes = {};
    for (const [name, input] of Object.entries(inputs)) {
      const text = plain(input.value);
      this.#refuse(name, "");
      if (unitsOf(text) !== unitsOf(this.#order[name])) changes[name] = text;
    }
    if (!Object.keys(changes).length) return this.#revert(focused);
    this.#busy(true);
    try {
      if ((await amendOrder(this.#order, changes)) && this.#inputs) this.#revert(focused);
    } catch (error) {
      if (!error.code) throw error;
      const name = error.field in inputs ? error.field : Object.keys(changes)[0];
      this.#refuse(name, error.message);
      this.#busy(false);
      inputs[name].focus();
    } finally {
      this.#busy(false);
    }
  }

  #busy(isBusy) {
    this.element.setAttribute("aria-busy", isBusy);
    for (const control of this.element.querySelectorAll("input, .row-actions button")) control.disabled = isBusy;
  }

  #refuse(name, text) {
    setText(this.#errors[name], text);
    this.#inputs?.[name].setAttribute("aria-invalid", Boolean(text));
  }
}
