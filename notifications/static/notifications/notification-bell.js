// <notification-bell>: the bell in the header of a signed-in person. Shows how many notifications are unread, live, and
// the latest of them when opened. `unread` is an attribute; `data-live` is there once the bell follows by itself.

import { notificationItem } from "./notification-item.js";

const SHOWN = 8;
const COUNT_MAX = 99;
const CALM_MS = 300; // a page that is only passed through opens no connection

export class NotificationBell extends HTMLElement {
  #latest = [];
  #unread = 0;
  #leave = null;
  #timer = 0;

  connectedCallback() {
    this.#unread = Number(this.getAttribute("unread"));
    this.button = this.querySelector("summary");
    this.badge = this.querySelector(".bell-count");
    this.list = this.querySelector(".bell-list");
    this.all = this.querySelector(".bell-read");
    this.all.addEventListener("click", () => this.#markAllRead());
    this.list.addEventListener("click", ({ target }) => {
      const item = target.closest(".unread");
      if (item) markRead({ ids: [Number(item.dataset.id)] });
    });
    this.#showCount();
    this.#timer = setTimeout(() => this.#listen(), CALM_MS);
  }

  disconnectedCallback() {
    clearTimeout(this.#timer);
    this.#leave?.();
  }

  /** The page's one connection; on the floor it is there already. */
  async #listen() {
    const { feed } = await import("../marketdata/feed.js").catch(() => ({})); // the server is away just now
    if (!feed) return;
    this.#leave = feed.subscribe("notifications", (message) => this.#hear(message));
    feed.login().catch(() => undefined); // without a session there is nothing to hear
  }

  #hear({ type, notifications, unread }) {
    if (type === "snapshot") this.#latest = notifications.toReversed();
    else if (type === "update") this.#learn(notifications);
    else return;
    this.#unread = unread;
    this.dataset.live = "";
    this.#showCount();
    this.#showList();
    document.dispatchEvent(new CustomEvent("notifications", { detail: { type, notifications, unread } }));
  }

  /** Those that changed come first, the last one on top. */
  #learn(notifications) {
    const changed = new Set(notifications.map(({ id }) => id));
    const kept = this.#latest.filter(({ id }) => !changed.has(id));
    this.#latest = [...notifications.toReversed(), ...kept].slice(0, 20);
  }

  #showCount() {
    const count = this.#unread;
    this.badge.hidden = count === 0;
    this.badge.textContent = count > COUNT_MAX ? `${COUNT_MAX}+` : count;
    this.button.setAttribute("aria-label", count ? `Notifications, ${count} unread` : "Notifications");
    this.all.hidden = count === 0;
  }

  #showList() {
    if (!this.#latest.length) return;
    this.list.replaceChildren(...this.#latest.slice(0, SHOWN).map(notificationItem));
  }

  async #markAllRead() {
    this.all.disabled = true;
    try {
      await markRead({});
    } finally {
      this.all.disabled = false;
    }
  }
}

customElements.define("notification-bell", NotificationBell);

/** Mark notifications as read: `{ids}`, or all. The channel tells what became of it. */
export async function markRead(body) {
  const token = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";
  await fetch("/api/v1/notifications/read", {
    method: "POST",
    keepalive: true, // the page may be left by the same click
    headers: { "Content-Type": "application/json", "X-CSRFToken": token },
    body: JSON.stringify(body),
  });
}
