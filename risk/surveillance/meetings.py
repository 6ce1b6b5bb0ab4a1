"""Who trades with whom on a market, within a sliding window, and how often they would meet by chance.

A meeting is one order of the one and one of the other, in however many trades. The window slides by buckets: each
counts how often every account took and made, per side, so that what is expected follows the market's hours.
"""

from collections import defaultdict, deque
from collections.abc import Collection, Iterator

from risk.surveillance.messages import Traded

BUCKETS = 12
"""The window slides by a twelfth of itself."""

MEETINGS_OF_PAIR_MAX = 256
PAIRS_MAX = 100_000

PRIOR_MEETINGS = 10
"""A bucket's share of a maker is averaged with its share in the whole window, as if that were so many meetings."""


class Meeting:
    """Orders of two accounts met: `quantity` (base units) went from seller to buyer, in one trade or several."""

    __slots__ = (
        "at",
        "bucket",
        "maker_age",
        "maker_order_id",
        "quantity",
        "seller_id",
        "sequence",
        "taker_buys",
        "taker_order_id",
    )

    def __init__(self, trade: Traded, bucket: int) -> None:
        self.at = trade.at
        self.bucket = bucket
        self.sequence = trade.sequence
        self.taker_order_id = trade.taker_order_id
        self.maker_order_id = trade.maker_order_id
        self.quantity = trade.quantity
        self.taker_buys = trade.taker_side == "buy"
        self.seller_id = trade.maker_account_id if self.taker_buys else trade.taker_account_id
        self.maker_age = trade.at - trade.maker_placed_at

    def is_continued_by(self, trade: Traded) -> bool:
        """Whether one of the two orders is the same: an order that is taken bit by bit is met once."""
        return trade.taker_order_id == self.taker_order_id or trade.maker_order_id == self.maker_order_id


class _Bucket:
    """What every account did in a stretch of time. Counts are keyed by account and whether the taker bought."""

    __slots__ = ("index", "made", "taken", "totals", "volumes")

    def __init__(self, index: int) -> None:
        self.index = index
        self.taken: defaultdict[tuple[int, bool], int] = defaultdict(int)
        self.made: defaultdict[tuple[int, bool], int] = defaultdict(int)
        self.totals = [0, 0]
        self.volumes: defaultdict[int, int] = defaultdict(int)


