"""One life of the worker's memory: take, apply, commit, reply, publish, until the stop or a failure.

One thread takes and applies, another does the rest when there is much to do: while a large batch is on its way to the
disk the next is applied, and each reply waits for its own commit. A session never recovers; the worker starts another
one from the database.
"""

import gc
import logging
import threading
import time
from collections.abc import Callable
from queue import Empty, Queue
from typing import NamedTuple

import psycopg
from django.conf import settings

from matching import commit_times, committed, instruments, observing, store
from matching.client_ids import UsedClientIds
from matching.engine.messages import AnyCommand, PlaceOrder
from matching.exchange import Exchange
from matching.lanes import (
    BATCH,
    Answer,
    CommandFailed,
    OutcomeUnknown,
    Preview,
    Reply,
    Request,
    WorkerLane,
    WorkerUnavailable,
)
from matching.pipeline import Pipeline
from matching.publisher import PUBLISHER
from matching.snapshot import restore
from orders import store as orders_store

logger = logging.getLogger(__name__)

LEADER_NAME = "bourse leader"
"""What PostgreSQL calls the connection of a worker that serves."""

TAKE_SECONDS = 0.25
HEARTBEAT_SECONDS = 0.5
"""A worker with nothing to commit still speaks to the database and to the hubs so often: silence means it is gone."""

INBOX_COMMANDS_MAX = 500
INLINE_REQUESTS_MAX = 16
"""A batch of at most so many requests is small: see `_hand_over`."""

GC_THRESHOLDS = (50_000, 20, 50)
"""The worker makes hardly any cycles; the default thresholds would scan its many live orders far too often."""


class _Job(NamedTuple):
    """A batch on its way to the database, with everyone who waits for it and what is told to the others.

    `waited`: the seconds that its first request was in the lane; `began`, `applied`: when applying and encoding it
    began (time.perf_counter), and how many seconds that took.
    """

    batch: store.Batch
    requests: list[Request]
    statements: list[store.Statement]
    change: bytes
    answers: list[tuple[Request, Answer]]
    waited: float | None
    began: float
    applied: float


