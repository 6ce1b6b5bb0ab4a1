"""What the database and the feed saw of a spread-out exchange: who wrote what, whether every promise was kept.

witness = Witness(exchange=exchange)            # from now on it is written down which worker wrote each command
witness.assert_kept(load)                       # a FaultLoad that has ended; runs `manage.py prove`
with BookWatch(exchange=exchange) as books:     # the reference client follows the book on every web process
    ...
    books.assert_agree()
"""

import asyncio
import contextlib
import threading
import time
from types import TracebackType
from typing import Any

import httpx
import psycopg

from docs.clients import book
from matching.worker import STANDBY_NAME
from tests.distributed import DistributedExchange, Process
from tests.fault_load import MARKET, FaultLoad
from tests.socket_client import socket_url

PROVE_SECONDS_MAX = 900
AGREE_SECONDS_MAX = 60
FOLLOW_SECONDS_MAX = 900
"""Two accounts that trade with each other all the time give surveillance a lot to think about."""
POLL_SECONDS = 0.1
FENCED = "The matching worker starts over"
STANDS_BY = "this one stands by"
"""In this order in the log of a worker that has found out that it leads no more."""

NOTE_WRITERS = """
CREATE TABLE writer (sequence bigint PRIMARY KEY, name text NOT NULL);
CREATE FUNCTION note_writer() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO writer SELECT sequence, session_user FROM inserted;
    RETURN NULL;
END $$;
CREATE TRIGGER note_writer AFTER INSERT ON matching_journalentry REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION note_writer()
"""
"""Each worker of the harness has a role of its own, so the database knows whose connection wrote a command."""


class Witness:
    """Asks the exchange's database, on connections of its own."""

    def __init__(self, *, exchange: DistributedExchange) -> None:
        self._exchange = exchange
        with self._connect() as connection:
            connection.execute(NOTE_WRITERS)

    def end(self) -> int:
        """The journal's last sequence."""
        return int(self._one("SELECT sequence FROM matching_enginestate"))

    def end_of(self, worker: Process) -> int:
        """The last sequence that this worker wrote."""
        return int(self._one("SELECT coalesce(max(sequence), 0) FROM writer WHERE name = %s", worker.name))

    def writers_after(self, sequence: int) -> set[str]:
        """The names of the workers that wrote the commands beyond `sequence`."""
        return set(self._one("SELECT array_agg(DISTINCT name) FROM writer WHERE sequence > %s", sequence) or [])

    def standby_beside(self, leader: Process) -> Process:
        """The other one of two matching workers, once it stands by."""
        (standby,) = (worker for worker in self._exchange.workers if worker is not leader)
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND usename = %s"
        self._exchange.wait_until(
            lambda: self._one(query, STANDBY_NAME, standby.name) == 1, what=f"standby in {standby.name}"
        )
        return standby

    def wait_until_fenced(self, worker: Process) -> None:
        """Wait until a worker that led, was frozen and goes on has found out, has started over and stands by."""
        self._exchange.wait_until(
            lambda: FENCED in worker.log() and STANDS_BY in worker.log().rsplit(FENCED, 1)[1],
            what=f"fenced {worker.name}",
        )

    def wait_for_followers(self, sequence: int) -> None:
        """Wait until all that follows the journal has dealt with the command `sequence`."""
        query = "SELECT count(*) > 0 AND min(sequence) >= %s FROM matching_followercursor"
        self._exchange.wait_until(
            lambda: bool(self._one(query, sequence)),
            what=f"followers at command {sequence}",
            timeout=FOLLOW_SECONDS_MAX,
        )

    def assert_kept(self, load: FaultLoad) -> None:
        """Everything that was answered is so, once, and `manage.py prove` passes."""
        assert load.broken_promises() == []
        assert any(promise.id is not None for promise in load.promises)
        proof = self._exchange.manage("prove", timeout=PROVE_SECONDS_MAX)
        assert proof.returncode == 0, proof.stdout + proof.stderr

    def _one(self, query: str, *arguments: Any) -> Any:
        with self._connect() as connection:
            row = connection.execute(query, arguments).fetchone()
        assert row is not None
        return row[0]

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self._exchange.env["DATABASE_URL"])


class BookWatch:
    """The reference client on every web process, in a thread of its own, whatever becomes of processes and Redis."""

    def __init__(self, *, exchange: DistributedExchange) -> None:
        self._exchange = exchange
        self._books: dict[str, tuple[book.Levels, book.Levels]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="book-watch", daemon=True)

    def __enter__(self) -> "BookWatch":
        self._thread.start()
        while self._loop is None:
            time.sleep(POLL_SECONDS)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def assert_agree(self) -> None:
        """Every client comes to have the book that REST tells; call it when nobody trades any more."""
        deadline = time.monotonic() + AGREE_SECONDS_MAX
        for url in self._exchange.base_urls:
            while (want := self._depth(url)) != (have := self._books.get(url)):
                assert time.monotonic() < deadline, f"{url}: REST tells {want}, the feed {have}"
                time.sleep(POLL_SECONDS)

    def _depth(self, url: str) -> tuple[book.Levels, book.Levels]:
        found = httpx.get(f"{url}/api/v1/markets/{MARKET}/depth?levels=1000", timeout=30).json()
        return found["bids"], found["asks"]

    def _run(self) -> None:
        asyncio.run(self._follow_all())

    async def _follow_all(self) -> None:
        self._loop = asyncio.get_running_loop()
        tasks = [asyncio.create_task(self._follow(url)) for url in self._exchange.base_urls]
        await self._stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    async def _follow(self, url: str) -> None:
        async with contextlib.aclosing(book.follow(socket_url(url), MARKET)) as states:
            async for _, bids, asks in states:
                self._books[url] = (bids, asks)
