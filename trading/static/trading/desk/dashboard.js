// <desk-dashboard data-url>: asks for the figures every few seconds while it is looked at, and writes them where
// [data-figure] says. <day-bars>: a bar a day, drawn from {days, values}; what a bar means is in its tooltip.

const PERIOD_MS = 3000;
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 600;
const HEIGHT = 160;
const FOOT = 18;
const HEAD = 26;

const number = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 2 });
const short = new Intl.NumberFormat("en-GB", { notation: "compact", maximumFractionDigits: 1 });
const ago = (text) => {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(text)) / 1000));
  if (seconds < 90) return `${seconds} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
};

class DayBars extends HTMLElement {
  draw({ days, values, unit }) {
    const most = Math.max(...values, 0);
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", `${number.format(values.at(-1))} ${unit} today, most ${number.format(most)}`);
    const step = WIDTH / days.length;
    days.forEach((day, index) => {
      const height = most > 0 ? Math.max(0, (values[index] / most) * (HEIGHT - FOOT - HEAD)) : 0;
      const bar = part(svg, "rect", { x: index * step + 1, width: Math.max(1, step - 2), height: Math.max(height, 1),
        y: HEIGHT - FOOT - Math.max(height, 1), rx: 1, class: index === days.length - 1 ? "today" : "" });
      part(bar, "title").textContent = `${day}: ${number.format(values[index])} ${unit}`;
    });
    part(svg, "text", { x: 0, y: HEIGHT - 4 }).textContent = days[0].slice(5);
    part(svg, "text", { x: WIDTH, y: HEIGHT - 4, "text-anchor": "end" }).textContent = "today";
    part(svg, "text", { x: 0, y: 2, class: "top" }).textContent = `most ${short.format(most)}`;
    part(svg, "text", { x: WIDTH, y: 2, class: "top", "text-anchor": "end" }).textContent = `today ${short.format(values.at(-1))}`;
    this.replaceChildren(svg);
  }
}

function part(parent, name, attributes = {}) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return parent.appendChild(made);
}

class Dashboard extends HTMLElement {
  #timer = 0;

  connectedCallback() {
    document.addEventListener("visibilitychange", this.#look);
    this.#look();
  }

  disconnectedCallback() {
    document.removeEventListener("visibilitychange", this.#look);
    clearTimeout(this.#timer);
  }

  #look = () => {
    clearTimeout(this.#timer);
    if (document.visibilityState === "visible") this.#ask();
  };

  async #ask() {
    const live = this.querySelector("[data-live]");
    try {
      const answer = await fetch(this.dataset.url, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(`${answer.status}`);
      const found = await answer.json();
      this.#show(found);
      live.dataset.live = "live";
      live.textContent = `Live, as of ${new Date(found.at).toLocaleTimeString()}`;
    } catch {
      live.dataset.live = "stale";
      live.textContent = "The server does not answer: these figures are old.";
    }
    this.toggleAttribute("data-stale", live.dataset.live === "stale");
    if (this.isConnected) this.#timer = setTimeout(this.#look, PERIOD_MS);
  }

  #write(name, text, tone = "") {
    for (const place of this.querySelectorAll(`[data-figure="${name}"]`)) {
      if (place.textContent !== text) place.textContent = text;
      place.dataset.tone = tone;
    }
  }

  #show(found) {
    const { worker, commit, lane, proof, waiting, days } = found;
    const halted = worker.halted ? "Halted" : "Leads";
    this.#write("worker", worker.leads ? halted : "No leader", worker.leads && !worker.halted ? "good" : "bad");
    const standbys = worker.standbys === 1 ? "1 standby" : `${worker.standbys} standbys`;
    const place = worker.here ? "in this process" : "in another process";
    const since = worker.leads ? `${place}, since ${ago(worker.since)}; ` : "";
    this.#write("worker-more", `${since}${standbys}; sequence ${number.format(worker.sequence)}`);
    this.#write("commit", commit ? `${commit.p50} / ${commit.p99}` : "none here");
    this.#write("lane", number.format(lane.depth), lane.depth > lane.most / 2 ? "bad" : "");
    this.#write("lane-more", `of ${number.format(lane.most)} requests that may wait`);
    this.#write("proof", proof ? (proof.proved ? "Proved" : "NOT PROVED") : "Never", proof ? (proof.proved ? "good" : "bad") : "wait");
    const proved = proof && `${ago(proof.at)}, ${proof.proved ? `${number.format(proof.commands)} commands` : proof.finding}`;
    this.#write("proof-more", proved ?? "run: manage.py prove");
    this.#write("orders", number.format(found.orders_per_second));
    this.#write("trades", number.format(found.trades_per_second));
    this.#write("open", number.format(found.open_orders));
    this.#write("users", number.format(found.users));
    this.#write("users-more", `${number.format(found.new_users)} new within a day`);
    this.#write("requests", number.format(waiting.requests), waiting.requests ? "wait" : "");
    this.#write("withdrawals", number.format(waiting.withdrawals), waiting.withdrawals ? "wait" : "");
    this.#write("inbox", number.format(lane.inbox), lane.inbox ? "wait" : "");
    const alerts = Object.entries(found.alerts);
    const some = alerts.filter(([, count]) => count);
    const worst = some.some(([severity]) => severity === "high") ? "bad" : some.length ? "wait" : "";
    this.#write("alerts", some.map(([severity, count]) => `${count} ${severity}`).join(", ") || "None", worst);
    this.#write("cases", waiting.cases === 1 ? "1 open case" : `${waiting.cases} open cases`);
    this.#write("unit", days.asset);
    for (const name of ["volume", "fees"])
      this.querySelector(`day-bars[data-figure="${name}"]`)
        .draw({ days: days.days, values: days[name], unit: days.asset });
    this.querySelector('[data-figure="markets"]').replaceChildren(...found.markets.map(marketRow));
  }
}

function marketRow(market) {
  const row = document.createElement("tr");
  const cells = [market.market, market.state.replace("_", " "), market.last ?? "–", market.volume, market.note];
  cells.forEach((text, index) => {
    const cell = row.insertCell();
    cell.textContent = text;
    if (index === 2 || index === 3) cell.className = "desk-number";
    if (index === 1) cell.dataset.tone = market.state === "open" ? "good" : "bad";
  });
  return row;
}

customElements.define("day-bars", DayBars);
customElements.define("desk-dashboard", Dashboard);