class Meetings:
    """The meetings of one market within `window` microseconds."""

    def __init__(self, window: int) -> None:
        self._stretch = max(1, window // BUCKETS)
        self._buckets: deque[_Bucket] = deque(maxlen=BUCKETS)
        self._met: dict[int, dict[int, deque[Meeting]]] = {}
        self._pairs = 0
        self._counts: defaultdict[int, int] = defaultdict(int)
        self._taken: defaultdict[int, int] = defaultdict(int)
        self._total = 0

    def add(self, trade: Traded) -> deque[Meeting]:
        """Take a trade; all meetings of its two accounts."""
        index = trade.at // self._stretch
        if not self._buckets or self._buckets[-1].index != index:
            self._turn(index)
        bucket = self._buckets[-1]
        taker, maker = trade.taker_account_id, trade.maker_account_id
        bucket.volumes[taker] += trade.quantity
        bucket.volumes[maker] += trade.quantity
        pair = self.between(taker, maker)
        if pair and pair[-1].is_continued_by(trade):
            pair[-1].quantity += trade.quantity
            return pair
        if not pair:
            pair = self._introduce(taker, maker)
        meeting = Meeting(trade, index)
        pair.append(meeting)
        buys = meeting.taker_buys
        bucket.taken[taker, buys] += 1
        bucket.made[maker, buys] += 1
        bucket.totals[buys] += 1
        self._counts[taker] += 1
        self._counts[maker] += 1
        self._taken[taker] += 1
        self._total += 1
        return pair

    def between(self, one: int, other: int) -> deque[Meeting]:
        """The meetings of two accounts, oldest first."""
        return self._met.get(one, {}).get(other) or deque()

    def partners(self, account_id: int) -> dict[int, deque[Meeting]]:
        """Whom the account met, and when."""
        return self._met.get(account_id, {})

    def count(self, account_id: int) -> int:
        """How many meetings the account had, with anybody."""
        return self._counts.get(account_id, 0)

    def volume(self, account_id: int) -> int:
        """What the account traded, bought and sold (base units)."""
        return sum(bucket.volumes.get(account_id, 0) for bucket in self._buckets)

    def among(self, accounts: Collection[int]) -> Iterator[tuple[int, int, deque[Meeting]]]:
        """The meetings of every two of the accounts, as (one, other, meetings)."""
        ordered = sorted(accounts)
        for number, one in enumerate(ordered):
            partners = self.partners(one)
            for other in ordered[number + 1 :]:
                if (pair := partners.get(other)) is not None:
                    yield one, other, pair

    def roughly_expected(self, one: int, other: int, count: int) -> float:
        """How often two accounts, who met `count` times, would by chance: from the window's totals, cheaply."""
        total = self._total + PRIOR_MEETINGS
        taken_one, taken_other = self._taken.get(one, 0), self._taken.get(other, 0)
        made_one = self._counts[one] - taken_one
        made_other = self._counts[other] - taken_other
        return taken_one * max(0.5, made_other - count) / (total - taken_one) + taken_other * max(
            0.5, made_one - count
        ) / (total - taken_other)

    def expected(self, accounts: Collection[int]) -> float:
        """How often these accounts would take from one another if they took as the rest of the market does.

        In each bucket and side: the group's takes times the share that its makers have of everybody else's takes.
        """
        inside: defaultdict[tuple[int, bool], int] = defaultdict(int)
        for _, _, pair in self.among(accounts):
            for meeting in pair:
                inside[meeting.bucket, meeting.taker_buys] += 1
        rows = []
        for bucket in self._buckets:
            for side in (False, True):
                taken = sum(bucket.taken.get((account, side), 0) for account in accounts)
                made = sum(bucket.made.get((account, side), 0) for account in accounts)
                rows.append((side, taken, made - inside[bucket.index, side], bucket.totals[side] - taken))
        total = 0.0
        for side in (False, True):
            mine = [row for row in rows if row[0] == side]
            usual = (sum(row[2] for row in mine) + 0.5) / (sum(row[3] for row in mine) + PRIOR_MEETINGS)
            for _, taken, made_for_others, others in mine:
                total += taken * (max(0, made_for_others) + PRIOR_MEETINGS * usual) / (others + PRIOR_MEETINGS)
        return total * (len(accounts) - 1) / len(accounts)  # nobody takes from himself

    # ------------------------------------------------------------------------------------------ the window

    def _introduce(self, one: int, other: int) -> deque[Meeting]:
        if self._pairs >= PAIRS_MAX:
            self._forget(oldest=self._buckets[0].index, fewest=2)
        pair: deque[Meeting] = deque(maxlen=MEETINGS_OF_PAIR_MAX)
        self._met.setdefault(one, {})[other] = pair
        self._met.setdefault(other, {})[one] = pair
        self._pairs += 1
        return pair

    def _turn(self, index: int) -> None:
        """Time has come to another bucket: the ones beyond the window go, and who has not met since."""
        while self._buckets and self._buckets[0].index <= index - BUCKETS:
            self._buckets.popleft()
        self._buckets.append(_Bucket(index))
        self._counts.clear()
        self._taken.clear()
        self._total = 0
        for bucket in self._buckets:
            self._total += sum(bucket.totals)
            for (account_id, _), count in bucket.taken.items():
                self._taken[account_id] += count
                self._counts[account_id] += count
            for (account_id, _), count in bucket.made.items():
                self._counts[account_id] += count
        self._forget(oldest=self._buckets[0].index, fewest=1)

    def _forget(self, *, oldest: int, fewest: int) -> None:
        """Drop meetings of earlier buckets than `oldest`, and pairs with fewer than `fewest` left."""
        pairs = 0
        for one, partners in list(self._met.items()):
            for other, pair in list(partners.items()):
                while pair and pair[0].bucket < oldest:
                    pair.popleft()
                if len(pair) < fewest:
                    del partners[other]
                else:
                    pairs += 1
            if not partners:
                del self._met[one]
        self._pairs = pairs // 2
