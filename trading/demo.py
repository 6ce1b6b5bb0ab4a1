"""The demo: assets, markets, users with funds, and their API keys, made once and shown at every start.

Everything that the exchange owns is made by filed commands, so the demo is in the journal like anything else. What is
there already is left as it is; a start that finds both keys and the right limits asks the database one question.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
from cryptography.fernet import InvalidToken
from django.conf import settings
from django.contrib.auth.models import Group
from django.core.exceptions import ObjectDoesNotExist
from django.db import connection
from django.db.models import Subquery

from fees.models import FeeTier as FeeTierRow
from marketdata.models import Asset, Market
from matching import store
from matching.engine.messages import (
    AnyCommand,
    CreateAsset,
    CreateMarket,
    Deposit,
    FeeTier,
    Limits,
    MarketParameters,
    OpenAccount,
    SetFeeTiers,
    SetLimits,
)
from matching.models import InboxCommand
from risk.models import Account, Limit
from risk.models import Deposit as DepositRow
from trading import control
from trading.api_keys import SCOPES, decrypted, issue_api_key
from trading.demo_flow.client import Key
from trading.models import ApiKey, User

ACTOR = "demo seed"
REFERENCE = "demo seed"
KEY_LABEL = "demo"
FLOW_KEY_LABEL = "demo flow"
SEED_LOCK = 0x626F757273650002
"""The PostgreSQL advisory lock of whoever makes the demo, so that a server and `manage.py seed` do not both do it."""

TIMEOUT_SECONDS = 60.0

TRADERS = ("alice", "bob")
OPERATOR = "admin"
DESK = {"support": "support", "risk": "risk", "treasury": "treasury", "operator": "admin"}
"""Operators who are no superusers, and their roles: two of them can try what takes two."""

MAIN_ACCOUNT = "main"

FLOW_MAKERS = ("demo-maker-1", "demo-maker-2", "demo-maker-3")
FLOW_TAKERS = ("demo-taker-1", "demo-taker-2", "demo-taker-3")
FLOW = (*FLOW_MAKERS, *FLOW_TAKERS)
FLOW_ACCOUNT = "demo-flow"
"""The demo's own makers and takers (see trading/demo_flow), told apart by their names and their accounts'."""

PASSWORD = "{username}-demo"  # noqa: S105 - the demo has no secrets

ASSETS = (("BTC", "Bitcoin", 8), ("ETH", "Ether", 8), ("USDT", "Tether", 8))

MARKETS = {
    ("BTC", "USDT"): {
        "tick_size": "0.01", "lot_size": "0.00001", "min_quantity": "0.00001", "max_quantity": "1000",
        "min_notional": "5", "max_notional": "10000000", "reference_price": "43000",
    },
    ("ETH", "USDT"): {
        "tick_size": "0.01", "lot_size": "0.0001", "min_quantity": "0.0001", "max_quantity": "10000",
        "min_notional": "5", "max_notional": "10000000", "reference_price": "2300",
    },
    ("ETH", "BTC"): {
        "tick_size": "0.00001", "lot_size": "0.001", "min_quantity": "0.001", "max_quantity": "10000",
        "min_notional": "0.0001", "max_notional": "300", "reference_price": "0.05349",
    },
}  # fmt: skip
EVERY_MARKET = {"price_band": "50", "breaker_move": "10", "breaker_window": "300", "breaker_pause": "300"}

FUNDS = {
    "alice": {"BTC": "1000", "ETH": "10000", "USDT": "100000000"},
    "bob": {"BTC": "1000", "ETH": "10000", "USDT": "100000000"},
    "admin": {"BTC": "10", "ETH": "100", "USDT": "1000000"},
}
FLOW_FUNDS = {"BTC": "20000", "ETH": "300000", "USDT": "1000000000"}

VALUATION_ASSET = "USDT"
TIERS = (
    ("0", "0.10", "0.15"),
    ("1000000", "0.08", "0.12"),
    ("10000000", "0.06", "0.10"),
    ("50000000", "0.04", "0.08"),
    ("250000000", "0.02", "0.06"),
    ("1000000000", "0", "0.05"),
)
"""30-day volume in the valuation asset, maker and taker rate in percent."""

TRADER_LIMITS = Limits(max_open_orders=200_000)

FIRST_ORDER = '{"market":"BTC-USDT","side":"buy","type":"limit","price":"43000.00","quantity":"0.01500"}'


@dataclass(frozen=True, slots=True)
class _DemoKey:
    """A demo key, ready to be used, and the limits in force (None: no row)."""

    key: str
    secret: str
    account_id: int
    limits: Limits | None
    default_limits: Limits | None


def seed_demo(*, base_url: str) -> list[str]:
    """Make the demo unless it is there; what a new user must know, in lines to print. Never in production.

    Needs a matching worker, or runs one. Also brings the limits of orders per second in line with RATE_LIMITS: none
    when it is off, and the usual one again when it is on and there is none.
    """
    assert settings.DEMO
    keys = _demo_keys()
    if keys.keys() != set(_key_owners()):
        with _only_seeder():
            _make_keys(_make_accounts())
            keys = _demo_keys()
    _execute(_limit_commands(list(keys.values())))
    connection.close()
    return _lines(keys, base_url)


def seed_accounts() -> None:
    """Make all of the demo but its keys, unless it is there: whoever makes history begins with this."""
    with _only_seeder():
        _make_accounts()
    connection.close()


def flow_keys() -> list[Key]:
    """The keys of the demo's own makers and takers, with their secrets; none when DEMO_FLOW is off."""
    keys = _demo_keys()
    connection.close()
    return [Key(name, keys[name].key, keys[name].secret) for name in FLOW if name in keys]


