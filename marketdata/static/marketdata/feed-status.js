// <feed-status>: a dot and a word for the connection: live with its round trip, connecting, reconnecting with a
// countdown, stale. Puts the state on <html data-feed>, where styles dim what is no longer current.

import { feed } from "./feed.js";

const WORDS = { connecting: "connecting", live: "live", stale: "stale", reconnecting: "reconnecting" };
const SPOKEN = {
  connecting: "Connecting to the exchange.",
  live: "Live.",
  stale: "No news from the exchange for some seconds: what is shown may be old.",
  reconnecting: "The connection was lost; reconnecting. What is shown is old.",
};

class FeedStatus extends HTMLElement {
  #dot = document.createElement("i");
  #word = document.createElement("span");
  #detail = document.createElement("span");
  #spoken = document.createElement("span");
  #told = null;

  connectedCallback() {
    this.#dot.className = "dot";
    this.#word.className = "word";
    this.#detail.className = "detail";
    this.#spoken.className = "visually-hidden";
    this.#spoken.setAttribute("role", "status");
    for (const seen of [this.#dot, this.#word, this.#detail]) seen.setAttribute("aria-hidden", "true");
    this.replaceChildren(this.#dot, this.#word, this.#detail, this.#spoken);
    feed.addEventListener("status", () => this.#draw());
    this.#draw();
  }

  #draw() {
    const { state, roundTripMs, secondsLeft } = feed.status;
    this.#word.textContent = WORDS[state];
    this.#detail.textContent = detailOf(state, roundTripMs, secondsLeft);
    if (state === this.#told) return;
    this.#told = this.dataset.state = document.documentElement.dataset.feed = state;
    this.#dot.className = `dot ${{ live: "good", reconnecting: "bad" }[state] ?? "warn"}`;
    this.#spoken.textContent = this.title = SPOKEN[state];
  }
}

function detailOf(state, roundTripMs, secondsLeft) {
  if (state === "live") return roundTripMs === null ? "" : `${roundTripMs} ms`;
  return state === "reconnecting" && secondsLeft ? `in ${secondsLeft} s` : "";
}

customElements.define("feed-status", FeedStatus);
