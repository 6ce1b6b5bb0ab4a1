// Asks once before something that cannot be taken back. A <dialog>: the page behind it waits, Escape is "no", and the
// focus starts on the way back and returns to where it was.

import { make } from "./dom.js";

let lastId = 0;

/** Ask; true if the person agrees. `kind` colours the agreeing button: buy, sell, danger or primary. */
export function confirmed({ title, lines, agree, refuse = "Go back", kind = "danger" }) {
  const id = `confirm-${++lastId}`;
  const back = make("button", { type: "submit", class: "button", value: "no", autofocus: true }, refuse);
  const go = make("button", { type: "submit", class: `button ${kind}`, value: "yes" }, agree);
  const dialog = make(
    "dialog",
    { class: "dialog", "aria-labelledby": `${id}-title`, "aria-describedby": `${id}-text` },
    make(
      "form",
      { method: "dialog" },
      make("h2", { id: `${id}-title` }, title),
      make("div", { id: `${id}-text`, class: "dialog-text" }, ...lines.map((line) => make("p", {}, line))),
      make("div", { class: "dialog-actions" }, back, go),
    ),
  );
  return shown(dialog).then((answer) => answer === "yes");
}

/** Show a dialog until it is closed; its return value. A click beside it closes it. */
export function shown(dialog) {
  const before = document.activeElement;
  document.body.append(dialog);
  dialog.addEventListener("pointerdown", (event) => event.target === dialog && dialog.close("no"));
  dialog.showModal();
  return new Promise((resolve) =>
    dialog.addEventListener("close", () => {
      dialog.remove();
      before?.focus?.();
      resolve(dialog.returnValue);
    }),
  );
}
