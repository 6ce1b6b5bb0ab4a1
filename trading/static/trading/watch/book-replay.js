// <book-replay data-source="URL">: an alert's book, step by step. Levels in which the accused have something are marked.

const PLAY_MS = 400;

const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

class BookReplay extends HTMLElement {
  #evidence = null;
  #index = 0;
  #parts = {};
  #timer = 0;

  async connectedCallback() {
    try {
      const response = await fetch(this.dataset.source, { headers: { Accept: "application/json" } });
      if (!response.ok) throw new Error(`status ${response.status}`);
      this.#evidence = await response.json();
    } catch (error) {
      this.replaceChildren(make("p", { className: "watch-error", textContent: `The book could not be replayed (${error.message}).` }));
      return;
    }
    this.#build();
    this.#show(0);
  }

  disconnectedCallback() {
    clearInterval(this.#timer);
  }

  #build() {
    const { frames, skipped } = this.#evidence;
    const button = (label, text, act) => make("button", { type: "button", ariaLabel: label, textContent: text, onclick: act });
    this.#parts = {
      back: button("Back", "\u2039", () => this.#show(this.#index - 1)),
      next: button("Next", "\u203a", () => this.#show(this.#index + 1)),
      play: button("Play", "\u25b6", () => this.#play()),
      range: make("input", { type: "range", min: 0, max: frames.length - 1, ariaLabel: "Step", oninput: (event) => this.#show(Number(event.target.value)) }),
      step: make("p", { className: "replay-step" }),
      bids: this.#table("Bids", "bids"),
      asks: this.#table("Asks", "asks"),
    };
    this.#parts.step.setAttribute("aria-live", "polite");
    const { back, next, play, range, step, bids, asks } = this.#parts;
    const more = skipped ? [make("p", { className: "watch-muted", textContent: `${skipped} more steps are left out.` })] : [];
    this.replaceChildren(
      make("div", { className: "replay-controls" }, back, play, next, range),
      step,
      make("div", { className: "replay-book" }, bids, asks),
      ...more,
    );
  }

  #table(title, side) {
    const head = make("tr", {}, ...["Price", "Quantity", "Accused"].map((textContent) => make("th", { scope: "col", textContent })));
    return make("table", { className: side }, make("caption", { textContent: title }), make("thead", {}, head), make("tbody"));
  }

  #show(index) {
    const { frames } = this.#evidence;
    this.#index = Math.max(0, Math.min(frames.length - 1, index));
    const frame = frames[this.#index];
    const { back, next, range, step, bids, asks } = this.#parts;
    back.disabled = this.#index === 0;
    next.disabled = this.#index === frames.length - 1;
    range.value = this.#index;
    const who = frame.account_id === null ? "" : `account ${frame.account_id}${frame.accused ? " (accused)" : ""} `;
    step.textContent = `${this.#index + 1} of ${frames.length}, ${frame.at.slice(11, 23)}, sequence ${frame.sequence}: ${who}${frame.text}`;
    step.classList.toggle("accused", frame.accused);
    this.#fill(bids.tBodies[0], frame.bids);
    this.#fill(asks.tBodies[0], frame.asks);
    if (this.#index === frames.length - 1) this.#stop();
  }

  #fill(body, levels) {
    body.replaceChildren(
      ...levels.map(({ price, quantity, accused }) => {
        const theirs = Number(accused) > 0;
        const cells = [price, quantity, theirs ? accused : ""].map((textContent) => make("td", { textContent }));
        return make("tr", { className: theirs ? "accused" : "" }, ...cells);
      }),
    );
  }

  #play() {
    if (this.#timer) return this.#stop();
    if (this.#index === this.#evidence.frames.length - 1) this.#show(0);
    this.#parts.play.textContent = "\u23f8";
    this.#timer = setInterval(() => this.#show(this.#index + 1), PLAY_MS);
  }

  #stop() {
    clearInterval(this.#timer);
    this.#timer = 0;
    this.#parts.play.textContent = "\u25b6";
  }
}

customElements.define("book-replay", BookReplay);
