"""What an account may do, checked before the book: pure questions, each answered with a reason or None."""

from matching.engine.messages import Limits, Reason
from risk.ledger import Account


def limits_are_sound(limits: Limits) -> bool:
    """Limits are counts and amounts: whole numbers, not negative."""
    values = [limits.max_open_orders, limits.orders_per_second, *limits.max_positions.values()]
    return all(value is None or value >= 0 for value in values)


def order_rate_refusal(*, limits: Limits, placed: int) -> Reason | None:
    """Refuse the order that makes `placed` orders placed or amended within a second, if that is above the limit."""
    if limits.orders_per_second is not None and placed > limits.orders_per_second:
        return Reason.ORDER_RATE_EXCEEDED
    return None


def open_orders_refusal(*, account: Account, limits: Limits, market_id: int) -> Reason | None:
    """Refuse one more resting order beyond the account's maximum on the market."""
    if limits.max_open_orders is not None and account.open_orders.get(market_id, 0) >= limits.max_open_orders:
        return Reason.TOO_MANY_OPEN_ORDERS
    return None


def position_refusal(
    *, account: Account, limits: Limits, asset_id: int, incoming: int, receiving: int
) -> Reason | None:
    """Refuse what could take the account over its maximum position in an asset.

    `receiving` is what the order could bring, `incoming` what the account's other open orders could still bring (both
    in units of the asset); what the account owns already counts in full.
    """
    maximum = limits.max_positions.get(asset_id)
    if maximum is None:
        return None
    balance = account.balance(asset_id)
    if balance.available + balance.held + incoming + receiving > maximum:
        return Reason.POSITION_LIMIT
    return None
