"""Which client order ids were ever used, in four bytes each: what is certainly new needs no question to the database.

Memory holds the ids of open and recent orders; for all others the database must be asked, once a batch, a round trip
that every order of a quiet exchange would wait for. Bloom filters answer "certainly new" for nearly all new ids. They
never deny an id that was used; one that they suspect wrongly (about one in 250) is looked up in vain.
"""

import struct
import threading
from collections.abc import Iterable
from contextlib import closing
from hashlib import md5

import psycopg

from matching import store
from orders.store import client_order_digests

BITS_PER_ID = 32
FIRST_FILTER_IDS = 2**19
IDS_AT_ONCE = 5_000
PAUSE_SECONDS = 0.01

_HALVES = struct.Struct(">QQ")


Digest = tuple[int, int]
"""Two 64-bit numbers."""


def digest_of(account_id: int, client_order_id: str) -> Digest:
    """The halves of an MD5 that PostgreSQL computes alike (orders.store.client_order_digests). Not for secrets."""
    return _HALVES.unpack(md5(f"{account_id}:{client_order_id}".encode(), usedforsecurity=False).digest())


class BloomFilter:
    """A set of digests that may say yes wrongly, but never no. `capacity`: for how many it is good."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.count = 0
        size = 1 << (capacity * BITS_PER_ID - 1).bit_length()
        self._mask = size - 1
        self._bits = bytearray(size >> 3)

    def add(self, digests: Iterable[Digest]) -> None:
        """Remember digests."""
        bits, mask = self._bits, self._mask
        for first, second in digests:
            bits[(first & mask) >> 3] |= 1 << (first & 7)
            bits[(second & mask) >> 3] |= 1 << (second & 7)
            self.count += 1

    def __contains__(self, digest: Digest) -> bool:
        bits = self._bits
        first, second = digest[0] & self._mask, digest[1] & self._mask
        return bool(bits[first >> 3] & 1 << (first & 7) and bits[second >> 3] & 1 << (second & 7))


class UsedClientIds:
    """The ids of the whole history, read in the background from the session's start on, and those placed since.

    The reader and the worker each write filters of their own; until the history is read, every id may have been used.
    """

    def __init__(self, *, last_sequence: int) -> None:
        self._last_sequence = last_sequence
        self._history: BloomFilter | None = None
        self._placed = [BloomFilter(FIRST_FILTER_IDS)]
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._read_history, name="client-ids", daemon=True)
        self._thread.start()

    @property
    def complete(self) -> bool:
        """Whether the history has been read."""
        return self._history is not None

    def suspects(self, keys: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
        """Those (account id, client order id) that may have been used before; all of them count as used from now on."""
        found = []
        for key in keys:
            digest = digest_of(*key)
            history = self._history
            if history is None or digest in history or any(digest in each for each in self._placed):
                found.append(key)
            if self._placed[-1].count >= self._placed[-1].capacity:
                self._placed.append(BloomFilter(2 * self._placed[-1].capacity))
            self._placed[-1].add((digest,))
        return found

    def close(self) -> None:
        """Stop reading."""
        self._closing.set()
        self._thread.join()

    def _read_history(self) -> None:
        try:
            with closing(store.connect()) as connection:
                row = connection.execute(
                    "SELECT count(*) FROM orders_order WHERE client_order_id IS NOT NULL"
                ).fetchone()
                assert row is not None
                history = BloomFilter(max(row[0], 1_000))
                after = 0
                while after < self._last_sequence:
                    digests = client_order_digests(connection, after=after, until=after + IDS_AT_ONCE)
                    history.add(_HALVES.iter_unpack(digests))
                    after += IDS_AT_ONCE
                    if self._closing.wait(PAUSE_SECONDS):
                        return
                self._history = history
        except psycopg.Error:
            return  # everything stays suspect; the session itself notices a lost database
