// <show-password> behind a password field: a button that shows what was typed, and hides it before it is sent.

class ShowPassword extends HTMLElement {
  connectedCallback() {
    const input = this.parentElement.querySelector("input");
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-controls", input.id);
    const show = (shown) => {
      input.type = shown ? "text" : "password";
      button.textContent = shown ? "Hide" : "Show";
      button.setAttribute("aria-label", shown ? "Hide password" : "Show password");
    };
    button.addEventListener("click", () => {
      show(input.type === "password");
      input.focus();
    });
    input.form?.addEventListener("submit", () => show(false));
    show(false);
    this.replaceChildren(button);
  }
}

customElements.define("show-password", ShowPassword);
