"""A second exchange that reads the journal behind the worker, for those who need every event with its whole context.

`Follower` replays from the nearest checkpoint and gives steps; `Following` hands them to consumers. What a consumer
writes and its cursor are one transaction, so nothing is lost or written twice, whatever is killed in between.
"""

import logging
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple, Protocol

import msgspec
import psycopg
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from marketdata.store import microseconds
from matching import snapshot, store
from matching.engine.messages import AnyCommand, AnyEvent, PlaceOrder
from matching.exchange import Exchange
from matching.models import Checkpoint, EngineState, FollowerCursor, JournalEntry
from matching.snapshot import Snapshot
from matching.state import State
from orders import store as orders_store

STRETCH_COMMANDS = 1_000
"""Read, observed and written at once."""

CHECKPOINT_COMMANDS = 50_000
CHECKPOINTS_ALL_COMMANDS = 1_000_000
"""Every checkpoint is kept within so many commands from the end; further back one in CHECKPOINT_SPARSE_COMMANDS."""

CHECKPOINT_SPARSE_COMMANDS = 500_000
RETRY_SECONDS = 30.0
"""How long a consumer that failed is left alone before all are made anew."""

AWAY_SECONDS = 30.0
"""How long one who found another process at it stays away: taking turns would mean replaying at each turn."""

FAILURE_CHARACTERS = 2_000

_decode = msgspec.json.Decoder(AnyCommand).decode
_encode_snapshot = msgspec.json.Encoder().encode
_decode_snapshot = msgspec.json.Decoder(Snapshot).decode
_logger = logging.getLogger(__name__)


class Step(NamedTuple):
    """A command of the journal, when it was received (microseconds), and what the exchange made of it."""

    sequence: int
    received_at: int
    command: AnyCommand
    events: list[AnyEvent]


class Consumer(Protocol):
    """Makes something of the journal. A new one is made after a start or a failure and loads what it needs.

    `name`: of its cursor. `begins`: where one without a cursor begins, at the first command or with what is yet to
    come. `warm_up`: how many microseconds before its cursor it wants to recall when it is made.
    """

    name: str
    begins: Literal["start", "end"]
    warm_up: int

    def begin(self, state: State) -> None:
        """The state from which the first step will lead on; comes once, before all others."""

    def recall(self, step: Step, state: State) -> None:
        """A step before the cursor, to fill windows with; what it leads to was written already."""

    def observe(self, step: Step, state: State) -> None:
        """The next step; `state` is as after it."""

    def tick(self, now: int, state: State) -> None:
        """The journal's end was reached at `now` (microseconds of the clock)."""

    def write(self) -> None:
        """Write what was found since the last call, in the transaction at hand, which moves the cursor too."""


class Follower:
    """An exchange as of `sequence`, None: as everything stands now; and the steps from there on. Close it."""

    def __init__(self, *, sequence: int | None) -> None:
        self._connection = store.connect()
        try:
            if sequence is None:
                self.exchange = Exchange(snapshot.restore(store.load(self._connection)))
                return
            self.exchange = _exchange_near(sequence)
            for _ in self.steps(until=sequence):
                pass
        except BaseException:
            self._connection.close()
            raise

    @property
    def state(self) -> State:
        """As after the last step."""
        return self.exchange.state

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def steps(self, *, until: int) -> Iterator[Step]:
        """The steps from here to the sequence `until`, or to the journal's end if that comes first."""
        while self.state.sequence < until:
            limit = min(STRETCH_COMMANDS, until - self.state.sequence)
            found = 0
            for step in self.stretch(limit=limit):
                found += 1
                yield step
            if found < limit:
                return

    def stretch(self, *, limit: int) -> Iterator[Step]:
        """The next steps, at most `limit`, and none at the journal's end."""
        state, apply = self.exchange.state, self.exchange.apply
        rows = self._connection.execute(
            f"""SELECT sequence, {microseconds("received_at")}, payload FROM matching_journalentry
            WHERE sequence > %s ORDER BY sequence LIMIT %s""",  # noqa: S608 - a column of our own
            [state.sequence, limit],
            prepare=True,
        ).fetchall()
        commands = [_decode(row[2]) for row in rows]
        self._find_client_orders(commands)
        for (sequence, received_at, _), command in zip(rows, commands, strict=True):
            assert sequence == state.sequence + 1, f"command {state.sequence + 1} is missing in the journal"
            yield Step(sequence, received_at, command, apply(command, received_at))
        state.forget_old_client_orders()

    def _find_client_orders(self, commands: list[AnyCommand]) -> None:
        """Ask, as the worker did, for earlier orders of client order ids that memory does not know."""
        known = self.state.client_orders
        unknown = [
            (command.account_id, command.client_order_id)
            for command in commands
            if type(command) is PlaceOrder
            and command.client_order_id is not None
            and (command.account_id, command.client_order_id) not in known
        ]
        if unknown:
            found = orders_store.find_client_orders(self._connection, unknown)
            known.update({key: order for key, order in found.items() if order[0] <= self.state.sequence})


