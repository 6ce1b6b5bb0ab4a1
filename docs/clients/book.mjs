// Follows the order book of a market over Bourse's WebSocket API (../websocket.md). Browsers, Node 22; no packages.
//
// node book.mjs ws://127.0.0.1:8000/api/v1/ws BTC-USDT            prints the top of the book with each change
// for await (const [sequence, bids, asks] of follow(url, market))  [["43000.00", "0.01500"], ...], best first

const SILENCE = 12_000; // ms; a channel says something every 5 s, so longer means that the connection is dead
const ASK_AGAIN = 1_000; // ms without a sign of the subscription we asked for
const [BACK_OFF, BACK_OFF_MAX] = [500, 30_000]; // ms before the first and the later attempts to connect again

/** What is known of a channel `depth.MARKET`. `sequence` is the last one applied; -1: nothing is known. */
export class Book {
  sequence = -1;
  bids = new Map(); // price as an exact integer -> [price, quantity]
  asks = new Map();

  /** Bids and asks, best first. */
  levels() {
    const sorted = (side) => [...side].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, level]) => level);
    return [sorted(this.bids).reverse(), sorted(this.asks)];
  }

  /** Take a message of the channel: it is "applied", or "old", or shows that something was "missed". */
  take({ type, first_sequence: first, last_sequence: last, bids, asks, checksum }) {
    if (type === "snapshot") [this.bids, this.asks] = [new Map(), new Map()];
    else if (last <= this.sequence) return "old";
    else if (type === "heartbeat" || first > this.sequence + 1) return "missed";
    for (const [side, changes] of [[this.bids, bids], [this.asks, asks]])
      for (const level of changes) {
        const [price, quantity] = level.map(exact);
        if (quantity) side.set(price, level);
        else side.delete(price);
      }
    const text = this.levels().map((side) => side.slice(0, 10).map((level) => level.join(":")).join("|")).join("#");
    this.sequence = crc32(text) === checksum ? last : -1;
    return this.sequence < 0 ? "missed" : "applied";
  }
}

/** The whole book after each change, as [sequence, bids, asks], over as many connections as it takes. */
export async function* follow(url, market, { silence = SILENCE } = {}) {
  const [channel, book] = [`depth.${market}`, new Book()];
  for (let failures = 0; ; failures += 1) {
    let pause = (0.5 + Math.random() / 2) * Math.min(BACK_OFF * 2 ** failures, BACK_OFF_MAX);
    let asked = -Infinity;
    const socket = new WebSocket(url);
    const ask = () => {
      if (performance.now() - asked < ASK_AGAIN || socket.readyState !== WebSocket.OPEN) return;
      const resume = book.sequence < 0 ? {} : { from_sequence: book.sequence };
      socket.send(JSON.stringify({ op: "subscribe", channels: [channel], ...resume }));
      asked = performance.now();
    };
    socket.onopen = ask;
    for await (const message of messagesOf(socket, silence)) {
      const found = message.channel === channel ? book.take(message) : "other";
      if (found === "applied") {
        [failures, asked] = [-1, -Infinity];
        yield [book.sequence, ...book.levels()];
      } else if (found === "missed") {
        ask();
      } else if (message.ok === false && message.status < 500 && message.status !== 429) {
        throw new Error(message.error.message);
      } else if (message.type === "server_shutdown") {
        pause = message.reconnect_after_ms;
        break;
      }
    }
    await new Promise((wake) => setTimeout(wake, pause));
  }
}

/** The messages of a connection, until it is closed or has been silent for too long. */
async function* messagesOf(socket, silence) {
  const waiting = [];
  let [open, wake] = [true, () => {}];
  const end = () => wake((open = false));
  socket.onmessage = ({ data }) => wake(waiting.push(JSON.parse(data)));
  socket.onclose = socket.onerror = end;
  try {
    while (open || waiting.length) {
      const timer = setTimeout(end, silence);
      if (!waiting.length) await new Promise((resolve) => (wake = resolve));
      clearTimeout(timer);
      yield* waiting.splice(0);
    }
  } finally {
    socket.close();
  }
}

/** A decimal text as an integer of 10^-18. */
function exact(text) {
  const [whole, fraction = ""] = text.split(".");
  return BigInt(whole + fraction.padEnd(18, "0"));
}

function crc32(text) {
  let crc = -1;
  for (let index = 0; index < text.length; index += 1) {
    crc ^= text.charCodeAt(index);
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 && 0xedb88320);
  }
  return ~crc >>> 0;
}

if (globalThis.process?.argv[1]?.endsWith("book.mjs")) {
  const [url, market] = process.argv.slice(2);
  const best = ([level]) => level?.join(" x ") ?? "nobody";
  for await (const [sequence, bids, asks] of follow(url, market))
    console.log(`${sequence}  bid ${best(bids)}  ask ${best(asks)}`);
}
