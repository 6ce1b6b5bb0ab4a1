"""The control lane: commands that move money or rules, filed as rows and taken by the worker.

A row is written in the transaction of whatever caused it and marked done in the transaction of the batch that applied
it, so it is executed exactly once, whichever process filed it. A trigger notifies the worker.
"""

import threading
import time
from typing import Any

import msgspec
import psycopg
from django.db import connection

from matching.engine.messages import AnyCommand, AnyEvent, CommandRefused, OrderRejected, Reason
from matching.lanes import WorkerLane
from matching.models import InboxCommand

CHANNEL = "bourse_inbox"
"""The NOTIFY channel that wakes the worker (migration 0002 has the trigger)."""

LISTEN_SECONDS = 0.25
LOOK_SECONDS = 1.0
POLL_SECONDS_MIN = 0.005
POLL_SECONDS_MAX = 0.1

_encode = msgspec.json.Encoder().encode
_decode_events = msgspec.json.Decoder(list[AnyEvent]).decode


class NoAnswer(Exception):
    """The worker has not answered in time; the command stays filed and will be executed when there is a worker."""


class CommandFailed(Exception):
    """The worker could not execute the command because of a fault of ours; it was put aside and changed nothing."""


class Refused(Exception):
    """The exchange refused the command. `reason` says why; `detail` may say more."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(detail or reason.text)
        self.reason = reason
        self.detail = detail


class Done(msgspec.Struct, frozen=True):
    """What became of a filed command: its place in the journal and its events, but for entries and balances."""

    inbox_id: int
    sequence: int
    events: list[AnyEvent]


def file_command(*, command: AnyCommand, actor: str) -> int:
    """File a command in the current transaction and return its inbox id; `actor` says who asked."""
    return InboxCommand.objects.create(payload=_encode(command).decode(), actor=actor).id


def file_commands(*, commands: list[AnyCommand], actor: str) -> list[int]:
    """File many commands at once, to be executed in this order."""
    rows = [InboxCommand(payload=_encode(command).decode(), actor=actor) for command in commands]
    return [row.id for row in InboxCommand.objects.bulk_create(rows)]


def wait_for(*, inbox_id: int, timeout: float = 10.0) -> Done:
    """Wait until the worker has executed a filed (and committed) command.

    Raises Refused, NoAnswer after `timeout` seconds, or CommandFailed.
    """
    deadline = time.monotonic() + timeout
    pause = POLL_SECONDS_MIN
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT sequence, result FROM matching_inboxcommand WHERE id = %s AND done_at IS NOT NULL", [inbox_id]
            )
            row = cursor.fetchone()
        if row is not None:
            break
        if time.monotonic() >= deadline:
            raise NoAnswer(f"No answer from the matching worker within {timeout:g} s; the command stays filed.")
        time.sleep(pause)
        pause = min(pause * 1.5, POLL_SECONDS_MAX)
    sequence, result = row
    if sequence is None:
        raise CommandFailed("The command could not be executed and was put aside.")
    events = _decode_events(result)
    for event in events:
        if isinstance(event, CommandRefused):
            raise Refused(event.reason, event.detail)
        if isinstance(event, OrderRejected):
            assert event.order.reason is not None
            raise Refused(event.order.reason)
    return Done(inbox_id, sequence, events)


def execute(*, command: AnyCommand, actor: str, timeout: float = 10.0) -> Done:
    """File a command and wait for its answer; not for use inside a transaction. Raises as `wait_for`."""
    return wait_for(inbox_id=file_command(command=command, actor=actor), timeout=timeout)


class InboxListener:
    """Listens, on a connection of its own, for commands being filed, and wakes the worker's lane.

    `news` is set whenever the inbox deserves a look: after a notification, and once a second in any case.
    """

    def __init__(self, connection: psycopg.Connection[Any], lane: WorkerLane) -> None:
        self.news = threading.Event()
        self.news.set()
        self._connection = connection
        self._lane = lane
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="inbox-listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening; the thread ends within a poll."""
        self._closing.set()
        self._thread.join()

    def _listen(self) -> None:
        try:
            self._connection.execute(f"LISTEN {CHANNEL}")
            looked = time.monotonic()
            while not self._closing.is_set():
                notified = list(self._connection.notifies(timeout=LISTEN_SECONDS, stop_after=1))
                if notified or time.monotonic() - looked >= LOOK_SECONDS:
                    looked = time.monotonic()
                    self.news.set()
                if notified:
                    self._lane.wake()
        except psycopg.Error:
            while not self._closing.wait(LISTEN_SECONDS):  # only this connection is gone, or the session ends soon
                self.news.set()
