"""How much one may ask: requests per address, orders per key and per account, failed sign-ins per address.

Counted in fixed windows by the library `limits` in memory or, for several processes together, in Redis
(trading/gateway/shared_counts.py). RATE_LIMITS=off makes `Unlimited`, which costs nothing.
"""

import asyncio
import math
import time
from abc import ABC, abstractmethod

import msgspec
from django.conf import settings
from limits import RateLimitItem, RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.storage import MemoryStorage

from trading.gateway.errors import ApiError, Headers, retry_after, unavailable
from trading.gateway.keys import Principal
from trading.gateway.shared_counts import Count, SharedCounts
from trading.metrics.instruments import RATE_LIMITED

SWEEP_SECONDS = 10.0


class Rule(msgspec.Struct, frozen=True):
    """At most `limit` within `seconds` for each name; `what` says of whom."""

    limit: int
    seconds: int
    what: str
    prefix: str
    name: str


def _rule(item: RateLimitItem, what: str, name: str) -> Rule:
    return Rule(item.amount, item.get_expiry(), what, item.key_for(name) + "/", name)


class LoopStorage(MemoryStorage):
    """The library's counters in memory, for one event loop: without its locks, and without its expiry threads.

    Those threads make every request wait for the interpreter; measured, they cost more than the counting.
    """

    def __init__(self) -> None:
        super().__init__()
        self._sweep_at = 0.0

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count `amount` in the window of `key`, which begins with its first count and takes `expiry` seconds."""
        now = time.time()
        if self.expirations.get(key, 0.0) <= now:
            if self._sweep_at <= now:
                self._sweep(now)
            self.expirations[key] = now + expiry
            self.storage[key] = amount
            return amount
        count = self.storage[key] + amount
        self.storage[key] = count
        return count

    def _sweep(self, now: float) -> None:
        for key in [key for key, end in self.expirations.items() if end <= now]:
            del self.expirations[key], self.storage[key]
        self._sweep_at = now + SWEEP_SECONDS


class Standing(msgspec.Struct, frozen=True, gc=False):
    """How far the tightest rule has been used up; `resets_at`: Unix seconds."""

    limit: int
    remaining: int
    resets_at: float

    def headers(self) -> Headers:
        """The headers that tell it."""
        return (
            (b"x-ratelimit-limit", b"%d" % self.limit),
            (b"x-ratelimit-remaining", b"%d" % max(self.remaining, 0)),
            (b"x-ratelimit-reset", b"%d" % math.ceil(self.resets_at)),
        )


class Meter:
    """What one request spends. This one, for RATE_LIMITS=off, counts nothing."""

    def request(self, *, address: str) -> None:
        """Count a request of this client, before anything else is done for it. Raises ApiError 429 `rate_limited`.

        Counting in Redis has only begun: `settle`, `orders` and `failure` wait for it, and raise then.
        """

    async def settle(self) -> None:
        """Wait until all is counted, before something costly is done. Raises ApiError 429 `rate_limited`."""

    async def orders(self, *, principal: Principal, count: int) -> None:
        """Count orders against the key and the account. Raises ApiError 429 `rate_limited`."""

    async def failure(self, *, address: str) -> None:
        """Count a failed sign-in; only those are refused when there are too many, so nobody can shut others out."""

    def headers(self) -> Headers:
        """How things stand, for the answer."""
        return ()


_FREE = Meter()


class Unlimited:
    """No limits at all."""

    def meter(self) -> Meter:
        """A meter for one request."""
        return _FREE

    async def close(self) -> None:
        """Nothing more is counted."""


class RateLimits(Unlimited):
    """The limits of the settings. ApiError 503 `unavailable` when they cannot be counted."""

    def __init__(
        self, *, redis_url: str, per_key: int, per_account: int, per_address: int, failures_per_minute: int
    ) -> None:
        """Per second: orders by key and by account, requests by address. An empty `redis_url`: counted in memory."""
        self.counts = SharedCounts(url=redis_url) if redis_url else LoopStorage()
        self.address_rule = _rule(RateLimitItemPerSecond(per_address), "address", "address")
        self.key_rule = _rule(RateLimitItemPerSecond(per_key), "API key", "key")
        self.account_rule = _rule(RateLimitItemPerSecond(per_account), "account", "account")
        self.failure_rule = _rule(RateLimitItemPerMinute(failures_per_minute), "address's failed sign-ins", "failures")

    def meter(self) -> Meter:
        """A meter for one request."""
        if isinstance(self.counts, SharedCounts):
            return _SharedMeter(self, self.counts)
        return _LocalMeter(self, self.counts)

    async def close(self) -> None:
        """Give the connections to Redis back, if there are any."""
        if isinstance(self.counts, SharedCounts):
            await self.counts.close()


class _Counting(Meter, ABC):
    """Judges counts and keeps the tightest standing; where they come from is the business of its children."""

    __slots__ = ("_limits", "_tightest")

    def __init__(self, limits: RateLimits) -> None:
        self._limits = limits
        self._tightest: Standing | None = None

    def request(self, *, address: str) -> None:
        self._spend(self._limits.address_rule, address, 1)

    async def orders(self, *, principal: Principal, count: int) -> None:
        if principal.key:
            self._spend(self._limits.key_rule, principal.key, count)
        self._spend(self._limits.account_rule, str(principal.account_id), count)
        await self.settle()

    async def failure(self, *, address: str) -> None:
        self._spend(self._limits.failure_rule, address, 1)
        await self.settle()

    def headers(self) -> Headers:
        return () if self._tightest is None else self._tightest.headers()

    @abstractmethod
    def _spend(self, rule: Rule, name: str, cost: int) -> None:
        """Count `cost` for `name`, or begin to."""

    def _judge(self, rule: Rule, count: int, resets_at: float) -> None:
        """Keep how it stands. Raises ApiError 429 when that is too much."""
        found = Standing(rule.limit, rule.limit - count, resets_at)
        if found.remaining < 0:
            self._tightest = None  # the refusal tells how this rule stands
            RATE_LIMITED.labels(rule.name).inc()
            wait = max(1, math.ceil(resets_at - time.time()))
            raise ApiError(
                429,
                "rate_limited",
                f"More than {rule.limit} per {rule.seconds} s for this {rule.what}. Wait {wait} s.",
                None,
                (*found.headers(), retry_after(wait)),
            )
        if self._tightest is None or found.remaining < self._tightest.remaining:
            self._tightest = found


class _LocalMeter(_Counting):
    """Counts in memory, at once."""

    __slots__ = ("_storage",)

    def __init__(self, limits: RateLimits, storage: LoopStorage) -> None:
        super().__init__(limits)
        self._storage = storage

    def _spend(self, rule: Rule, name: str, cost: int) -> None:
        key = rule.prefix + name
        count = self._storage.incr(key, rule.seconds, cost)
        self._judge(rule, count, self._storage.expirations[key])


class _SharedMeter(_Counting):
    """Counts in Redis: all rules of a request are on their way together before one of them is waited for."""

    __slots__ = ("_asked", "_counts")

    def __init__(self, limits: RateLimits, counts: SharedCounts) -> None:
        super().__init__(limits)
        self._counts = counts
        self._asked: list[tuple[Rule, asyncio.Future[Count | None]]] = []

    async def settle(self) -> None:
        asked, self._asked = self._asked, []
        for rule, future in asked:
            found = await future
            if found is None:
                raise unavailable("The rate limits cannot be counted at the moment; nothing happened. Try again.")
            self._judge(rule, *found)

    def _spend(self, rule: Rule, name: str, cost: int) -> None:
        self._asked.append((rule, self._counts.add(key=rule.prefix + name, seconds=rule.seconds, cost=cost)))


def limits_from_settings() -> Unlimited:
    """What RATE_LIMITS, the RATE_LIMIT_... numbers and REDIS_URL ask for."""
    if not settings.RATE_LIMITS:
        return Unlimited()
    return RateLimits(
        redis_url=settings.REDIS_URL,
        per_key=settings.RATE_LIMIT_KEY,
        per_account=settings.RATE_LIMIT_ACCOUNT,
        per_address=settings.RATE_LIMIT_ADDRESS,
        failures_per_minute=settings.RATE_LIMIT_FAILURES,
    )
