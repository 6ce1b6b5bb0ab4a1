"""How long the worker's last commits took, for operators: a bounded memory, one pair of clock readings a batch."""

import math
from collections import deque

REMEMBERED = 4_096

_seconds: deque[float] = deque(maxlen=REMEMBERED)


def add(*, seconds: float) -> None:
    """A batch took so long from its first statement to its commit."""
    _seconds.append(seconds)


def percentiles(*percents: float) -> list[float]:
    """The nearest-rank percentiles of the remembered commits in seconds; none before the first commit."""
    ordered = sorted(_seconds.copy())
    return [ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] for percent in percents] if ordered else []
