"""How a person comes to an account to trade with: by signing up, or with one click in the demo; and test funds.

The user row and the command that opens the account are filed in one transaction. Who was left without an answer tries
again with the same name and password and goes on where it stopped.
"""

import contextlib
import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from marketdata.models import Asset
from matching import inbox, store
from matching.engine.messages import Deposit, OpenAccount, Reason
from risk.models import Account
from risk.models import Deposit as DepositRow
from trading import control
from trading.models import User

ANSWER_SECONDS_MAX = 10.0

TEST_FUNDS = {"USDT": "100000", "BTC": "2", "ETH": "20"}
TEST_FUNDS_REFERENCE = "demo funds"
TEST_FUNDS_PER_DAY_MAX = 3
_FUNDS_LOCK = 0x626F7572
"""The first half of the advisory lock under which a user gets funds; the second is the user's id."""

_ADJECTIVES = (
    "amber",
    "brisk",
    "calm",
    "clever",
    "coral",
    "daring",
    "eager",
    "gentle",
    "golden",
    "lively",
    "lucky",
    "swift",
)
_ANIMALS = ("badger", "crane", "falcon", "finch", "fox", "heron", "lynx", "marten", "otter", "owl", "puffin", "raven")


class UsernameTaken(Exception):
    """Somebody else has that name."""


class ExchangeAway(Exception):
    """The matching worker gives no answer now; whoever tries again goes on where this stopped."""


class FundsUsedUp(Exception):
    """As much test money as a day allows has been given."""


def sign_up(*, username: str, email: str, password: str) -> User:
    """A new user with an open account. Raises UsernameTaken, ExchangeAway (then nothing keeps a second try)."""
    _require_worker()
    user = unfinished_user(username=username, password=password)
    try:
        with transaction.atomic():
            user = user or User.objects.create_user(username, email, password)
            filed = _file_opening(user)
    except IntegrityError:
        raise UsernameTaken(username) from None
    _finish_opening(user, filed)
    return user


def start_trial() -> User:
    """A new user with a name made up, no password, an open account and test funds. Raises ExchangeAway."""
    _require_worker()
    while True:
        name = f"{secrets.choice(_ADJECTIVES)}-{secrets.choice(_ANIMALS)}-{secrets.randbelow(9000) + 1000}"
        with contextlib.suppress(IntegrityError), transaction.atomic():
            user = User.objects.create_user(name)
            filed = _file_opening(user)
            break
    _finish_opening(user, filed)
    credit_test_funds(user=user, now=timezone.now())
    return user


def is_taken(*, username: str, password: str) -> bool:
    """Whether somebody has that name, in whatever capitals, and is not just about to finish signing up with it."""
    if not User.objects.filter(username__iexact=username).exists():
        return False
    return unfinished_user(username=username, password=password) is None


def unfinished_user(*, username: str, password: str) -> User | None:
    """The user who signed up with this name and password but whose account was not opened then."""
    user = User.objects.filter(username__iexact=username, accounts=None, is_active=True).first()
    return user if user is not None and user.check_password(password) else None


def credit_test_funds(*, user: User, now: datetime) -> None:
    """Credit TEST_FUNDS to the user's main account, opening it if need be. Only in the demo.

    Raises FundsUsedUp after TEST_FUNDS_PER_DAY_MAX times within 24 hours, ExchangeAway.
    """
    assert settings.DEMO
    _require_worker()
    account = Account.objects.filter(user=user, name="main").first()
    if account is None:
        _finish_opening(user, _file_opening(user))
        account = Account.objects.get(user=user, name="main")
    assets = list(Asset.objects.filter(symbol__in=TEST_FUNDS))
    commands = [
        Deposit(
            account.id,
            asset.id,
            control.units(text=TEST_FUNDS[asset.symbol], scale=asset.scale),
            TEST_FUNDS_REFERENCE,
        )
        for asset in assets
    ]
    with _one_at_a_time(user):
        day = DepositRow.objects.filter(
            account=account, reference=TEST_FUNDS_REFERENCE, credited_at__gt=now - timedelta(days=1)
        )
        if commands and day.count() >= TEST_FUNDS_PER_DAY_MAX * len(commands):
            raise FundsUsedUp
        try:
            control.execute_all(commands=commands, actor=f"user {user.pk}", timeout=ANSWER_SECONDS_MAX)
        except inbox.NoAnswer as error:
            raise ExchangeAway from error


def _require_worker() -> None:
    """Without a worker nothing is begun."""
    if control.leader() is None:
        raise ExchangeAway


def _file_opening(user: User) -> int:
    return inbox.file_command(command=OpenAccount(user.pk), actor=f"user {user.pk}")


def _finish_opening(user: User, inbox_id: int) -> None:
    try:
        inbox.wait_for(inbox_id=inbox_id, timeout=ANSWER_SECONDS_MAX)
    except inbox.Refused as refused:
        if refused.reason is not Reason.ALREADY_EXISTS:  # an earlier try opened it after all
            raise
    except (inbox.NoAnswer, inbox.CommandFailed) as error:
        raise ExchangeAway from error


@contextlib.contextmanager
def _one_at_a_time(user: User) -> Iterator[None]:
    """So that two requests at once do not both find the day's funds untouched."""
    with contextlib.closing(store.connect()) as locking:  # the lock ends with the connection
        locking.execute("SELECT pg_advisory_lock(%s::int, %s::int)", [_FUNDS_LOCK, user.pk])
        yield
