"""Control commands on behalf of people: names become ids, decimals become units, the worker's answer becomes a result.

A command works with and without a server: when no matching worker leads, one runs in this process until the answer has
come. That needs no agreement with anybody, as a worker stands by for as long as another one leads.
"""

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from marketdata.models import Asset, Market
from marketdata.scale import AmountError, units_from_text
from matching import inbox, worker
from matching.engine.messages import AnyCommand
from matching.inbox import Done
from risk.models import Account
from trading.models import User

TIMEOUT_SECONDS = 10.0
LOOK_SECONDS = 1.0
"""How often one who waits for an answer looks whether there is a worker at all."""

HOUSE_FEES = "house:fees"
"""The name of the house's account that collects fees; no user name can have a colon."""

PERCENT_DECIMALS = 4
"""Of a percentage that is a whole number of millionths."""

QUOTE_FILTERS = ("tick_size", "min_notional", "max_notional", "reference_price")
BASE_FILTERS = ("lot_size", "min_quantity", "max_quantity")
PERCENT_FILTERS = ("price_band", "breaker_move")
"""The fields of MarketParameters by what they are counted in; the others are seconds."""

LEADER = """
SELECT l.pid, a.backend_start FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.classid = %s AND l.objid = %s AND l.objsubid = 1
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class BadRequest(Exception):
    """What was asked for makes no sense, so no command was filed. `code` is the stable name.

    Codes: unknown_user, unknown_account, unknown_asset, unknown_market, invalid_decimal, too_many_decimals,
    invalid_parameters, demo_only.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


# ---------------------------------------------------------------------------------------------- names and numbers


def find_user(*, username: str) -> User:
    """The user of that name. Raises BadRequest."""
    user = User.objects.filter(username=username).first()
    if user is None:
        raise BadRequest("unknown_user", f"There is no user {username!r}.")
    return user


def find_account(*, username: str, name: str = "main") -> Account:
    """The account `name` of a user, or the house's fees account for HOUSE_FEES. Raises BadRequest."""
    if username == HOUSE_FEES:
        return Account.objects.get(user=None, name="fees")
    return find_accounts(username=username, name=name)[0]


def find_accounts(*, username: str, name: str | None = None) -> list[Account]:
    """Every account of a user, oldest first, at least one; or only the account `name`. Raises BadRequest."""
    accounts = Account.objects.filter(user=find_user(username=username)).order_by("id")
    found = list(accounts if name is None else accounts.filter(name=name))
    if not found:
        raise BadRequest("unknown_account", f"{username} has no account{'' if name is None else f' {name!r}'}.")
    return found


def find_asset(*, symbol: str) -> Asset:
    """The asset of that symbol, in capitals or not. Raises BadRequest."""
    asset = Asset.objects.filter(symbol=symbol.upper()).first()
    if asset is None:
        raise BadRequest("unknown_asset", f"There is no asset {symbol!r}.")
    return asset


def find_market(*, symbol: str) -> Market:
    """The market of that symbol, in capitals or not. Raises BadRequest."""
    market = Market.objects.select_related("base", "quote").filter(symbol=symbol.upper()).first()
    if market is None:
        raise BadRequest("unknown_market", f"There is no market {symbol!r}.")
    return market


def units(*, text: str, scale: int) -> int:
    """Units of 10^-scale from a plain decimal without a sign. Raises BadRequest."""
    try:
        return units_from_text(text, scale)
    except AmountError as error:
        raise BadRequest(error.code, f"{text!r}: {error}") from error


def signed_units(*, text: str, scale: int) -> int:
    """Units of 10^-scale from a decimal that may begin with a minus. Raises BadRequest."""
    return -units(text=text[1:], scale=scale) if text.startswith("-") else units(text=text, scale=scale)


def millionths(*, percent: str) -> int:
    """Millionths from a percentage such as "0.15", "0.15%" or "-0.01". Raises BadRequest."""
    return signed_units(text=percent.removesuffix("%"), scale=PERCENT_DECIMALS)


def market_filters(*, texts: Mapping[str, str], base: Asset, quote: Asset) -> dict[str, int]:
    """Fields of MarketParameters from text: decimals in whole assets, percentages, seconds. Raises BadRequest."""
    filters = {}
    for name, text in texts.items():
        if name in PERCENT_FILTERS:
            filters[name] = millionths(percent=text)
        else:
            scale = {**dict.fromkeys(QUOTE_FILTERS, quote.scale), **dict.fromkeys(BASE_FILTERS, base.scale)}.get(
                name, 0
            )
            filters[name] = units(text=text, scale=scale)
    return filters


# ---------------------------------------------------------------------------------------------- execution


@dataclass(frozen=True, slots=True)
class Leader:
    """The matching worker that leads, as PostgreSQL sees it: the process of its connection and when that began."""

    pid: int
    since: datetime


def leader() -> Leader | None:
    """Who holds the lock of the one matching worker, in whichever process."""
    with connection.cursor() as cursor:
        cursor.execute(LEADER, [worker.LEADER_LOCK >> 32, worker.LEADER_LOCK & 0xFFFFFFFF])
        row = cursor.fetchone()
    return None if row is None else Leader(*row)


def execute(*, command: AnyCommand, actor: str, timeout: float = TIMEOUT_SECONDS) -> Done:
    """File a command and wait up to `timeout` seconds for its answer; not for use inside a transaction.

    Raises inbox.Refused, inbox.NoAnswer, inbox.CommandFailed.
    """
    return wait_for(inbox_id=inbox.file_command(command=command, actor=actor), timeout=timeout)


def execute_all(*, commands: Sequence[AnyCommand], actor: str, timeout: float = TIMEOUT_SECONDS) -> list[Done]:
    """File commands, to be executed in this order, and wait up to `timeout` seconds for all of them.

    Raises as `execute` for the first that failed; that does not keep those after it from being executed.
    """
    inbox_ids = inbox.file_commands(commands=list(commands), actor=actor)
    with contextlib.suppress(inbox.Refused, inbox.CommandFailed):
        for inbox_id in inbox_ids[-1:]:
            wait_for(inbox_id=inbox_id, timeout=timeout)
    return [inbox.wait_for(inbox_id=inbox_id, timeout=0) for inbox_id in inbox_ids]


def wait_for(*, inbox_id: int, timeout: float = TIMEOUT_SECONDS) -> Done:
    """Wait up to `timeout` seconds for the answer to a filed command; raises as `execute`.

    While no worker leads, one runs in this process.
    """
    deadline = time.monotonic() + timeout
    helped = worker.status().alive
    with contextlib.ExitStack() as stack:
        while True:
            if not helped and leader() is None:
                stack.enter_context(_worker_of_our_own())
                helped = True
            seconds_left = deadline - time.monotonic()
            try:
                return inbox.wait_for(inbox_id=inbox_id, timeout=max(0, min(seconds_left, LOOK_SECONDS)))
            except inbox.NoAnswer as error:
                if seconds_left <= LOOK_SECONDS:
                    raise inbox.NoAnswer(
                        f"No answer from the matching worker within {timeout:g} s; the command stays filed."
                    ) from error


@contextlib.contextmanager
def _worker_of_our_own() -> Iterator[None]:
    """A worker for the control lane, quiet about its coming and going."""
    logger = logging.getLogger("matching")
    level = logger.level
    logger.setLevel(logging.WARNING)
    helper = worker.Worker(lane=None)
    helper.start()
    try:
        yield
    finally:
        helper.stop()
        logger.setLevel(level)