def _lines(keys: dict[str, _DemoKey], base_url: str) -> list[str]:
    users = ", ".join(f"{name} / {PASSWORD.format(username=name)}" for name in (*TRADERS, OPERATOR))
    desk = ", ".join(f"{name} / {PASSWORD.format(username=name)}" for name in DESK)
    found = keys[TRADERS[0]]
    return [
        f"Users and passwords: {users}",
        f"Operators of {base_url}/admin/, by role: {desk}",
        *(f"API key of {name}: {keys[name].key}  secret: {keys[name].secret}" for name in TRADERS),
        f"A first order by {TRADERS[0]}, to paste into a shell:",
        first_order(base_url=base_url, key=found.key, secret=found.secret),
    ]


def first_order(*, base_url: str, key: str, secret: str) -> str:
    """One line of shell that signs and places an order."""
    return (
        f"key={key} secret={secret} ts=$(date +%s%3N) body='{FIRST_ORDER}'; "
        """sig=$(printf '%s' "${ts}POST/api/v1/orders$body" | openssl dgst -sha256 -hmac "$secret" | sed 's/.* //'); """
        f'curl -sS {base_url}/api/v1/orders -H "X-API-Key: $key" -H "X-Timestamp: $ts" -H "X-Signature: $sig" '
        """-H 'Content-Type: application/json' -d "$body"; echo"""
    )


# ---------------------------------------------------------------------------------------------- what is there


def _key_owners() -> tuple[str, ...]:
    return (*TRADERS, *FLOW) if settings.DEMO_FLOW else TRADERS


def _account_name(username: str) -> str:
    return FLOW_ACCOUNT if username in FLOW else MAIN_ACCOUNT


def _demo_keys() -> dict[str, _DemoKey]:
    """The newest usable demo key of each user who is to have one, by name; with everything else a restart looks at."""
    default = Limit.objects.filter(account=None).values("limits")[:1]
    rows = (
        ApiKey.objects.filter(user__username__in=_key_owners(), label__in=(KEY_LABEL, FLOW_KEY_LABEL), revoked_at=None)
        .select_related("user", "account__limit")
        .annotate(default_limits=Subquery(default))
        .order_by("id")
    )
    keys = {}
    for row in rows:
        with contextlib.suppress(InvalidToken):  # of another SECRET_KEY: nobody can use it any more
            keys[row.user.username] = _DemoKey(
                key=row.key,
                secret=decrypted(bytes(row.secret_encrypted or b"")).decode(),
                account_id=row.account_id,
                limits=_own_limits(row.account),
                default_limits=_decoded(row.default_limits),
            )
    return keys


def _own_limits(account: Account) -> Limits | None:
    try:
        return _decoded(account.limit.limits)
    except ObjectDoesNotExist:
        return None


def _decoded(text: str | None) -> Limits | None:
    return None if text is None else msgspec.json.decode(text, type=Limits)


def _limit_commands(keys: Sequence[_DemoKey]) -> list[AnyCommand]:
    """What brings orders per second in line with RATE_LIMITS, for everyone and for the traders; usually nothing."""
    limits: dict[int | None, Limits] = {None: keys[0].default_limits or Limits()}
    limits |= {key.account_id: key.limits for key in keys if key.limits is not None}
    wanted = {account_id: _in_line(limit) for account_id, limit in limits.items()}
    return [SetLimits(account_id, limit) for account_id, limit in wanted.items() if limit != limits[account_id]]


def _in_line(limits: Limits) -> Limits:
    if not settings.RATE_LIMITS:
        return msgspec.structs.replace(limits, orders_per_second=None)
    if limits.orders_per_second is None:
        return msgspec.structs.replace(limits, orders_per_second=Limits().orders_per_second)
    return limits


# ---------------------------------------------------------------------------------------------- what is made


@contextlib.contextmanager
def _only_seeder() -> Iterator[None]:
    """One at a time, and only when commands that an interrupted seeder has left behind are done."""
    with contextlib.closing(store.connect()) as locking:  # the lock ends with the connection
        locking.execute("SELECT pg_advisory_lock(%s)", [SEED_LOCK])
        left = InboxCommand.objects.filter(done_at=None, actor=ACTOR).order_by("-id").first()
        if left is not None:
            with contextlib.suppress(control.inbox.Refused):
                control.wait_for(inbox_id=left.id, timeout=TIMEOUT_SECONDS)
        yield


