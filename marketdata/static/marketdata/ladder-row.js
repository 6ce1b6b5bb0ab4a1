// One row of the ladder, made once: price, quantity, total, a bar for the depth. Remembers what it shows and touches
// only what becomes another.

import { sharedLength } from "./ladder.js";

const FLASH_MS = 200;
const still = matchMedia("(prefers-reduced-motion: reduce)");

export class LadderRow {
  /** The price as text, null while the row is empty. */
  price = null;

  #bar = document.createElement("i");
  #same = document.createElement("span");
  #rest = document.createElement("span");
  #shown = { price: "", above: "", quantity: "", total: "", share: 0, own: 0 };
  #flash = null;

  constructor({ side }) {
    this.side = side;
    this.element = document.createElement("div");
    this.element.className = `level ${side}`;
    this.element.setAttribute("role", "row");
    this.#bar.className = "bar";
    this.#same.className = "same";
    this.cells = ["price", "quantity", "total"].map((name) => {
      const cell = document.createElement("span");
      cell.className = name;
      cell.setAttribute("role", "gridcell");
      cell.tabIndex = -1;
      return cell;
    });
    this.cells[0].append(this.#same, this.#rest);
    this.element.append(this.#bar, ...this.cells);
  }

  /** Nothing is at this depth. */
  clear() {
    if (this.price === null) return;
    this.price = null;
    this.#flash?.cancel();
    this.#put({ shown: "", above: "", quantity: "", total: "", share: 0, own: 0 });
  }

  /** Show a level; `above` is the price shown in the row above, `changed` whether the level is worth a flash. */
  show({ price, changed, ...rest }) {
    this.price = price;
    this.#put(rest);
    if (changed && !still.matches) this.#light();
  }

  #put({ shown, above, quantity, total, share, own }) {
    const before = this.#shown;
    if (shown !== before.price || above !== before.above) {
      const same = above.length === shown.length ? sharedLength(shown, above) : 0;
      this.#same.textContent = shown.slice(0, same);
      this.#rest.textContent = shown.slice(same);
    }
    if (quantity !== before.quantity) this.cells[1].textContent = quantity;
    if (total !== before.total) this.cells[2].textContent = total;
    if (share !== before.share) this.#bar.style.transform = `scaleX(${share.toFixed(3)})`;
    if (own !== before.own) this.#mark(own);
    this.#shown = { price: shown, above, quantity, total, share, own };
  }

  #mark(own) {
    this.element.classList.toggle("own", own > 0);
    this.element.title = own ? `${own} of your orders` : "";
  }

  #light() {
    this.#flash ??= this.element.animate(
      [{ backgroundColor: this.side === "buy" ? "var(--buy-soft)" : "var(--sell-soft)" }, { backgroundColor: "transparent" }],
      { duration: FLASH_MS },
    );
    this.#flash.cancel();
    this.#flash.play();
  }
}
