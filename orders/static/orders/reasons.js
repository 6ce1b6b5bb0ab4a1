// Why an order ended before it was filled, in the exchange's words: the documented text of each reason.

const TEXTS = {
  user_canceled: "The owner canceled the order.",
  immediate_or_cancel: "The rest of an immediate-or-cancel order is canceled.",
  fill_or_kill: "The fill-or-kill order could not be filled completely.",
  self_trade_prevented: "The order met another order of the same owner.",
  no_liquidity: "Nothing was left on the other side of the book at an allowed price.",
  price_band: "The rest would have traded outside the market's price band.",
  circuit_breaker: "The rest would have moved the price further than the circuit breaker allows.",
  account_was_frozen: "An operator froze the account and canceled its orders.",
  account_frozen: "The account is frozen: it can cancel orders, but not place or withdraw.",
  exchange_halted: "Trading is halted on every market; cancels are accepted.",
  market_halted: "The market is halted; cancels are accepted.",
  market_cancel_only: "The market takes only cancels at the moment.",
  market_post_only: "The market takes only post-only orders at the moment.",
  quantity_too_small: "The quantity is below the market's minimum.",
  quantity_too_large: "The quantity is above the market's maximum.",
  notional_too_small: "Price times quantity is below the market's minimum.",
  notional_too_large: "Price times quantity is above the market's maximum.",
  quantity_off_lot: "The quantity is not a positive multiple of the market's lot size.",
  price_off_tick: "The price is not a positive multiple of the market's tick size.",
  price_outside_band: "The price is outside the market's band around the last trade.",
  post_only_would_trade: "The post-only order would have traded at once.",
  insufficient_balance: "The available balance does not cover the order or withdrawal.",
  too_many_open_orders: "The account has its maximum of open orders on this market.",
  position_limit: "The order could take the account over its maximum position in an asset.",
  order_rate_exceeded: "The account placed or amended too many orders within a second.",
};

/** The text of a reason; an unknown one in its own letters. */
export function reasonText(reason) {
  return TEXTS[reason] ?? `${reason.replaceAll("_", " ")}.`;
}
