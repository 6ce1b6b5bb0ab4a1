// <copy-button for="id">: copies the text of that element. Without this module there is no button, and one selects.

const SAID_MS = 2000;

class CopyButton extends HTMLElement {
  #timer = 0;

  connectedCallback() {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button";
    button.textContent = "Copy";
    button.addEventListener("click", () => this.#copy(button));
    this.setAttribute("aria-live", "polite");
    this.replaceChildren(button);
  }

  async #copy(button) {
    const source = document.getElementById(this.getAttribute("for"));
    try {
      await navigator.clipboard.writeText(source.textContent.trim());
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(source); // no clipboard outside of https: one key is left to press
      button.textContent = "Selected";
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => (button.textContent = "Copy"), SAID_MS);
  }
}

customElements.define("copy-button", CopyButton);
