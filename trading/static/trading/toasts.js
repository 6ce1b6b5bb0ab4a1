// <toast-stack>: short answers that leave by themselves. show({kind, title, text}) adds one; kind is info, success,
// warning, error, buy or sell. A toast stays while the pointer or the focus is on it; at most five are shown.

const TOASTS_MAX = 5;
const STAY_MS = 6000;
const STAY_ERROR_MS = 12000;

export class ToastStack extends HTMLElement {
  connectedCallback() {
    this.setAttribute("role", "status");
    this.setAttribute("aria-live", "polite");
    this.setAttribute("aria-relevant", "additions");
  }

  /** Show a toast and return its element. */
  show({ kind = "info", title, text = "" }) {
    const toast = document.createElement("div");
    toast.className = `toast ${kind}`;
    if (kind === "error") toast.setAttribute("role", "alert");
    const heading = document.createElement("strong");
    heading.textContent = title;
    const close = document.createElement("button");
    close.type = "button";
    close.textContent = "\u00d7";
    close.setAttribute("aria-label", "Close");
    close.addEventListener("click", () => toast.remove());
    toast.append(heading, close);
    if (text) {
      const body = document.createElement("p");
      body.textContent = text;
      toast.append(body);
    }
    this.append(toast);
    while (this.childElementCount > TOASTS_MAX) this.firstElementChild.remove();
    this.#leaveLater(toast, kind === "error" ? STAY_ERROR_MS : STAY_MS);
    return toast;
  }

  #leaveLater(toast, stay) {
    let timer = setTimeout(() => toast.remove(), stay);
    const hold = () => clearTimeout(timer);
    const release = () => {
      clearTimeout(timer);
      timer = setTimeout(() => toast.remove(), stay);
    };
    toast.addEventListener("pointerenter", hold);
    toast.addEventListener("focusin", hold);
    toast.addEventListener("pointerleave", release);
    toast.addEventListener("focusout", release);
  }
}

customElements.define("toast-stack", ToastStack);

/** Show a toast in the page's stack. */
export function show(toast) {
  return document.querySelector("toast-stack").show(toast);
}
