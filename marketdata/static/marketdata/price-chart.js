// <price-chart>: candles with volume, the interval switch, a legend that follows the crosshair. Older candles come when
// one scrolls to them; the chart itself is drawn by lightweight-charts.

import {
  CandlestickSeries,
  createChartEx,
  HistogramSeries,
  PriceScaleMode,
} from "../vendor/lightweight-charts/lightweight-charts.standalone.production.mjs";
import { group } from "../trading/format.js";
import { CandleHistory } from "./candle-history.js";
import { ChartOrders } from "./chart-orders.js";
import { chartOptions, colours, faded } from "./chart-style.js";
import { oncePerFrame } from "./frame.js";
import { FAVOURITES, INTERVALS, isOfDays, LocalTimeScale, nameOf } from "./intervals.js";
import { market } from "./market.js";

const INTERVAL_KEY = "bourse.interval";
const LATEST_GAP = 5; // bars of room right of the latest candle
const OLDER_BARS = 100; // fewer than this to the left of what is seen: load older ones
const BARS_SHOWN = 110;
const BARS_SHOWN_MIN = 40;
const UPDATES_MAX = 200; // more than these are drawn anew faster than one by one

class PriceChart extends HTMLElement {
  #interval = INTERVALS.find((interval) => interval === localStorage.getItem(INTERVAL_KEY)) ?? "1m";
  #scale = new LocalTimeScale();
  #colour = colours();
  #history = null;
  #chart = null;
  #candles = null;
  #volume = null;
  #orders = null;
  #hovered = null;
  #drawnTo = -Infinity;
  #changed = new Map(); // by time: a hidden page collects, and must not collect for ever
  #parts = {};
  #drawUpdates = oncePerFrame(() => this.#applyUpdates());
  #drawLegend = oncePerFrame(() => this.#legend());

