// The page's one connection to the exchange: channels that heal themselves, requests with answers, and a status.
// It reconnects with growing pauses, notices silence, and resynchronises when the page wakes up.

import { Channel } from "./channel.js";

const PATH = "/api/v1/ws";
const ANSWER_MS = 10_000;
const PING_MS = 10_000;
const STALE_MS = 8_000; // a healthy channel is never silent for more than its heartbeat of 5 s
const DEAD_MS = 15_000;
const WAKE_MS = 2_500; // a page that wakes up gives the old connection this long to answer
const BACKOFF_MS = 500;
const BACKOFF_MAX_MS = 20_000;
const STEADY_MS = 5_000; // a connection that lived this long was a good one
const RETRY_MS = 2_000;
const SLEPT_MS = 5_000; // a second that lasted longer: the machine was asleep

/** A refusal by the exchange, or a request without an answer (status 0). */
export class FeedError extends Error {
  constructor({ code, message, field }, status = 0) {
    super(message);
    this.name = "FeedError";
    this.code = code;
    this.field = field;
    this.status = status;
  }
}

const notConnected = () => new FeedError({ code: "not_connected", message: "There is no connection to the exchange." });
const lost = () =>
  new FeedError({
    code: "connection_lost",
    message: "The connection was lost before the answer came. Look at your orders before you try again.",
  });

/**
 * Events: "status" (detail: `status`), "login" (detail: {account_id, scopes}), "refused" (detail: the error of a login
 * or of the connection). `status` is {state, roundTripMs, secondsLeft}; state is connecting, live, stale (silent) or
 * reconnecting (secondsLeft until the next attempt).
 */
export class Feed extends EventTarget {
  status = { state: "connecting", roundTripMs: null, secondsLeft: 0 };

  #channels = new Map();
  #pending = new Map();
  #socket = null;
  #lastId = 0;
  #attempts = 0;
  #openedAt = 0;
  #heardAt = 0;
  #pingedAt = 0;
  #watchedAt = Date.now();
  #retryAt = 0;
  #pauseMs = null;
  #retryTimer = 0;
  #wakeTimer = 0;
  #login = null;
  #loggedIn = false;

