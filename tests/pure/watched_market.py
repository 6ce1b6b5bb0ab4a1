"""A hand-made market under the eyes of one detector: what happens is said in words, seconds and small numbers."""

from collections.abc import Iterable

from matching.engine.messages import Side
from risk.surveillance.messages import (
    Alert,
    Canceled,
    Detector,
    Observation,
    Placed,
    Relation,
    Relations,
    SelfTradePrevented,
    Traded,
)
from risk.surveillance.tape import Tape

SECOND = 1_000_000
BEGAN = 20_000 * 86_400 * SECOND
MARKET = 1
CROWD = range(100, 120)
"""Honest accounts who trade a little with each other."""


class WatchedMarket:
    """Seconds count from a full hour; `middle` is the price between bid and ask, one below and above it."""

    def __init__(self, detector: type[Detector], relations: Iterable[Relation] = (), **values: float) -> None:
        complete = {one.name: one.default for one in detector.PARAMETERS} | values
        self.detector = detector(complete, Relations(relations), Tape())
        self.alerts: list[Alert] = []
        self.middle = 1000
        self.sequence = 0
        self._second = 0

    def _now(self, second: float) -> int:
        """Time comes to `second`, telling the detector every full second on the way; a new command begins."""
        for full in range(self._second + 1, int(second) + 1):
            self.alerts += self.detector.advance(BEGAN + full * SECOND)
        self._second = max(self._second, int(second))
        self.sequence += 1
        return BEGAN + int(second * SECOND)

    def _say(self, observation: Observation) -> None:
        self.alerts += self.detector.observe(observation)

    def trade(
        self,
        second: float,
        taker: int,
        side: Side,
        quantity: int,
        maker: int,
        *,
        reach: int = 0,
        maker_order: int | None = None,
    ) -> int:
        """The taker meets an order of the maker (a new one or this) `reach` behind the touch; the sequence."""
        at = self._now(second)
        order, away = self.sequence, (1 + reach) * (1 if side == "buy" else -1)
        self._say(
            Traded(
                self.sequence, at, order, MARKET, self.middle + away, quantity, (self.middle + away) * quantity, side,
                maker_order or 1_000_000 + order, order, maker, taker, at - SECOND, 0, self.middle - 1, self.middle + 1,
            )
        )  # fmt: skip
        return order

    def place(self, second: float, account: int, side: Side, quantity: int, price: int) -> int:
        """An order comes to rest; its id."""
        at = self._now(second)
        self._say(
            Placed(
                self.sequence, at, self.sequence, account, MARKET, side, price, quantity, 0, quantity, True,
                self.middle - 1, self.middle + 1,
            )
        )  # fmt: skip
        return self.sequence

    def cancel(self, second: float, order: int, account: int, side: Side, quantity: int, price: int) -> None:
        """Its owner takes an order back."""
        at = self._now(second)
        self._say(
            Canceled(
                self.sequence, at, order, account, MARKET, side, price, quantity, 0, at - SECOND, "owner",
                self.middle - 1, self.middle + 1,
            )
        )  # fmt: skip

    def prevent(self, second: float, account: int, quantity: int) -> int:
        """An order meets one of its own owner."""
        at = self._now(second)
        self._say(SelfTradePrevented(self.sequence, at, MARKET, account, quantity))
        return self.sequence

    def breathe(self, begin: int, end: int, *, every: int = 5) -> None:
        """The crowd trades one unit now and then, to both sides, and the price trembles by one."""
        for number, second in enumerate(range(begin, end, every)):
            taker, maker = CROWD[number % 20], CROWD[(number * 7 + number // 20 + 1) % 20]
            self.middle += 1 if number % 4 in (0, 3) else -1
            self.place(second, maker, "buy", 1, self.middle - 1)
            if taker != maker:
                self.trade(second, taker, "buy" if number % 2 else "sell", 1, maker)

    def rise(self, by: int) -> None:
        """The whole book goes up (or down)."""
        self.middle += by

    def until(self, second: float) -> None:
        """Nothing more happens until then."""
        self._now(second)

    def accused(self) -> set[int]:
        """Everybody who was named in an alert."""
        return {account for alert in self.alerts for account in alert.account_ids}


def tied(one: int, other: int) -> Relation:
    """Two accounts used on one device."""
    return Relation("device", one, other, "device 5f")
