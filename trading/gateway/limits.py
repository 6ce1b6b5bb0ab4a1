"""How much one may ask: requests per address, orders per key and per account, failed sign-ins per address.

Counted by the library `limits` in fixed windows, its cheapest strategy, in memory or in Redis. RATE_LIMITS=off makes
`Unlimited`, which costs nothing.
"""

import math
import time

import msgspec
from django.conf import settings
from limits import RateLimitItem, RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.errors import StorageError
from limits.storage import MemoryStorage
from redis.exceptions import RedisError

from trading.gateway.errors import ApiError, Headers, retry_after, unavailable
from trading.gateway.keys import Principal


class Rule(msgspec.Struct, frozen=True):
    """At most `item.amount` per window for each name; `what` says of whom."""

    item: RateLimitItem
    what: str

    def storage_key(self, name: str) -> str:
        """What the count of `name` is kept under."""
        return self.item.key_for(self.what, name)


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

    async def request(self, *, address: str) -> None:
        """Count a request of this client, before anything else is done for it. Raises ApiError 429 `rate_limited`."""

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


class RateLimits(Unlimited):
    """The limits of the settings. A storage error is ApiError 503 `unavailable`."""

    def __init__(
        self, *, redis_url: str, per_key: int, per_account: int, per_address: int, failures_per_minute: int
    ) -> None:
        """Per second: orders by key and by account, requests by address. An empty `redis_url`: counted in memory."""
        self._storage: MemoryStorage | RedisStorage
        self._storage = RedisStorage(f"async+{redis_url}", implementation="redispy") if redis_url else MemoryStorage()
        self.address_rule = Rule(RateLimitItemPerSecond(per_address), "address")
        self.key_rule = Rule(RateLimitItemPerSecond(per_key), "key")
        self.account_rule = Rule(RateLimitItemPerSecond(per_account), "account")
        self.failure_rule = Rule(RateLimitItemPerMinute(failures_per_minute), "address's failed sign-ins")

    def meter(self) -> Meter:
        """A meter for one request."""
        return _Counting(self)

    async def spend(self, rule: Rule, name: str, cost: int) -> Standing:
        """Count `cost` for `name` and tell how it stands. Raises ApiError 429 when that is too much."""
        key, item, storage = rule.storage_key(name), rule.item, self._storage
        if isinstance(storage, MemoryStorage):
            count = storage.incr(key, item.get_expiry(), cost)
            resets_at = storage.get_expiry(key)
        else:
            try:
                count = await storage.incr(key, item.get_expiry(), cost)
                resets_at = await storage.get_expiry(key)
            except (StorageError, RedisError) as error:
                raise unavailable("The rate limits cannot be counted at the moment. Try again.") from error
        found = Standing(item.amount, item.amount - count, resets_at)
        if found.remaining < 0:
            wait = max(1, math.ceil(resets_at - time.time()))
            raise ApiError(
                429,
                "rate_limited",
                f"More than {item.amount} per {item.get_expiry()} s for this {rule.what}. Wait {wait} s.",
                None,
                (*found.headers(), retry_after(wait)),
            )
        return found


class _Counting(Meter):
    """Counts with `limits` and keeps the tightest standing."""

    __slots__ = ("_limits", "_tightest")

    def __init__(self, limits: RateLimits) -> None:
        self._limits = limits
        self._tightest: Standing | None = None

    async def request(self, *, address: str) -> None:
        await self._spend(self._limits.address_rule, address, 1)

    async def orders(self, *, principal: Principal, count: int) -> None:
        if principal.key:
            await self._spend(self._limits.key_rule, principal.key, count)
        await self._spend(self._limits.account_rule, str(principal.account_id), count)

    async def failure(self, *, address: str) -> None:
        await self._limits.spend(self._limits.failure_rule, address, 1)

    def headers(self) -> Headers:
        return () if self._tightest is None else self._tightest.headers()

    async def _spend(self, rule: Rule, name: str, cost: int) -> None:
        try:
            found = await self._limits.spend(rule, name, cost)
        except ApiError:
            self._tightest = None  # the refusal tells how this rule stands
            raise
        if self._tightest is None or found.remaining < self._tightest.remaining:
            self._tightest = found


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