def _exchange_near(sequence: int) -> Exchange:
    """The exchange as of the last checkpoint up to `sequence`, or at its beginning."""
    checkpoint = Checkpoint.objects.filter(sequence__lte=sequence).order_by("-sequence").first()
    if checkpoint is None:
        return Exchange()
    return Exchange(snapshot.restore(_decode_snapshot(zlib.decompress(checkpoint.snapshot))))


class Following:
    """Consumers and the one follower that feeds them. Not for several threads at a time; several processes are safe.

    `makers` make the consumers, now and again after each failure.
    """

    def __init__(self, *, makers: Sequence[Callable[[], Consumer]]) -> None:
        self._makers = makers
        self._follower: Follower | None = None
        self._consumers: list[Consumer] = []
        self._cursors: dict[str, int] = {}
        self._retry_at = 0.0
        self._away_until = 0.0

    def run(self, *, seconds: float) -> int:
        """Follow the journal to its end, or for about so many seconds; how many commands were dealt with.

        Does nothing when another process is at it. A consumer that fails stays behind and is tried again later.
        """
        deadline = time.monotonic() + seconds
        done = 0
        if time.monotonic() < self._away_until:
            return done
        try:
            while True:
                found = self._pass()
                done += found
                if found < STRETCH_COMMANDS or time.monotonic() > deadline:
                    return done
        except _Elsewhere:
            self.close()
            self._away_until = time.monotonic() + AWAY_SECONDS
            return done
        except (DatabaseError, psycopg.Error):
            self.close()
            raise

    def close(self) -> None:
        """Forget everything that is not in the database."""
        if self._follower is not None:
            self._follower.close()
        self._follower = None
        self._consumers = []

    def _pass(self) -> int:
        """A stretch, seen by every consumer and then written; the transaction holds the cursors from the beginning."""
        with transaction.atomic():
            cursors = _take_cursors()
            if self._follower is None or (self._retry_at and time.monotonic() > self._retry_at):
                self._begin(cursors)
            elif any(cursors.get(name) != sequence for name, sequence in self._cursors.items()):
                raise _Elsewhere
            assert self._follower is not None
            state = self._follower.state
            found = 0
            for step in self._follower.stretch(limit=STRETCH_COMMANDS):
                found += 1
                for consumer in tuple(self._consumers):
                    recalled = step.sequence <= self._cursors[consumer.name]
                    self._call(consumer, consumer.recall if recalled else consumer.observe, step, state)
            at_end = found < STRETCH_COMMANDS
            for consumer in tuple(self._consumers):
                if state.sequence < self._cursors[consumer.name]:
                    continue  # it is still recalling
                if at_end:
                    self._call(consumer, consumer.tick, time.time_ns() // 1_000, state)
                if consumer in self._consumers and self._call(consumer, consumer.write):
                    self._move(consumer.name, state.sequence)
            self._keep_checkpoint(state)
        return found

    def _begin(self, cursors: dict[str, int]) -> None:
        """Make the consumers, and a follower that begins where the first of them wants to."""
        self.close()
        self._retry_at = 0.0
        self._consumers = [make() for make in self._makers]
        self._cursors = {}
        begins = []
        for consumer in self._consumers:
            if consumer.name not in cursors:
                cursors[consumer.name] = 0 if consumer.begins == "start" else _journal_end()
                FollowerCursor.objects.create(name=consumer.name, sequence=cursors[consumer.name])
            self._cursors[consumer.name] = cursors[consumer.name]
            begins.append(_warm_up_begins(cursors[consumer.name], consumer.warm_up))
        self._follower = Follower(sequence=min(begins))
        for consumer in tuple(self._consumers):
            self._call(consumer, consumer.begin, self._follower.state)

    def _call(self, consumer: Consumer, function: Callable[..., None], *arguments: Any) -> bool:
        """Call a consumer's function; one that fails writes nothing, stays where it is and is left out for a while."""
        try:
            with nullcontext() if arguments else transaction.atomic():  # only `write` has no arguments
                function(*arguments)
        except (psycopg.OperationalError, psycopg.InterfaceError):
            raise
        except Exception as error:
            _logger.exception("The follower's %s failed", consumer.name)
            self._consumers.remove(consumer)
            self._retry_at = time.monotonic() + RETRY_SECONDS
            text = f"{type(error).__name__}: {error}"[:FAILURE_CHARACTERS]
            FollowerCursor.objects.filter(name=consumer.name).update(failed_at=timezone.now(), failure=text)
            return False
        return True

    def _move(self, name: str, sequence: int) -> None:
        if self._cursors[name] != sequence:
            FollowerCursor.objects.filter(name=name).update(sequence=sequence, failed_at=None, failure="")
            self._cursors[name] = sequence

    def _keep_checkpoint(self, state: State) -> None:
        """Write the state down every CHECKPOINT_COMMANDS, and let most old ones go."""
        last = Checkpoint.objects.order_by("-sequence").values_list("sequence", flat=True).first() or 0
        if state.sequence - last < CHECKPOINT_COMMANDS:
            return
        Checkpoint.objects.create(
            sequence=state.sequence,
            received_at=datetime.fromtimestamp(state.now / 1_000_000, UTC),
            snapshot=zlib.compress(_encode_snapshot(snapshot.take(state)), 1),
        )
        old = Checkpoint.objects.filter(sequence__lt=state.sequence - CHECKPOINTS_ALL_COMMANDS).order_by("sequence")
        Checkpoint.objects.filter(sequence__in=_too_many(old.values_list("sequence", flat=True))).delete()


class _Elsewhere(Exception):
    """Another process follows the journal."""


def _take_cursors() -> dict[str, int]:
    """Every cursor, held until the end of the transaction. Raises _Elsewhere when somebody else has them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext('bourse follower'))")
        if cursor.fetchone() != (True,):
            raise _Elsewhere
    return dict(FollowerCursor.objects.values_list("name", "sequence"))


def _journal_end() -> int:
    return EngineState.objects.values_list("sequence", flat=True).get()


def _warm_up_begins(cursor: int, warm_up: int) -> int:
    """The sequence after which steps must be replayed so that a consumer at `cursor` has its windows full."""
    at = JournalEntry.objects.filter(sequence=cursor).values_list("received_at", flat=True).first()
    if at is None or not warm_up:
        return cursor
    earlier = Checkpoint.objects.filter(received_at__lte=at - timedelta(microseconds=warm_up), sequence__lte=cursor)
    return earlier.order_by("-sequence").values_list("sequence", flat=True).first() or 0


def _too_many(sequences: Iterable[int]) -> list[int]:
    """All but the first of each CHECKPOINT_SPARSE_COMMANDS; `sequences` ascending."""
    kept: set[int] = set()
    superfluous = []
    for sequence in sequences:
        stretch = sequence // CHECKPOINT_SPARSE_COMMANDS
        if stretch in kept:
            superfluous.append(sequence)
        kept.add(stretch)
    return superfluous
