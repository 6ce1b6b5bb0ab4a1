"""A run placed into the running exchange, at its own pace or faster, so that operators see alerts arise.

Its markets are LARGE-SIM and SMALL-SIM, made when they are missing; each account is a fresh one of a fresh user, funded
as in the run. What accounts have in common is told the way the exchange learns it: sightings of addresses and devices,
references of deposits, destinations of withdrawals. At the end what still rests is canceled.
"""

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
from django.contrib.auth import get_user_model

from marketdata.models import Asset, Market
from matching import inbox
from matching.attack.scenario import Run
from matching.attack.world import BASE_SCALE, QUOTE_SCALE, SECOND, Step
from matching.engine.messages import (
    AccountOpened,
    AmendOrder,
    AnyCommand,
    AssetCreated,
    CancelOrder,
    CancelOrders,
    CreateAsset,
    CreateMarket,
    Deposit,
    Limits,
    MarketChanged,
    OpenAccount,
    PlaceOrder,
    RequestWithdrawal,
    SetLimits,
    SetMarketParameters,
)
from matching.replay_feed import ANSWER_SECONDS_MAX, Progress, ReplayError, execute, feeding
from risk import relations
from risk.models import Account
from risk.surveillance.messages import Relation

ACTOR = "attack"
QUOTE = "SIM"


class Placed(NamedTuple):
    """What came of it. `accounts`: the run's account ids to those of the exchange; `markets` likewise."""

    accounts: dict[int, int]
    markets: dict[int, int]
    commands: int
    seconds: float
    interrupted: bool


def place(*, run: Run, speed: float, progress: Progress) -> Placed:
    """Place a run's orders at `speed` times their own pace; returns early on KeyboardInterrupt. Raises ReplayError."""
    done = 0
    interrupted = False

    def count(commands: int) -> None:
        nonlocal done
        done = commands
        progress(commands)

    with feeding() as feeder:
        number = _next_number()
        markets = _markets(run.steps[: run.setup])
        accounts = _accounts(run, number)
        began = time.monotonic()
        try:
            timed = _timed(run.steps[run.setup :], _Names(number, accounts, markets), speed)
            feeder.feed_timed(timed=timed, progress=count)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            _executed([CancelOrders(account_id) for account_id in accounts.values()])
    return Placed(accounts, markets, done, time.monotonic() - began, interrupted)


class _Names(NamedTuple):
    """What the run's accounts, markets and orders are called in the exchange."""

    number: int
    accounts: dict[int, int]
    markets: dict[int, int]

    def order(self, order_id: int | None) -> str:
        """The client order id of an order of the run."""
        return f"attack{self.number}-{order_id}"

    def told(self, step: Step) -> AnyCommand:
        """A step's command in the exchange's terms."""
        command = step.command
        if isinstance(command, PlaceOrder):
            return msgspec.structs.replace(
                command, account_id=self.accounts[command.account_id], market_id=self.markets[command.market_id],
                client_order_id=self.order(step.sequence),
            )  # fmt: skip
        if isinstance(command, CancelOrder):
            return CancelOrder(self.accounts[command.account_id], client_order_id=self.order(command.order_id))
        if isinstance(command, AmendOrder):
            return AmendOrder(
                self.accounts[command.account_id], client_order_id=self.order(command.order_id), price=command.price,
                quantity=command.quantity,
            )  # fmt: skip
        assert isinstance(command, CancelOrders), command
        assert command.market_id is not None, command
        return CancelOrders(self.accounts[command.account_id], self.markets[command.market_id], command.side)


def _timed(steps: Sequence[Step], names: _Names, speed: float) -> Iterator[tuple[float, AnyCommand]]:
    """Each command with the seconds from now on when it is due."""
    for step in steps:
        yield (step.at - steps[0].at) / SECOND / speed, names.told(step)


def _next_number() -> int:
    number = 1
    while Account.objects.filter(name__startswith=f"attack {number} ").exists():
        number += 1
    return number


# ---------------------------------------------------------------------------------------------- markets and accounts


