"""The cache of all processes together, in Redis: what django-ratelimit counts with, so that its limits are exact.

It holds whole numbers only. While Redis gives no answer every use raises RedisError, at once after the first:
trading/services_away.py says what that means for a request.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import redis
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from redis.exceptions import RedisError

from matching import redis_url

ANSWER_SECONDS_MAX = 1.0
AWAY_SECONDS = 1.0
"""How long Redis is left alone after it gave no answer, so that nobody else waits for it."""

INCREMENT = """
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
return redis.call('INCRBY', KEYS[1], ARGV[1])
"""
"""Adds to what is there and never makes a counter without an end."""


class _Server:
    """The Redis of one URL, for all threads of this process: Django makes a cache anew for each request."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client: redis.Redis | None = None
        self._connecting = threading.Lock()
        self._away_until = float("-inf")

    @contextmanager
    def client(self) -> Iterator[redis.Redis]:
        """Its client. Raises RedisError when it gives no answer, or gave none a moment ago."""
        if time.monotonic() < self._away_until:
            raise RedisError("Redis gave no answer a moment ago.")
        try:
            if self._client is None:
                with self._connecting:
                    self._client = self._client or redis_url.connect(self.url, socket_timeout=ANSWER_SECONDS_MAX)
            yield self._client
        except redis_url.ERRORS as error:
            self._away_until = time.monotonic() + AWAY_SECONDS
            raise RedisError(f"Redis gives no answer: {error}") from error


_server = lru_cache(_Server)


class SharedCache(BaseCache):
    """Django's cache over any Redis that REDIS_URL may name; LOCATION is that URL."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__({**params, "KEY_PREFIX": redis_url.TAG})
        self._redis = _server(location)

    def add(self, key: str, value: int, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Set `key` unless it is there; whether it was set."""
        with self._redis.client() as client:
            name = self.make_and_validate_key(key, version=version)
            return bool(client.set(name, value, px=self._milliseconds(timeout), nx=True))

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        """The number of `key`, else `default`."""
        with self._redis.client() as client:
            found = client.get(self.make_and_validate_key(key, version=version))
        return default if found is None else int(found)

    def set(self, key: str, value: int, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        """Set `key` to a number."""
        with self._redis.client() as client:
            client.set(self.make_and_validate_key(key, version=version), value, px=self._milliseconds(timeout))

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        """Add to `key` and return the sum. Raises ValueError when there is no such key."""
        with self._redis.client() as client:
            found = client.eval(INCREMENT, 1, self.make_and_validate_key(key, version=version), delta)
        if found is None:
            raise ValueError(f"There is no key {key!r} in the cache.")
        return int(found)

    def delete(self, key: str, version: int | None = None) -> bool:
        """Forget `key`; whether it was there."""
        with self._redis.client() as client:
            return bool(client.delete(self.make_and_validate_key(key, version=version)))

    def _milliseconds(self, timeout: float | None) -> int | None:
        seconds = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        return None if seconds is None else max(1, int(seconds * 1_000))
