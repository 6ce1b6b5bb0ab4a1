"""The dedicated worker: it owns every book and balance, and is the only one who writes what becomes of commands.

Crash-only: a session (matching/session.py) runs from the leader's lock to the first failure; whatever goes wrong, the
worker drops its memory and starts again from the database, which is always exactly at a batch boundary.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import psycopg
from django.conf import settings

from matching import instruments, store
from matching.exchange import Exchange
from matching.follower import Follower
from matching.inbox import InboxListener
from matching.lanes import InProcessLane, WorkerLane
from matching.redis_lane import RedisLane
from matching.session import LEADER_NAME, Session

logger = logging.getLogger(__name__)

LEADER_LOCK = 0x626F757273650001
"""The PostgreSQL advisory lock of the one worker, held on the connection that commits."""

LOADING_NAME = "bourse loading"
STANDBY_NAME = "bourse standby"
"""What PostgreSQL calls the connection of a worker that has the lock and loads, and of one that waits for it."""

LOCK_POLL_SECONDS = 0.1
LEADER_SILENCE_SECONDS = 2.0
LOADING_SILENCE_SECONDS = 60.0
"""A leader of which PostgreSQL has heard nothing for so long is frozen: a standby ends its connection, and with it its
lock. It speaks every HEARTBEAT_SECONDS (matching/session.py), and cannot commit any more if it comes back. One that
loads has much to do with what it has read, and is given longer.
"""

END_SILENT_LEADER = """
SELECT pg_terminate_backend(a.pid) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
    AND (l.classid::bigint << 32) | l.objid::bigint = %s
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (a.state <> 'active' OR a.wait_event_type = 'Client')
    AND a.state_change < clock_timestamp() - make_interval(
        secs => CASE a.application_name WHEN %s THEN %s ELSE %s END)