def _markets(steps: Sequence[Step]) -> dict[int, int]:
    """The run's markets under their own names, with the run's filters."""
    quote_id = _asset_id(QUOTE, "Simulated money", QUOTE_SCALE)
    assets = {
        event.asset_id: event.symbol.removesuffix("B")
        for step in steps
        for event in step.events
        if isinstance(event, AssetCreated)
    }
    found: dict[int, int] = {}
    for step in steps:
        changed = step.events[0]
        if not isinstance(step.command, CreateMarket) or not isinstance(changed, MarketChanged):
            continue
        name = assets[changed.base_asset_id]
        market = Market.objects.filter(symbol=f"{name}-{QUOTE}").first()
        if market is not None:
            execute(SetMarketParameters(market.pk, step.command.parameters))
            found[changed.market_id] = market.pk
        else:
            base_id = _asset_id(name, f"Simulated {name.lower()}", BASE_SCALE)
            created = execute(CreateMarket(base_id, quote_id, step.command.parameters))
            assert isinstance(created, MarketChanged)
            found[changed.market_id] = created.market_id
    return found


def _asset_id(symbol: str, name: str, scale: int) -> int:
    found = Asset.objects.filter(symbol=symbol).first()
    if found is not None:
        return found.pk
    created = execute(CreateAsset(symbol, name, scale))
    assert isinstance(created, AssetCreated)
    return created.asset_id


def _accounts(run: Run, number: int) -> dict[int, int]:
    """A fresh account for each of the run's, one user for each of its owners, with funds and without limits."""
    users: dict[int, int] = {}
    opened: list[tuple[int, int]] = []
    for step in run.steps[: run.setup]:
        event = step.events[0]
        if isinstance(event, AccountOpened):
            if event.user_id not in users:
                user, _ = get_user_model().objects.get_or_create(username=f"attack-{number}-{event.user_id}")
                users[event.user_id] = user.pk
            opened.append((event.account_id, users[event.user_id]))
    events = _executed(
        [
            OpenAccount(user_id, f"attack {number} {run.roles[account_id]} {account_id}")
            for account_id, user_id in opened
        ]
    )
    accounts = {
        account_id: event.account_id
        for (account_id, _), event in zip(opened, events, strict=True)
        if isinstance(event, AccountOpened)
    }
    _executed([SetLimits(account_id, Limits(max_open_orders=None, orders_per_second=None))
               for account_id in accounts.values()])  # fmt: skip
    _fund(accounts)
    owners = dict(opened)
    for relation in run.relations:
        _tell(relation, accounts, owners)
    return accounts


def _fund(accounts: dict[int, int]) -> None:
    """More of everything than anybody needs; the references of test money tie nobody."""
    assets = Asset.objects.filter(symbol__in=[QUOTE, "LARGE", "SMALL"])
    _executed(
        [
            Deposit(account_id, asset.pk, 10**9 * 10**asset.scale, "demo attack")
            for account_id in accounts.values()
            for asset in assets
        ]
    )


def _tell(relation: Relation, accounts: dict[int, int], owners: dict[int, int]) -> None:
    """Let the exchange learn what two accounts have in common."""
    quote = Asset.objects.get(symbol=QUOTE)
    for account_id in (relation.account_id, relation.other_id):
        if relation.kind in ("address", "device"):
            relations.note_sighting(user_id=owners[account_id], kind=relation.kind, value=relation.evidence)
        elif relation.kind == "funding":
            execute(Deposit(accounts[account_id], quote.pk, 10**quote.scale, relation.evidence))
        elif relation.kind == "withdrawal_target":
            execute(RequestWithdrawal(accounts[account_id], quote.pk, 10**quote.scale, relation.evidence))


def _executed(commands: list[AnyCommand]) -> list[object]:
    """The first event of each of many filed commands. Raises ReplayError."""
    try:
        return [
            inbox.wait_for(inbox_id=inbox_id, timeout=ANSWER_SECONDS_MAX).events[0]
            for inbox_id in inbox.file_commands(commands=commands, actor=ACTOR)
        ]
    except (inbox.Refused, inbox.NoAnswer, inbox.CommandFailed) as error:
        raise ReplayError(f"The set-up failed: {error}") from error
