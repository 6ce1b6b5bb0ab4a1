"""From where programs act, written down once a day for each user and address: surveillance ties accounts by it."""

import contextlib

from risk import relations
from trading.gateway.database import READERS
from trading.gateway.errors import ApiError

SEEN_MAX = 100_000
DAY_MS = 86_400_000

_seen: dict[tuple[int, str], int] = {}


def note(*, user_id: int, address: str, now_ms: int) -> None:
    """A user's program is at work from `address`; costs a look-up unless it is the day's first time."""
    day = now_ms // DAY_MS
    if _seen.get((user_id, address)) == day:
        return
    if len(_seen) >= SEEN_MAX:
        _seen.clear()
    _seen[user_id, address] = day
    with contextlib.suppress(ApiError):  # busy: tomorrow is another day
        READERS.submit(relations.note_sighting, user_id=user_id, kind="address", value=address)