"""

STANDBY_COMMANDS = 1_000
"""A standby reads so many commands of the journal between two looks at the lock."""

RESTART_SECONDS = 0.1
RESTART_SECONDS_MAX = 1.0
CAREFUL_COMMANDS = 1_000
"""After a batch that a fault of ours spoiled, so many commands are taken one by one, to find the culprit."""


@dataclass(frozen=True, slots=True)
class Status:
    """How the worker of this process is doing. `sequence`: the last applied command; `standby`: waits for the lock."""

    alive: bool
    books_loaded: bool
    standby: bool
    sequence: int | None


def microseconds_now() -> int:
    """The real clock: microseconds since 1970."""
    return time.time_ns() // 1000


class _Stopping(Exception):
    """Asked to stop while waiting for the lock."""


class Worker:
    """Runs sessions, one after the other, until it is stopped. `lane` None: the control lane only.

    `clock`: microseconds since 1970; whoever makes history gives one that begins in the past.
    """

    def __init__(self, *, lane: WorkerLane | None, clock: Callable[[], int] = microseconds_now) -> None:
        self._lane = lane or InProcessLane(commands_max=1)
        self._takes_orders = lane is not None
        self._clock = clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="matching-worker", daemon=True)
        self._session: Session | None = None
        self._standby = False
        self._careful_commands = 0
        self._culprit: int | str | None = None

    def start(self) -> None:
        """Start the worker's thread and return at once; the lane opens when the books are loaded."""
        instruments.watch(status=self.status)
        self._thread.start()

    def stop(self) -> None:
        """Stop after the batch at hand; commands still waiting are answered as not taken."""
        self._stop.set()
        self._lane.wake()
        self._thread.join()

    def status(self) -> Status:
        """How it is doing, for readiness checks."""
        session = self._session
        return Status(
            alive=self._thread.is_alive(),
            books_loaded=session is not None,
            standby=self._standby,
            sequence=None if session is None else session.exchange.state.sequence,
        )

    def _run(self) -> None:
        pause = RESTART_SECONDS
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                self._run_session()
            except _Stopping:
                break
            except (psycopg.OperationalError, OSError) as error:
                logger.warning("The matching worker starts over: %s", " ".join(str(error).split()))
            except Exception:
                logger.exception("The matching worker starts over after a fault of ours")
                self._careful_commands = CAREFUL_COMMANDS
            if time.monotonic() - began > RESTART_SECONDS_MAX:
                pause = RESTART_SECONDS
            self._stop.wait(pause)
            pause = min(pause * 2, RESTART_SECONDS_MAX)

    def _run_session(self) -> None:
        """From the lock to the first failure or the stop: memory lives exactly this long."""
        with (
            closing(store.connect()) as committing,
            closing(store.connect()) as reading,
            closing(store.connect()) as listening,
        ):
            exchange = self._lead(committing)
            self._leave_out_culprit(reading)
            session = Session(committing, reading, self._lane, exchange, self._careful_commands, self._clock)
            del exchange
            listener = InboxListener(listening, self._lane)
            self._session = session
            if self._takes_orders:
                self._lane.open(position=session.position, sequence=session.exchange.state.sequence)
            try:
                session.serve(self._stop, listener.news)
            finally:
                self._session = None
                self._lane.close()
                session.close()
                listener.close()
                self._careful_commands = session.careful_commands
                self._culprit = session.culprit
            session.raise_failure()

    def _leave_out_culprit(self, connection: store.Connection) -> None:
        if isinstance(self._culprit, int):
            store.put_aside(connection, inbox_id=self._culprit)
        elif self._culprit:
            store.skip_request(connection, position=self._culprit)
        self._culprit = None

    def _lead(self, connection: store.Connection) -> Exchange | None:
        """Wait for the lock that only one worker can hold; it goes with the connection.

        The exchange as of the journal's end, when it was followed while waiting; None: it is to be loaded.
        """
        standby: Follower | None = None
        try:
            while not self._stop.is_set():
                row = connection.execute("SELECT pg_try_advisory_lock(%s)", [LEADER_LOCK]).fetchone()
                if row is not None and row[0]:
                    connection.execute(f"SET application_name = '{LOADING_NAME}'")
                    return self._caught_up(standby)
                if standby is None:
                    logger.info("Another matching worker leads; this one stands by")
                    connection.execute(f"SET application_name = '{STANDBY_NAME}'")
                    self._standby = True
                    standby = Follower(sequence=None)
                for _ in standby.stretch(limit=STANDBY_COMMANDS):
                    pass
                patience = (LEADER_NAME, LEADER_SILENCE_SECONDS, LOADING_SILENCE_SECONDS)
                ended = connection.execute(END_SILENT_LEADER, [LEADER_LOCK, *patience])
                if ended.rowcount:
                    logger.warning("The leading matching worker is silent: ended its connection to the database")
                self._stop.wait(LOCK_POLL_SECONDS)
            raise _Stopping
        finally:
            self._standby = False
            if standby is not None:
                standby.close()

    def _caught_up(self, standby: Follower | None) -> Exchange | None:
        if standby is None:
            return None
        for _ in standby.steps(until=sys.maxsize):
            pass
        return standby.exchange


_worker: Worker | None = None
_lane: InProcessLane | RedisLane | None = None


def order_lane() -> InProcessLane | RedisLane:
    """Where this process's orders go: to its own worker, or without one, with a REDIS_URL, to the worker elsewhere."""
    global _lane
    if _lane is None:
        if settings.REDIS_URL and _worker is None:
            _lane = RedisLane(url=settings.REDIS_URL, commands_max=settings.LANE_COMMANDS_MAX)
        else:
            _lane = InProcessLane(commands_max=settings.LANE_COMMANDS_MAX)
    return _lane


def start() -> None:
    """Start this process's worker, serving its order lane and the control lane."""
    global _worker, _lane
    assert _worker is None, "the worker runs already"
    if not isinstance(_lane, InProcessLane):
        _lane = InProcessLane(commands_max=settings.LANE_COMMANDS_MAX)
    _worker = Worker(lane=_lane)
    _worker.start()


def stop() -> None:
    """Stop this process's worker, if it has one."""
    global _worker
    if _worker is not None:
        _worker.stop()
        _worker = None


def status() -> Status:
    """How this process's worker is doing."""
    if _worker is None:
        return Status(alive=False, books_loaded=False, standby=False, sequence=None)
    return _worker.status()
