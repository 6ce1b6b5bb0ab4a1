"""How each batch went, stage by stage, for whoever wants to know: traces do; without them nobody, and nothing is done.

An observer is called once a batch is published, in the thread that published it.
"""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from matching.lanes import Request

Stage = tuple[str, float, float]
"""A name, and when it began and ended: seconds since 1970."""


class Observed(NamedTuple):
    """A batch that is over: its requests, its place in the journal, its stages; `failure`: why it was not kept."""

    requests: Sequence[Request]
    first_sequence: int
    commands: int
    stages: list[Stage]
    failure: str


OBSERVERS: list[Callable[[Observed], None]] = []


class Watch:
    """Takes the times of one batch. Stages are told in the order in which they end."""

    def __init__(self, requests: Sequence[Request], first_sequence: int, commands: int) -> None:
        self._requests = requests
        self._first_sequence = first_sequence
        self._commands = commands
        self._stages: list[Stage] = []
        self._last = 0.0

    def stage(self, name: str, began: float | None = None, seconds: float | None = None) -> None:
        """A stage has ended now, or when its `seconds` were over.

        It began at `began` (time.perf_counter), or when the one before ended.
        """
        begin = self._last if began is None else began
        self._last = time.perf_counter() if seconds is None else begin + seconds
        self._stages.append((name, begin, self._last))

    def tell(self, failure: str = "") -> None:
        """The batch is over."""
        ahead = time.time() - time.perf_counter()
        stages = [(name, begin + ahead, end + ahead) for name, begin, end in self._stages]
        for observer in OBSERVERS:
            observer(Observed(self._requests, self._first_sequence, self._commands, stages, failure))

    def published(self) -> None:
        """The last stage of a batch that was kept."""
        self.stage("publish")
        self.tell()
