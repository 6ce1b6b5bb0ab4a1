"""The words in which people are told of events: a title that says it all in a line, and what else there is to say.

Pure. Figures are texts; what was not given is left out of a sentence, so that an old notification stays readable when
its kind has learned new figures.
"""

from collections.abc import Callable, Mapping

Words = tuple[str, str]
"""Title and text; the text may be empty."""

Figures = Mapping[str, str]


def words(*, kind: str, figures: Figures) -> Words:
    """Title and text of an event of a known kind."""
    title, text = _WORDS[kind](figures)
    return title, text


def path(*, kind: str, figures: Figures) -> str:
    """Where on the site there is more about it, behind the host; empty: nowhere."""
    order = figures.get("order", "")
    if order.isdigit():
        return f"/orders/{order}"
    market = figures.get("market", "")
    if kind.startswith("market_") and market:
        return f"/trade/{market}"
    return figures.get("path", "") or _PATHS.get(kind, "")


_PATHS = {
    "deposit_credited": "/portfolio/transfers",
    "withdrawal_pending": "/portfolio/transfers",
    "withdrawal_paid": "/portfolio/transfers",
    "withdrawal_refused": "/portfolio/transfers",
    "command_refused": "/portfolio/transfers",
    "login_new_address": "/account/security",
    "two_factor_changed": "/account/security",
    "api_key_created": "/account/api-keys",
    "fee_tier_changed": "/portfolio",
}


def grouped(text: str) -> str:
    """A comma between thousands of a decimal text."""
    whole, dot, fraction = text.partition(".")
    return f"{int(whole):,}{dot}{fraction}" if whole.isdigit() else text


def _order_filled(figures: Figures) -> Words:
    return f"{_done(figures)} {_amount(figures, 'filled')}{_at(figures)}", f"Your {_order(figures)} is filled."


def _order_partly_filled(figures: Figures) -> Words:
    filled = _amount(figures, "filled")
    if figures.get("quantity") and figures.get("filled"):
        filled = f"{grouped(figures['filled'])} of {_amount(figures, 'quantity')}"
    rest = f" The rest was canceled: {_lowered(figures['note'])}" if figures.get("note") else " The rest stays open."
    return f"{_done(figures)} {filled}{_at(figures)}", f"Your {_order(figures)} is partly filled.{rest}"


def _order_canceled(figures: Figures) -> Words:
    filled = figures.get("filled", "")
    part = f" {_amount(figures, 'filled')} of it had been filled." if filled.strip("0.") else ""
    return f"Your {_order(figures)} was canceled", f"{figures.get('note', '')}{part}".strip()


def _command_refused(figures: Figures) -> Words:
    return f"{figures.get('what', 'A request')} was refused", figures.get("note", "")


def _deposit_credited(figures: Figures) -> Words:
    return f"{_amount(figures, 'amount')} was deposited", "It is available in your account now."


def _withdrawal_pending(figures: Figures) -> Words:
    to = f" to {figures['destination']}" if figures.get("destination") else ""
    return f"Withdrawal of {_amount(figures, 'amount')} requested", f"It goes{to} once an operator has approved it."


def _withdrawal_paid(figures: Figures) -> Words:
    to = f" to {figures['destination']}" if figures.get("destination") else ""
    return f"Withdrawal of {_amount(figures, 'amount')} paid", f"It is on its way{to}."


def _withdrawal_refused(figures: Figures) -> Words:
    why = f" The operator says: {figures['note']}" if figures.get("note") else ""
    return f"Withdrawal of {_amount(figures, 'amount')} refused", f"The amount is available again.{why}"


def _fee_tier_changed(figures: Figures) -> Words:
    tier = f": {figures['tier']}" if figures.get("tier") else ""
    rates = [f"{name} {figures[name + '_rate']}" for name in ("maker", "taker") if figures.get(name + "_rate")]
    return f"Your fee tier changed{tier}", f"You pay {' and '.join(rates)} from now on." if rates else ""


