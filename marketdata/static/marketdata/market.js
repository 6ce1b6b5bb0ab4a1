// The market that this page is about, as the server wrote it into <script type="application/json" id="market">.

const element = document.getElementById("market");

/** {market, base, quote, state, tick_size, lot_size, price_decimals, quantity_decimals, min_notional, ...} or null. */
export const market = element ? Object.freeze(JSON.parse(element.textContent)) : null;
