"""Notifications: `record` is the one way to tell a person of something that happened."""

from collections.abc import Mapping


def record(
    *,
    user_id: int,
    account_id: int | None = None,
    kind: str,
    key: str,
    figures: Mapping[str, str],
    at: int,
    silent: bool = False,
) -> bool:
    """Tell a person of an event, in the transaction of what caused it; False: they were told of it before.

    `kind`: of notifications.rules.KINDS. `key` names the event among those of its kind ("trade 123"): the same kind,
    key and person is recorded once for ever. `figures`: texts for the words (notifications/words.py). `at`: when it
    happened, in microseconds since 1970. `silent`: only remember that it happened. For many people at once:
    notifications.recording.record_all.
    """
    from notifications.recording import News, record_all  # models can be imported only when the apps are ready

    news = News(user_id=user_id, account_id=account_id, kind=kind, key=key, figures=figures, at=at, silent=silent)
    return record_all([news]) == 1
