"""Who trades with whom on a market, within a sliding window, and how often they would meet by chance.

A meeting is a taker's order and a maker it met, however many trades that took. The window slides by buckets: each
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
    """A taker's order met a maker's: `quantity` (base units) went from seller to buyer, in one trade or several."""

    __slots__ = ("at", "bucket", "maker_age", "order_id", "quantity", "seller_id", "sequence", "taker_buys")

    def __init__(self, trade: Traded, bucket: int) -> None:
        self.at = trade.at
        self.bucket = bucket
        self.sequence = trade.sequence
        self.order_id = trade.taker_order_id
        self.quantity = trade.quantity
        self.taker_buys = trade.taker_side == "buy"
        self.seller_id = trade.maker_account_id if self.taker_buys else trade.taker_account_id
        self.maker_age = trade.at - trade.maker_placed_at


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
        if pair and pair[-1].order_id == trade.taker_order_id:
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

    def among(self, accounts: Collection[int]) -> Iterator[tuple[int, int, Meeting]]:
        """Every meeting between two of the accounts, as (one, other, meeting)."""
        ordered = sorted(accounts)
        for number, one in enumerate(ordered):
            partners = self.partners(one)
            for other in ordered[number + 1 :]:
                for meeting in partners.get(other, ()):
                    yield one, other, meeting

    def expected(self, accounts: Collection[int]) -> float:
        """How often these accounts would take from one another if they took as the rest of the market does.

        In each bucket and side: the group's takes times the share that its makers have of everybody else's takes.
        """
        inside: defaultdict[tuple[int, bool], int] = defaultdict(int)
        for _, _, meeting in self.among(accounts):
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
        for bucket in self._buckets:
            for counts in (bucket.taken, bucket.made):
                for (account_id, _), count in counts.items():
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
