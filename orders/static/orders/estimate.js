// What an order would do as the book stands: how much trades at once, at which prices and fees, and what it can cost.
// The same walk as the exchange's own preview; all amounts in units (amounts.js), rates too.

import { dividedBy, least, roundedDown, roundedUp, times } from "./amounts.js";

/**
 * Walk the other side of the book. `levels` yields [price, quantity], best first; `limit` is the worst price or null.
 * What is wanted is either a `quantity` or, of market buys, what a `budget` buys. Fees are rounded up, trade by trade.
 */
export function walk({ levels, side, limit, quantity = null, budget = null, lot, rate, feeStep }) {
  const buying = side === "buy";
  const traded = { quantity: 0n, notional: 0n, fee: 0n, first: null, last: null, complete: false };
  let left = quantity;
  for (const [price, available] of levels) {
    if (limit !== null && (buying ? price > limit : price < limit)) break;
    const wanted = budget === null ? left : roundedDown(dividedBy(budget - traded.notional, price), lot);
    if (wanted > 0n) {
      const amount = least(wanted, available);
      const notional = times(amount, price);
      traded.quantity += amount;
      traded.notional += notional;
      traded.fee += roundedUp(times(buying ? amount : notional, rate), feeStep);
      traded.first ??= price;
      traded.last = price;
      if (budget === null) left -= amount;
      if (amount < wanted) continue;
    }
    traded.complete = budget === null || traded.quantity > 0n;
    return traded;
  }
  return traded;
}

/**
 * What `order` would do: {traded, resting, total, cost, fee, receives, average, slippage}.
 *
 * `order` has side, type, price, quantity or quoteAmount, timeInForce; `rates` {maker, taker}; `feeStep` is the unit of
 * the asset that the order receives. `cost` is the most that the order can take from the account.
 */
export function estimate({ order, levels, lot, rates, feeStep }) {
  const { side, type, price, quantity, quoteAmount, timeInForce } = order;
  const buying = side === "buy";
  const limit = type === "limit" ? price : null;
  let traded = walk({ levels, side, limit, quantity, budget: quoteAmount, lot, rate: rates.taker, feeStep });
  if (timeInForce === "fok" && !traded.complete) traded = { ...traded, quantity: 0n, notional: 0n, fee: 0n };
  const resting = type === "limit" && timeInForce === "gtc" ? quantity - traded.quantity : 0n;
  const restingNotional = resting ? times(price, resting) : 0n;
  const restingFee = resting ? roundedUp(times(buying ? resting : restingNotional, rates.maker), feeStep) : 0n;
  const total = traded.notional + restingNotional;
  const fee = traded.fee + restingFee;
  return {
    traded,
    resting,
    total,
    fee,
    cost: cost({ order, traded }),
    receives: (buying ? traded.quantity + resting : total) - fee,
    average: traded.quantity ? dividedBy(traded.notional, traded.quantity) : null,
    slippage: traded.quantity ? moved(traded.first, dividedBy(traded.notional, traded.quantity)) : null,
  };
}

/** The most an order takes: of a limit order at its limit; of a market order what the walk says, or its amount. */
function cost({ order, traded }) {
  if (order.side === "sell") return order.quantity;
  if (order.type === "limit") return times(order.price, order.quantity);
  return order.quoteAmount ?? traded.notional;
}

/** How far `to` is from `from`, as a fraction in units, always positive. */
export function moved(from, to) {
  const difference = to > from ? to - from : from - to;
  return dividedBy(difference, from);
}
