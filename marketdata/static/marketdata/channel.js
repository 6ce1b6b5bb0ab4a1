// One channel of the live feed: who listens, and the rule of docs/websocket.md that says whether a message may be
// applied, is old, or shows that something was missed.

const RESUMABLE = ["depth.", "trades."];
const PRIVATE = new Set(["orders", "fills", "balances", "notifications"]);

export class Channel {
  handlers = new Set();
  /** The last sequence applied; null before the first message. */
  sequence = null;
  /** Set from asking for the channel until the answer: what comes between belongs to an earlier subscription. */
  asked = null;

  constructor(name) {
    this.name = name;
  }

  /** True for a channel of an account, which needs a login. */
  get isPrivate() {
    return PRIVATE.has(this.name);
  }

  /** The sequence to go on after, or null when only a snapshot will do. */
  get resumeFrom() {
    return RESUMABLE.some((prefix) => this.name.startsWith(prefix)) ? this.sequence : null;
  }

  /** "deliver", "ignore" or "missed"; a message to deliver moves `sequence` on. */
  judge(message) {
    if (this.asked) return "ignore";
    if (message.type === "snapshot") return this.#move(message);
    if (this.sequence === null) return "missed";
    if (message.last_sequence <= this.sequence) return "ignore";
    if (message.type === "heartbeat" || message.first_sequence > this.sequence + 1) return "missed";
    return this.#move(message);
  }

  #move(message) {
    this.sequence = message.last_sequence;
    return "deliver";
  }
}