  constructor() {
    super();
    addEventListener("online", () => this.wake());
    addEventListener("pageshow", (event) => event.persisted && this.wake());
    addEventListener("pagehide", () => this.#close());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.wake());
    setInterval(() => this.#watch(), 1000);
    this.#connect();
    if (document.body.dataset.user) this.login().catch(() => undefined); // "refused" tells it
  }

  /** Hear a channel: `handler(message)` gets a snapshot, then updates without a gap. Returns the way to stop. */
  subscribe(name, handler) {
    const channel = this.#channels.get(name) ?? new Channel(name);
    this.#channels.set(name, channel);
    channel.handlers.add(handler);
    this.restart(name);
    return () => this.#unsubscribe(channel, handler);
  }

  /** Begin a channel afresh, with a snapshot: for who finds what he has in doubt. */
  restart(name) {
    const channel = this.#channels.get(name);
    if (!channel) return;
    channel.sequence = null;
    this.#ask(channel);
  }

  /** Send a request; its result, or a FeedError. */
  request(op, fields = {}) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return Promise.reject(notConnected());
    const id = ++this.#lastId;
    this.#socket.send(JSON.stringify({ op, id, ...fields }));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(lost());
      }, ANSWER_MS);
      this.#pending.set(id, { resolve, reject, timer });
    });
  }

  /** Log in with the browser's session, now and after each reconnect. Rejects when that is refused. */
  login() {
    if (!this.#login) {
      this.#login = {};
      this.#login.promise = new Promise((resolve, reject) => Object.assign(this.#login, { resolve, reject }));
      this.#logIn();
    }
    return this.#login.promise;
  }

  /** The page was asleep, hidden or offline: connect at once, or make sure that the connection still lives. */
  wake() {
    if (this.#socket?.readyState === WebSocket.OPEN) {
      const since = this.#heardAt;
      this.#ping();
      clearTimeout(this.#wakeTimer);
      this.#wakeTimer = setTimeout(() => this.#heardAt === since && this.#reconnectNow(), WAKE_MS);
    } else if (this.#socket?.readyState !== WebSocket.CONNECTING) {
      this.#reconnectNow();
    }
  }

  #reconnectNow() {
    this.#attempts = 0;
    this.#close();
    this.#connect();
  }

  #connect() {
    clearTimeout(this.#retryTimer);
    this.#retryAt = 0;
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${PATH}`);
    this.#socket = socket;
    this.#heardAt = performance.now();
    socket.addEventListener("open", () => (this.#socket === socket ? this.#opened() : socket.close()));
    socket.addEventListener("message", (event) => this.#socket === socket && this.#heard(JSON.parse(event.data)));
    socket.addEventListener("close", () => this.#socket === socket && this.#lost());
    this.#tell(this.status.state === "connecting" ? "connecting" : "reconnecting");
  }

  #opened() {
    this.#openedAt = this.#heardAt = performance.now();
    this.#ping();
    if (this.#login) this.#logIn();
    for (const channel of this.#channels.values()) this.#ask(channel);
  }

  /** Let go of the socket: what it still says is not heard any more. One that is not open yet closes when it is. */
  #close() {
    const socket = this.#socket;
    this.#socket = null;
    this.#loggedIn = false;
    if (socket?.readyState !== WebSocket.CONNECTING) socket?.close(); // browsers complain about closing it earlier
    for (const { reject, timer } of this.#pending.values()) {
      clearTimeout(timer);
      reject(lost());
    }
    this.#pending.clear();
  }

  #lost() {
    if (this.#openedAt && performance.now() - this.#openedAt > STEADY_MS) this.#attempts = 0;
    this.#openedAt = 0;
    this.#close();
    const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** this.#attempts++);
    const pause = (this.#pauseMs ?? 0) + ceiling * (0.5 + Math.random() / 2);
    this.#pauseMs = null;
    this.#retryAt = performance.now() + pause;
    this.#retryTimer = setTimeout(() => this.#connect(), pause);
    this.#tell("reconnecting");
  }

  #heard(message) {
    this.#heardAt = performance.now();
    if (this.status.state !== "live") this.#tell("live");
    if (message.op) this.#answered(message);
    else if (message.channel) this.#received(message);
    else if (message.type === "server_shutdown") this.#pauseMs = message.reconnect_after_ms;
    else if (message.type === "error") this.dispatchEvent(new CustomEvent("refused", { detail: message.error }));
  }

  #answered({ id, ok, result, error, status }) {
    const pending = this.#pending.get(id);
    if (!pending) return;
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    if (ok) pending.resolve(result);
    else pending.reject(new FeedError(error, status));
  }

  #received(message) {
    const channel = this.#channels.get(message.channel);
    const verdict = channel?.judge(message);
    if (verdict === "deliver") for (const handler of channel.handlers) handler(message);
    else if (verdict === "missed") this.#ask(channel);
  }

  /** Subscribe on the server, from where the channel is. Without a connection, opening one will do it. */
  async #ask(channel) {
    if (this.#socket?.readyState !== WebSocket.OPEN || (channel.isPrivate && !this.#loggedIn)) return;
    const socket = this.#socket;
    const from = channel.resumeFrom;
    const ticket = (channel.asked = Symbol(channel.name));
    try {
      await this.request("subscribe", {
        channels: [channel.name],
        ...(from === null ? {} : { from_sequence: from }),
      });
      if (channel.asked === ticket) channel.asked = null;
    } catch (error) {
      if (channel.asked !== ticket || this.#socket !== socket) return;
      if (error.status === 429 || error.status >= 500 || error.status === 0)
        setTimeout(() => channel.asked === ticket && this.#ask(channel), RETRY_MS);
      else for (const handler of channel.handlers) handler({ channel: channel.name, type: "refused", error });
    }
  }

  #unsubscribe(channel, handler) {
    channel.handlers.delete(handler);
    if (channel.handlers.size || this.#channels.get(channel.name) !== channel) return;
    this.#channels.delete(channel.name);
    this.request("unsubscribe", { channels: [channel.name] }).catch(() => undefined); // then it is over already
  }

  async #logIn() {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    const socket = this.#socket;
    try {
      const result = await this.request("login");
      this.#loggedIn = true;
      this.#login?.resolve(result);
      this.dispatchEvent(new CustomEvent("login", { detail: result }));
      for (const channel of this.#channels.values()) if (channel.isPrivate) this.#ask(channel);
    } catch (error) {
      if (this.#socket !== socket) return; // the next connection logs in
      if (error.status >= 400 && error.status < 500 && error.status !== 429) this.#refuseLogin(error);
      else setTimeout(() => this.#socket === socket && this.#logIn(), RETRY_MS);
    }
  }

  #refuseLogin(error) {
    this.#login.reject(error);
    this.#login = null;
    this.dispatchEvent(new CustomEvent("refused", { detail: error }));
  }

  async #ping() {
    this.#pingedAt = performance.now();
    const sentAt = this.#pingedAt;
    try {
      await this.request("ping");
      this.#tell("live", Math.max(1, Math.round(performance.now() - sentAt)));
    } catch {
      // A lost connection is noticed where it is lost.
    }
  }

  /** Once a second: the countdown, silence, and the next ping. */
  #watch() {
    const now = performance.now();
    const slept = Date.now() - this.#watchedAt > SLEPT_MS;
    this.#watchedAt = Date.now();
    if (slept) this.wake();
    if (this.#retryAt) this.#tell("reconnecting");
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    const silence = now - this.#heardAt;
    if (silence > DEAD_MS) this.#lost();
    else if (silence > STALE_MS) this.#tell("stale");
    if (now - this.#pingedAt > PING_MS) this.#ping();
  }

  #tell(state, roundTripMs = state === "live" ? this.status.roundTripMs : null) {
    const secondsLeft = this.#retryAt ? Math.max(0, Math.ceil((this.#retryAt - performance.now()) / 1000)) : 0;
    const now = { state, roundTripMs, secondsLeft };
    if (Object.keys(now).every((key) => now[key] === this.status[key])) return;
    this.status = now;
    this.dispatchEvent(new CustomEvent("status", { detail: now }));
  }
}

export const feed = new Feed();
