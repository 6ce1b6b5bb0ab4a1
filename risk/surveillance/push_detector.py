"""What detectors of pushed prices share: notice a push, look at it until it is over, report who made it and left."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from risk.surveillance.messages import Alert, Books, Observation, Parameter, Placed, Relations, Severity, Traded
from risk.surveillance.prices import SECOND
from risk.surveillance.pushes import Part, Push, PushedMarket, member

REMEMBERED_MAX = 20_000


class PushDetector(ABC):
    """Watches every market's pushes over the `HORIZONS` (seconds) of its kind."""

    NAME: str
    PARAMETERS: ClassVar[tuple[Parameter, ...]]
    HORIZONS: ClassVar[Sequence[int]]
    PLATEAU: ClassVar[float]
    """A push lasts as long as no more than this part of it is undone."""
    RISES_ONLY: ClassVar[bool]
    LOOK_EVERY: ClassVar[int] = 5 * SECOND

    def __init__(self, values: Mapping[str, float], relations: Relations, books: Books) -> None:
        self._values = values
        self._relations = relations
        self._before = int(values["before"] * SECOND)
        self._lasting = int(values["lasting"] * SECOND)
        self._exit_time = int(values["exit_time"] * SECOND)
        self._mute = int(values["mute"] * SECOND)
        self._markets: dict[int, PushedMarket] = {}
        self._said: dict[tuple[int, int], tuple[int, int]] = {}

    def observe(self, observation: Observation) -> list[Alert]:
        """Take the next observation; what it completes is said when the next second begins."""
        kind = type(observation)
        if kind is Placed:
            assert isinstance(observation, Placed)
            self._market(observation.market_id).place(observation)
        elif kind is Traded:
            assert isinstance(observation, Traded)
            self._market(observation.market_id).trade(observation)
        return []

    def advance(self, now: int) -> list[Alert]:
        """Time has come to `now`: notice pushes, and look at those that are open."""
        alerts: list[Alert] = []
        for market_id, market in self._markets.items():
            market.notice(now, self._values["sigmas"])
            for push in list(market.open):
                if now < push.noticed_at + self.LOOK_EVERY:
                    continue
                push.noticed_at = now
                if not push.told and (alert := self._look(market_id, market, push, now)) is not None:
                    alerts.append(alert)
                    push.told = True
                if now > (push.first_at + self._lasting if push.told else push.end_at + self._exit_time):
                    market.open.remove(push)
        return alerts

    @abstractmethod
    def _fits(self, part: Part, push: Push) -> bool:
        """Whether a group that pushed and left did it in this detector's way."""

    @abstractmethod
    def _text(self, who: str, share: float, push: Push, seconds: float) -> str:
        """The sentence for people."""

    def _market(self, market_id: int) -> PushedMarket:
        market = self._markets.get(market_id)
        if market is None:
            memory = self._before + self._lasting + self._exit_time
            market = self._markets[market_id] = PushedMarket(
                horizons=self.HORIZONS,
                memory=memory,
                lasting=self._lasting,
                plateau=self.PLATEAU,
                rises_only=self.RISES_ONLY,
            )
        return market

    def _look(self, market_id: int, market: PushedMarket, push: Push, now: int) -> Alert | None:
        """Who made it, if the price has come back and they are out."""
        price = market.prices.at(now)
        if price is None or push.undone(price) < self._values["reversal"]:
            return None
        groups = market.made_by(push, self._relations, self._values)
        if not groups:
            return None
        parts = market.parts(push, groups, self._relations, before=self._before)
        made = [part for part in parts.values() if member(part, push, market, self._values) and self._fits(part, push)]
        pushed = sum(part.pushed for part in made)
        if not made or pushed < self._values["share"] * push.taken:
            return None
        if pushed < self._values["minutes"] * market.usual_minute():
            return None
        accounts = tuple(sorted({account for part in made for account in part.accounts}))
        if all((market_id, one) in self._said and self._said[market_id, one][0] > now - self._mute for one in accounts):
            return None
        return self._alert(market_id, market, push, made, accounts, now)

    def _alert(
        self,
        market_id: int,
        market: PushedMarket,
        push: Push,
        made: list[Part],
        accounts: tuple[int, ...],
        now: int,
    ) -> Alert:
        if len(self._said) >= REMEMBERED_MAX:
            self._said.clear()
        times = 1 + max(self._said.get((market_id, account), (0, 0))[1] for account in accounts)
        for account in accounts:
            self._said[market_id, account] = (now, times)
        severity: Severity = "high" if times > 1 else "medium"
        pushed = sum(part.pushed for part in made)
        share = pushed / push.taken
        who = f"{len(accounts)} account{'s' if len(accounts) > 1 else ''}"
        names = ("sigmas", "share", "minutes", "exit", "exit_time", "reversal")
        return Alert(
            detector=self.NAME,
            severity=severity,
            account_ids=accounts,
            market_id=market_id,
            first_sequence=min(part.first_sequence for part in made),
            last_sequence=max(part.last_sequence for part in made),
            first_at=min(part.first_at for part in made),
            last_at=max(part.last_at for part in made),
            figures={
                "sigmas": push.sigmas,
                "move": abs(push.peak - push.start),
                "share": share,
                "minutes": pushed / max(1.0, market.usual_minute()),
                "orders": float(sum(len(part.orders) for part in made)),
                "exit": sum(part.sold for part in made) / pushed,
                "gain": sum(part.gain(push.up) * part.pushed for part in made) / pushed,
                "before": sum(part.before for part in made) / pushed,
                "reversal": push.undone(market.prices.at(now) or push.peak),
                "times": float(times),
            },
            thresholds={name: self._values[name] for name in names},
            text=self._text(who, share, push, (now - push.peak_at) / SECOND),
        )