def _make_accounts() -> dict[str, Account]:
    """Whatever is missing, in an order in which each thing finds what it needs; the accounts by user name."""
    users = _make_users()
    _make_operators()
    _execute([*_missing_assets(), *_missing_accounts(users)])
    assets = {asset.symbol: asset for asset in Asset.objects.all()}
    accounts = {name: Account.objects.get(user=user, name=_account_name(name)) for name, user in users.items()}
    _execute(
        [
            *_missing_markets(assets),
            *_missing_tiers(assets[VALUATION_ASSET]),
            *_missing_limits([accounts[name] for name in TRADERS]),
            *_missing_deposits(accounts, assets),
        ]
    )
    return accounts


def _make_keys(accounts: dict[str, Account]) -> None:
    """The keys, which mean "done", come last."""
    usable = _demo_keys()
    for name in _key_owners():
        if name in FLOW and name not in usable:
            issue_api_key(account=accounts[name], scopes=("read", "trade"), label=FLOW_KEY_LABEL)
        elif name not in usable:
            issue_api_key(account=accounts[name], scopes=SCOPES, label=KEY_LABEL)


def _execute(commands: Sequence[AnyCommand]) -> None:
    control.execute_all(commands=commands, actor=ACTOR, timeout=TIMEOUT_SECONDS)


def _funds() -> dict[str, dict[str, str]]:
    """Whom the demo has, and with what."""
    return FUNDS | dict.fromkeys(FLOW, FLOW_FUNDS) if settings.DEMO_FLOW else FUNDS


def _make_users() -> dict[str, User]:
    users = {user.username: user for user in User.objects.filter(username__in=_funds())}
    for name in _funds():
        if name in users:
            continue
        if name in FLOW:  # without a password nobody can sign in
            role = "market maker" if name in FLOW_MAKERS else "taker"
            users[name] = User.objects.create_user(name, first_name="Demo", last_name=role)
        else:
            make = User.objects.create_superuser if name == OPERATOR else User.objects.create_user
            users[name] = make(name, password=PASSWORD.format(username=name))
    return {name: users[name] for name in _funds()}


def _make_operators() -> None:
    known = set(User.objects.filter(username__in=DESK).values_list("username", flat=True))
    for name, role in DESK.items():
        if name not in known:
            operator = User.objects.create_user(name, password=PASSWORD.format(username=name), is_staff=True)
            operator.groups.add(Group.objects.get(name=role))


def _missing_assets() -> Iterator[AnyCommand]:
    known = set(Asset.objects.values_list("symbol", flat=True))
    return (CreateAsset(symbol, name, scale) for symbol, name, scale in ASSETS if symbol not in known)


def _missing_accounts(users: dict[str, User]) -> Iterator[AnyCommand]:
    known = set(Account.objects.filter(user__in=users.values()).values_list("user_id", "name"))
    wanted = ((user.pk, _account_name(name)) for name, user in users.items())
    return (OpenAccount(user_id, name) for user_id, name in wanted if (user_id, name) not in known)


def _missing_markets(assets: dict[str, Asset]) -> Iterator[AnyCommand]:
    known = set(Market.objects.values_list("symbol", flat=True))
    for (base, quote), filters in MARKETS.items():
        if f"{base}-{quote}" not in known:
            texts = filters | EVERY_MARKET
            parameters = control.market_filters(texts=texts, base=assets[base], quote=assets[quote])
            yield CreateMarket(assets[base].id, assets[quote].id, MarketParameters(**parameters))


def _missing_tiers(valuation: Asset) -> Iterator[AnyCommand]:
    if not FeeTierRow.objects.exists():
        tiers = (
            FeeTier(
                control.units(text=volume, scale=valuation.scale),
                control.millionths(percent=maker),
                control.millionths(percent=taker),
            )
            for volume, maker, taker in TIERS
        )
        yield SetFeeTiers(tuple(tiers), valuation.id)


def _missing_limits(accounts: Sequence[Account]) -> Iterator[AnyCommand]:
    known = set(Limit.objects.values_list("account_id", flat=True))
    return (SetLimits(account.id, TRADER_LIMITS) for account in accounts if account.id not in known)


def _missing_deposits(accounts: dict[str, Account], assets: dict[str, Asset]) -> Iterator[AnyCommand]:
    known = set(DepositRow.objects.filter(reference=REFERENCE).values_list("account_id", "asset_id"))
    for name, funds in _funds().items():
        for symbol, text in funds.items():
            account, asset = accounts[name], assets[symbol]
            if (account.id, asset.id) not in known:
                yield Deposit(account.id, asset.id, control.units(text=text, scale=asset.scale), REFERENCE)