  connectedCallback() {
    this.#build();
    this.#makeChart();
    this.#choose(this.#interval);
    document.addEventListener("appearance", () => this.#recolour());
  }

  #build() {
    this.innerHTML = `
      <div class="chart-tools">
        <div class="intervals" role="group" aria-label="Interval"></div>
        <details class="menu more-intervals">
          <summary aria-label="All intervals"><span></span></summary>
          <div class="menu-panel" role="group" aria-label="All intervals"></div>
        </details>
        <button type="button" class="tool log" aria-pressed="false" title="Logarithmic prices">Log</button>
        <a class="chart-credit" href="https://www.tradingview.com/" rel="noopener" target="_blank"
           title="TradingView Lightweight Charts\u2122. Copyright \u00a9 2025 TradingView, Inc.">Chart by TradingView</a>
      </div>
      <div class="chart-area" tabindex="0" role="application" aria-roledescription="candlestick chart">
        <p class="chart-legend live-data" aria-hidden="true"></p>
        <p class="empty chart-empty">Loading candles\u2026</p>
        <button type="button" class="button to-latest" hidden>To now \u2192</button>
      </div>`;
    const find = (selector) => this.querySelector(selector);
    this.#parts = {
      area: find(".chart-area"),
      legend: find(".chart-legend"),
      empty: find(".chart-empty"),
      latest: find(".to-latest"),
      more: find(".more-intervals"),
      log: find(".log"),
    };
    find(".intervals").append(...FAVOURITES.map((interval) => this.#button(interval, interval)));
    find(".menu-panel").append(...INTERVALS.map((interval) => this.#button(interval, nameOf(interval))));
    this.#parts.latest.addEventListener("click", () => this.#toNow());
    this.#parts.log.addEventListener("click", () => this.#toggleLog());
    this.#parts.area.addEventListener("keydown", (event) => this.#steer(event));
  }

  #button(interval, label) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "tool";
    button.dataset.interval = interval;
    button.textContent = label;
    button.title = nameOf(interval);
    button.addEventListener("click", () => this.#choose(interval));
    return button;
  }

  #makeChart() {
    const price = (value) => group(value.toFixed(market.price_decimals));
    const options = chartOptions(this.#colour);
    this.#chart = createChartEx(this.#parts.area, this.#scale, {
      ...options.chart,
      autoSize: true,
      localization: { priceFormatter: price, timeFormatter: (time) => this.#scale.momentOf(time) },
      timeScale: {
        ...options.chart.timeScale,
        rightOffset: 6,
        minBarSpacing: 1,
        timeVisible: true,
        secondsVisible: false,
        tickMarkFormatter: (time, type) => this.#scale.markOf(time, type),
      },
      kineticScroll: { mouse: false, touch: true },
    });
    this.#candles = this.#chart.addSeries(CandlestickSeries, {
      ...options.candles,
      priceFormat: { type: "custom", formatter: price, minMove: Number(market.tick_size) },
    });
    this.#candles.priceScale().applyOptions({ scaleMargins: { top: 0.1, bottom: 0.22 } });
    this.#volume = this.#chart.addSeries(HistogramSeries, {
      priceScaleId: "volume",
      priceFormat: { type: "volume" },
      lastValueVisible: false,
      priceLineVisible: false,
    });
    this.#volume.priceScale().applyOptions({ scaleMargins: { top: 0.84, bottom: 0 } });
    this.#orders = new ChartOrders({
      chart: this.#chart,
      series: this.#candles,
      container: this.#parts.area,
      colour: this.#colour,
    });
    this.#orders.onfills = () => this.#redrawOrders();
    this.#chart.subscribeCrosshairMove(({ time }) => this.#hover(time));
    this.#chart.timeScale().subscribeVisibleLogicalRangeChange((range) => range && this.#scrolled(range));
  }

  #choose(interval) {
    this.#interval = interval;
    localStorage.setItem(INTERVAL_KEY, interval);
    for (const button of this.querySelectorAll("[data-interval]"))
      button.setAttribute("aria-pressed", button.dataset.interval === interval);
    const rare = !FAVOURITES.includes(interval);
    this.#parts.more.open = false;
    this.#parts.more.classList.toggle("chosen", rare);
    this.#parts.more.querySelector("summary span").textContent = rare ? interval : "More";
    this.#parts.area.setAttribute("aria-label", `${market.market}, candles of ${nameOf(interval)}. Arrow keys scroll, plus and minus zoom.`);
    this.#follow(interval);
  }

  #follow(interval) {
    this.#history?.stop();
    this.#scale.utc = isOfDays(interval);
    this.#chart.applyOptions({ timeScale: { timeVisible: !isOfDays(interval), secondsVisible: interval === "1s" } });
    this.#hovered = null;
    this.#changed.clear();
    const history = (this.#history = new CandleHistory({ market: market.market, interval }));
    let first = true;
    history.addEventListener("reset", () => {
      this.#drawAll();
      if (first) this.#showLatest();
      first = false;
    });
    history.addEventListener("older", () => this.#drawAll());
    history.addEventListener("update", ({ detail }) => {
      for (const candle of detail) this.#changed.set(candle.time, candle);
      this.#drawUpdates();
    });
    history.addEventListener("failed", () => this.#say("The candles could not be loaded. Trying again\u2026"));
  }

  #drawAll() {
    const { candles } = this.#history;
    this.#changed.clear();
    this.#drawnTo = candles.at(-1)?.time ?? -Infinity;
    this.#candles.setData(candles);
    this.#volume.setData(candles.map((candle) => this.#bar(candle)));
    this.#redrawOrders();
    this.#drawLegend();
    this.#say(candles.length ? "" : "No trades yet. The first one begins the chart.");
    this.dataset.candles = candles.length;
    this.dataset.interval = this.#interval;
  }

  #showLatest() {
    const count = this.#history.candles.length;
    this.#candles.priceScale().applyOptions({ autoScale: true });
    const shown = Math.min(BARS_SHOWN, Math.max(BARS_SHOWN_MIN, count + 2));
    this.#chart.timeScale().setVisibleLogicalRange({ from: count - shown, to: count + LATEST_GAP });
  }

  /** Without gliding: older candles that come in the middle would end the glide there. */
  #toNow() {
    this.#chart.timeScale().scrollToPosition(LATEST_GAP, false);
  }

  #applyUpdates() {
    const changed = [...this.#changed.values()];
    if (changed.length > UPDATES_MAX) return this.#drawAll();
    this.#changed.clear();
    for (const candle of changed) {
      const isOlder = candle.time < this.#drawnTo;
      this.#candles.update(candle, isOlder);
      this.#volume.update(this.#bar(candle), isOlder);
      this.#drawnTo = Math.max(this.#drawnTo, candle.time);
    }
    if (!changed.length) return;
    this.dataset.candles = this.#history.candles.length;
    this.#say("");
    this.#legend();
  }

  #bar({ time, open, close, volume }) {
    return { time, value: volume, color: faded(close >= open ? this.#colour.buy : this.#colour.sell, 0.35) };
  }

  #recolour() {
    this.#colour = colours();
    const options = chartOptions(this.#colour);
    this.#chart.applyOptions(options.chart);
    this.#candles.applyOptions(options.candles);
    if (this.#history) this.#drawAll();
  }

  #redrawOrders() {
    this.#orders.redraw({ colour: this.#colour, candles: this.#history?.candles ?? [] });
  }

  #hover(time) {
    this.#hovered = time ?? null;
    this.#drawLegend();
  }

  /** What the crosshair points at, or else the latest candle. */
  #legend() {
    const { candles } = this.#history;
    const found = this.#hovered === null ? null : candles.findLast(({ time }) => time === this.#hovered);
    const candle = found ?? candles.at(-1);
    if (!candle) return this.#parts.legend.replaceChildren();
    const price = (value) => group(value.toFixed(market.price_decimals));
    const change = candle.close - candle.open;
    const direction = change > 0 ? "up" : change < 0 ? "down" : "";
    const percent = `${change >= 0 ? "+" : "\u2212"}${Math.abs((change / candle.open) * 100).toFixed(2)}\u00a0%`;
    this.#parts.legend.dataset.direction = direction;
    const facts = { O: price(candle.open), H: price(candle.high), L: price(candle.low), C: price(candle.close) };
    this.#write([["", `${market.market} \u00b7 ${this.#interval}`], ...Object.entries(facts), ["", percent], ["Vol", volumeText(candle.volume)]]);
  }

  /** The legend's spans are made once; afterwards only texts change. */
  #write(facts) {
    const { legend } = this.#parts;
    while (legend.childElementCount < facts.length) {
      const fact = document.createElement("span");
      fact.append(document.createElement("i"), document.createElement("b"));
      legend.append(fact);
    }
    facts.forEach(([label, value], index) => {
      const [name, text] = legend.children[index].children;
      if (name.textContent !== label) name.textContent = label;
      if (text.textContent !== value) text.textContent = value;
    });
  }

  #scrolled({ from, to }) {
    const count = this.#history?.candles.length ?? 0;
    if (from < OLDER_BARS) this.#history?.older();
    this.#parts.latest.hidden = count === 0 || to >= count - 2;
  }

  #steer(event) {
    const scale = this.#chart.timeScale();
    const range = event.target === this.#parts.area && scale.getVisibleLogicalRange();
    if (!range || event.ctrlKey || event.metaKey || event.altKey) return;
    const width = range.to - range.from;
    const move = { ArrowLeft: [-0.1, -0.1], ArrowRight: [0.1, 0.1], "+": [0.1, 0], "=": [0.1, 0], "-": [-0.125, 0] }[event.key];
    if (event.key === "End") this.#toNow();
    else if (move) scale.setVisibleLogicalRange({ from: range.from + width * move[0], to: range.to + width * move[1] });
    else return;
    event.preventDefault();
  }

  #toggleLog() {
    const on = this.#parts.log.getAttribute("aria-pressed") !== "true";
    this.#parts.log.setAttribute("aria-pressed", on);
    this.#candles.priceScale().applyOptions({ mode: on ? PriceScaleMode.Logarithmic : PriceScaleMode.Normal });
  }

  #say(text) {
    if (text && this.#history?.candles.length) return;
    this.#parts.empty.textContent = text;
    this.#parts.empty.hidden = !text;
  }
}

function volumeText(volume) {
  return group(volume.toFixed(volume >= 1000 ? 0 : volume >= 1 ? 2 : 4));
}

customElements.define("price-chart", PriceChart);
