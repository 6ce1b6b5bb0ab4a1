"""The SQL that writes announcements, in the transaction of the command that caused them."""

from typing import Any

INSERT = """
INSERT INTO notifications_announcement (sequence, market_id, announcement_type, text, announced_at)
VALUES (%s, %s, %s, %s, 'epoch'::timestamptz + %s * interval '1 microsecond')
"""


def announcement_statement(
    *, sequence: int, market_id: int | None, announcement_type: str, text: str, announced_at: int
) -> tuple[str, list[Any]]:
    """Tell everyone; `market_id` None: it is about the whole exchange; `announced_at` in microseconds."""
    return INSERT, [sequence, market_id, announcement_type, text, announced_at]