class Session:
    """The exchange in memory, from loading it to the end of the session.

    `exchange`: as of the journal's end if the standby has one, None: it is loaded.
    `clock`: microseconds since 1970, asked once a batch; the journal's time never goes back, whatever it says.
    `careful_commands`: how many more commands are taken one by one, because a batch failed by a fault of ours.
    `culprit`: what failed alone and is to be put aside: a filed command's id, or a request's position in the lane.
    """

    def __init__(
        self,
        committing: store.Connection,
        reading: store.Connection,
        lane: WorkerLane,
        exchange: Exchange | None,
        careful_commands: int,
        clock: Callable[[], int],
    ) -> None:
        began = time.monotonic()
        self.exchange = exchange or Exchange(restore(store.load(committing)))
        state = self.exchange.state
        self.careful_commands = careful_commands
        self.culprit: int | str | None = None
        self.position = store.load_lane_position(committing)
        self._scales = store.load_scales(committing)
        committing.execute(f"SET application_name = '{LEADER_NAME}'")
        self._pipeline = Pipeline(committing)
        self._pipeline_lock = threading.Lock()
        self._reading = reading
        self._used_client_ids = UsedClientIds(last_sequence=state.sequence)
        self._lane = lane
        self._clock = clock
        self._in_flight: set[int] = set()
        self._failure: Exception | None = None
        self._jobs: Queue[_Job | None] = Queue(maxsize=1)
        self._committed = (state.sequence, state.now)
        instruments.SESSIONS.inc()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        logger.info(
            "The matching worker leads at sequence %d: %d open orders, %d accounts, %s in %.2f s",
            state.sequence, len(state.orders), len(state.accounts), "followed" if exchange else "loaded",
            time.monotonic() - began,
        )  # fmt: skip
        # Nothing new, but whoever has missed the last batch of the session before sees that it is there.
        PUBLISHER.publish(committed.quiet(*self._committed))
        self._committer = threading.Thread(target=self._commit_all, name="matching-committer", daemon=True)
        self._committer.start()

    def serve(self, stop: threading.Event, inbox_news: threading.Event) -> None:
        """The flow: take, apply, hand over to commit, reply and publish, until the stop or a failed commit."""
        while not stop.is_set() and self._failure is None:
            limit = 1 if self.careful_commands else settings.BATCH_COMMANDS_MAX
            filed = self._take_inbox(limit, inbox_news)
            requests = self._take_requests(limit, filed)
            job = self._apply(filed, requests)
            if job is not None:
                self._hand_over(job)
        BATCH.set(())

    def close(self) -> None:
        """Finish the commits under way and end the committer."""
        self._jobs.put(None)
        self._committer.join()
        self._used_client_ids.close()

    def raise_failure(self) -> None:
        """Raise what ended the session, if it was not the stop."""
        if self._failure is not None:
            raise self._failure

    # ------------------------------------------------------------------------------------------ take

    def _take_inbox(self, limit: int, news: threading.Event) -> list[tuple[int, AnyCommand]]:
        if not news.is_set():
            return []
        news.clear()
        found = store.take_inbox(self._reading, limit=min(limit, INBOX_COMMANDS_MAX), excluded=set(self._in_flight))
        if found:
            news.set()  # there may be more
        return found

    def _take_requests(self, limit: int, filed: list[tuple[int, AnyCommand]]) -> list[Request]:
        if filed:
            return [] if self.careful_commands else self._lane.take(limit=limit, timeout=0)
        return self._lane.take(limit=limit, timeout=TAKE_SECONDS)

    def _find_client_orders(self, filed: list[tuple[int, AnyCommand]], requests: list[Request]) -> None:
        """Ask the database for the client order ids that memory does not know and that may have been used before."""
        known = self.exchange.state.client_orders
        commands = [command for _, command in filed]
        for request in requests:
            commands += [request.commands.command] if isinstance(request.commands, Preview) else request.commands
        unknown = [
            (command.account_id, command.client_order_id)
            for command in commands
            if type(command) is PlaceOrder
            and command.client_order_id is not None
            and (command.account_id, command.client_order_id) not in known
        ]
        if unknown and (suspects := self._used_client_ids.suspects(unknown)):
            known.update(orders_store.find_client_orders(self._reading, suspects))

    # ------------------------------------------------------------------------------------------ apply

    def _apply(self, filed: list[tuple[int, AnyCommand]], requests: list[Request]) -> _Job | None:
        """Apply filed commands, due timers and requests in this order, as one batch with one time."""
        began = time.perf_counter()
        BATCH.set(requests)
        waited = max(0.0, time.time() - requests[0].sent_at) if requests else None
        state = self.exchange.state
        now = max(self._clock(), state.now)
        batch = store.Batch(state.sequence + 1, now)
        answers: list[tuple[Request, Answer]] = []
        try:
            self._find_client_orders(filed, requests)
            for inbox_id, command in filed:
                batch.add(command, self.exchange.apply(command, now), inbox_id)
            for timer in self.exchange.due_timers(now):
                batch.add(timer, self.exchange.apply(timer, now))
            for request in requests:
                answers.append((request, self._answer(request, batch, now)))
            batch.lane_position = requests[-1].position if requests else ""
            statements = store.encode(batch, state, self._scales) if batch.commands else []
            change = committed.encode(batch.first_sequence, now, batch.events, state) if batch.commands else b""
        except Exception:
            self._spoiled(filed, requests)
            raise
        state.forget_old_client_orders()
        if not statements:
            self._lane.answer(answers)
            return None
        self._in_flight.update(batch.inbox)
        self.careful_commands = max(0, self.careful_commands - len(batch.commands))
        return _Job(batch, requests, statements, change, answers, waited, began, time.perf_counter() - began)

    def _answer(self, request: Request, batch: store.Batch, now: int) -> Answer:
        if isinstance(request.commands, Preview):
            return self.exchange.preview(request.commands.command, now)
        replies: list[Reply] = []
        for command in request.commands:
            events = self.exchange.apply(command, now)
            batch.add(command, events)
            replies.append(Reply(self.exchange.state.sequence, now, events))
        return replies

    def _spoiled(self, filed: list[tuple[int, AnyCommand]], requests: list[Request]) -> None:
        """A fault of ours hit this batch: nothing of it was committed. Name the culprit if it was alone."""
        alone = len(filed) + len(requests) == 1
        if alone:
            self.culprit = filed[0][0] if filed else requests[0].position
        self._lane.answer([(request, CommandFailed() if alone else WorkerUnavailable()) for request in requests])

    # ------------------------------------------------------------------------------------------ commit, reply, publish

    def _hand_over(self, job: _Job) -> None:
        """A large batch goes to the committer, so that the next is applied meanwhile; a small one, when the committer
        has nothing to do, is committed here: going to another thread and back would take longer than overlapping saves.
        """
        if len(job.answers) <= INLINE_REQUESTS_MAX and not self._jobs.unfinished_tasks:
            self._commit(job)
        else:
            self._jobs.put(job)

    def _commit_all(self) -> None:
        """The committer's thread; when it has nothing to do it looks after the connection."""
        while True:
            try:
                job = self._jobs.get(timeout=HEARTBEAT_SECONDS)
            except Empty:
                self._heartbeat()
                continue
            if job is None:
                return
            self._commit(job)
            self._jobs.task_done()

    def _commit(self, job: _Job) -> None:
        """One transaction, then its replies and the news of it; after a failure only turn away."""
        if self._failure is not None:
            self._lane.answer([(request, WorkerUnavailable()) for request, _ in job.answers])
            return
        BATCH.set(job.requests)
        began = time.perf_counter()
        try:
            with self._pipeline_lock:
                self._pipeline.run(job.statements)
        except Exception as error:  # noqa: BLE001 - whatever it is, everyone who waits must be told
            self._commit_failed(job, error, began)
            return
        took = time.perf_counter() - began
        batch = job.batch
        self._in_flight.difference_update(batch.inbox)
        self._lane.answer(job.answers)
        PUBLISHER.publish(job.change, _watch(job, began, took).published if observing.OBSERVERS else None)
        self._committed = (batch.last_sequence, batch.now)  # now: a heartbeat must not be ahead of the news
        commit_times.add(seconds=took)
        instruments.BATCHES.observe(
            first_sequence=batch.first_sequence,
            commands=batch.commands,
            events=batch.events,
            markets=self.exchange.state.markets,
            waited=job.waited,
            applied=job.applied,
            committed=took,
        )

    def _heartbeat(self) -> None:
        """While there is nothing to commit: notice a lost connection, and with it a lost lock; be heard by a standby
        and by the hubs, which may have missed the last batch.
        """
        if self._failure is None:
            try:
                with self._pipeline_lock:
                    self._pipeline.run([("SELECT 1", ())])
            except psycopg.Error as error:
                self._fail(error)
            else:
                PUBLISHER.publish(committed.quiet(*self._committed))

    def _commit_failed(self, job: _Job, error: Exception, began: float) -> None:
        """Nobody is told that a batch holds when its commit failed. Only a lost connection leaves it open."""
        lost = isinstance(error, psycopg.OperationalError)
        filed = list(job.batch.inbox)
        alone = len(job.answers) + len(filed) == 1
        if not lost and alone:
            self.culprit = filed[0] if filed else job.answers[0][0].position
        reason = OutcomeUnknown if lost else CommandFailed if alone else WorkerUnavailable
        self._lane.answer([(request, reason()) for request, _ in job.answers])
        logger.warning(
            "A batch of %d commands from sequence %d was not committed: %s",
            len(job.batch.commands), job.batch.first_sequence, " ".join(str(error).split()),
        )  # fmt: skip
        if observing.OBSERVERS:
            _watch(job, began, time.perf_counter() - began).tell(failure=type(error).__name__)
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._failure = error
        self._lane.wake()


def _watch(job: _Job, began: float, took: float) -> observing.Watch:
    """The times of a batch whose replies are out; its commit began at `began` and took so many seconds."""
    watch = observing.Watch(job.requests, job.batch.first_sequence, len(job.batch.commands))
    watch.stage("apply", job.began, job.applied)
    watch.stage("commit", began, took)
    watch.stage("reply")
    return watch