def _login_new_address(figures: Figures) -> Words:
    device = figures.get("device", "")
    text = f"{device}, address {figures.get('address', 'unknown')}." if device else ""
    return "Login from a new address", f"{text} If this was not you, change your password at once.".strip()


def _api_key_created(figures: Figures) -> Words:
    may = f" It may {figures['scopes']}." if figures.get("scopes") else ""
    text = f"{figures.get('key', 'The key')} on account {figures.get('account', 'main')}.{may}"
    name = f" {figures['label']}" if figures.get("label") else ""
    return f"API key{name} created", f"{text} If this was not you, revoke it."


def _two_factor_changed(figures: Figures) -> Words:
    change = figures.get("change", "changed")
    if change == "new recovery codes":
        title = "New recovery codes"
        text = "The old ones are worth nothing any more."
    else:
        title, text = f"Two-factor was {change}", ""
    return title, f"{text} If this was not you, change your password at once.".strip()


def _account_frozen(figures: Figures) -> Words:
    why = f" The operator says: {figures['note']}" if figures.get("note") else ""
    return f"{_account(figures)} was frozen", f"It can cancel orders, but not place any or withdraw.{why}"


def _account_unfrozen(figures: Figures) -> Words:
    return f"{_account(figures)} was unfrozen", "It can trade and withdraw again."


def _conduct_warning(figures: Figures) -> Words:
    return "A warning about your trading", figures.get("reason", "")


def _market_halted(figures: Figures) -> Words:
    state = figures.get("state", "halted").replace("_", " ")
    why = figures.get("note", "")
    until = f" It reopens at {figures['until']} UTC." if figures.get("until") else ""
    title = f"{figures['market']} is {state}" if figures.get("market") else "Trading is halted on every market"
    sentence = f"{why[:1].upper()}{why[1:]}." if why and not why.endswith(".") else why
    return title, f"{sentence}{until} Your orders stay; you can cancel them.".strip()


def _market_reopened(figures: Figures) -> Words:
    market = figures.get("market", "")
    return f"{market} is open again" if market else "Trading is open again on every market", figures.get("note", "")


def _risk_alert(figures: Figures) -> Words:
    severity = f"{figures['severity'].capitalize()} alert: " if figures.get("severity") else "Alert: "
    title = figures.get("title") or f"{severity}{figures.get('detector', 'surveillance').replace('_', ' ')}"
    where = f" on {figures['market']}" if figures.get("market") and not figures.get("title") else ""
    return f"{title}{where}", figures.get("text", "")


_WORDS: dict[str, Callable[[Figures], Words]] = {
    "order_filled": _order_filled,
    "order_partly_filled": _order_partly_filled,
    "order_canceled": _order_canceled,
    "command_refused": _command_refused,
    "deposit_credited": _deposit_credited,
    "withdrawal_pending": _withdrawal_pending,
    "withdrawal_paid": _withdrawal_paid,
    "withdrawal_refused": _withdrawal_refused,
    "fee_tier_changed": _fee_tier_changed,
    "login_new_address": _login_new_address,
    "api_key_created": _api_key_created,
    "two_factor_changed": _two_factor_changed,
    "account_frozen": _account_frozen,
    "account_unfrozen": _account_unfrozen,
    "conduct_warning": _conduct_warning,
    "market_halted": _market_halted,
    "market_reopened": _market_reopened,
    "risk_alert": _risk_alert,
}


def _done(figures: Figures) -> str:
    return "Sold" if figures.get("side") == "sell" else "Bought"


def _amount(figures: Figures, name: str) -> str:
    asset = figures.get("base") or figures.get("asset", "")
    return f"{grouped(figures[name])} {asset}".strip() if figures.get(name) else "an amount"


def _at(figures: Figures) -> str:
    average = figures.get("average_price", "")
    return f" at {grouped(average)} {figures.get('quote', '')}".rstrip() if average else ""


def _order(figures: Figures) -> str:
    side, market = figures.get("side", ""), figures.get("market", "")
    return f"{side} order on {market}".strip() if market else "order"


def _account(figures: Figures) -> str:
    name = figures.get("account", "")
    return f"Account {name}" if name and name != "main" else "Your account"


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
