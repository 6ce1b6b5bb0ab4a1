// The page's colours as a canvas understands them, read from the design's custom properties.

/** {panel, line, text, muted, faint, buy, sell, accent, font} in force now. */
export function colours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(`--${name}`).trim();
  const names = ["panel", "raised", "line", "text", "muted", "faint", "buy", "sell", "accent", "font"];
  return Object.fromEntries(names.map((name) => [name, read(name)]));
}

/** A hex colour ("#1fb37a") with an opacity from 0 to 1. */
export function faded(hex, opacity) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return `rgba(${red}, ${green}, ${blue}, ${opacity})`;
}

/** The options of the chart and its two series in these colours. */
export function chartOptions(colour) {
  const grid = { color: faded(colour.line, 0.55) };
  const cross = { color: colour.muted, labelBackgroundColor: colour.raised };
  return {
    chart: {
      layout: {
        background: { color: colour.panel },
        textColor: colour.muted,
        fontFamily: colour.font,
        fontSize: 12,
        attributionLogo: false,
      },
      grid: { vertLines: grid, horzLines: grid },
      crosshair: { mode: 0, vertLine: cross, horzLine: cross },
      rightPriceScale: { borderColor: colour.line },
      timeScale: { borderColor: colour.line },
    },
    candles: {
      upColor: colour.buy,
      downColor: colour.sell,
      wickUpColor: colour.buy,
      wickDownColor: colour.sell,
      borderVisible: false,
      priceLineColor: colour.muted,
    },
  };
}
