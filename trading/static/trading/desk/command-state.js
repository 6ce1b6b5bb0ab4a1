// <command-state data-url data-state>: what has become of a filed command; asks until it is done, ever more slowly.

const FIRST_MS = 300;
const SLOWEST_MS = 5000;

class CommandState extends HTMLElement {
  #timer = 0;
  #pause = FIRST_MS;

  connectedCallback() {
    if (this.dataset.state === "queued") this.#wait();
  }

  disconnectedCallback() {
    clearTimeout(this.#timer);
  }

  #wait() {
    this.#timer = setTimeout(() => this.#ask(), this.#pause);
    this.#pause = Math.min(this.#pause * 1.5, SLOWEST_MS);
  }

  async #ask() {
    try {
      const answer = await fetch(this.dataset.url, { headers: { Accept: "application/json" } });
      if (answer.ok) {
        const found = await answer.json();
        this.dataset.state = found.state;
        this.textContent = found.text;
      }
    } catch {
      // The server is away: asked again like one that has not answered yet.
    }
    if (this.isConnected && this.dataset.state === "queued") this.#wait();
  }
}

customElements.define("command-state", CommandState);
