"""What takes long is logged, without anybody's values; and figures from a place that hangs hold nobody up."""

import logging
import threading
from collections.abc import Iterator

import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from matching import slow_queries, store
from tests.builders import running_exchange
from trading.gateway.database import READERS
from trading.metrics.kept import Kept

SECRET = "nobody-may-read-this"


@pytest.fixture
def everything_is_slow(fresh_database: str, settings: Settings) -> Iterator[None]:
    settings.SLOW_QUERY_MS = settings.SLOW_BATCH_MS = 0
    yield
    READERS.close()


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == slow_queries.__name__]


def ask_django(what: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT length(%s)\n  AS characters", [what])


def ask_directly(what: str) -> None:
    with store.connect() as own:
        own.execute("SELECT length(%s)\n  AS characters", [what])


def ask_beside_the_loop(what: str) -> None:
    READERS.submit(ask_django, what).result()


@pytest.mark.usefixtures("everything_is_slow")
@pytest.mark.parametrize("ask", [ask_django, ask_directly, ask_beside_the_loop])
def test_a_slow_query_is_logged_without_its_values(ask: object, caplog: pytest.LogCaptureFixture) -> None:
    assert callable(ask)
    ask(SECRET)
    lines = [line for line in logged(caplog) if "characters" in line]
    assert len(lines) == 1
    assert lines[0].startswith("Slow query: ")
    assert lines[0].endswith(" ms: SELECT length(%s) AS characters")
    assert SECRET not in caplog.text


def test_a_quick_query_is_not_logged(fresh_database: str, settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    settings.SLOW_QUERY_MS = 3_600_000
    ask_django("quick")
    ask_directly("quick")
    assert not logged(caplog)


@pytest.mark.usefixtures("everything_is_slow")
def test_a_slow_batch_is_logged_with_its_size_and_place(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="matching.instruments"), running_exchange() as exchange:
        exchange.create_asset("BTC", 8)
    lines = [record.getMessage() for record in caplog.records if record.name == "matching.instruments"]
    assert [line.partition(", applied")[0] for line in lines] == ["Slow batch: 1 commands from sequence 1"]
    assert "committed in" in lines[0]


def test_figures_from_a_place_that_hangs_hold_nobody_up() -> None:
    asked, answer = threading.Event(), threading.Event()

    def hang() -> str:
        asked.set()
        answer.wait()
        return "figures"

    kept = Kept(name="hanging place", ask=hang)
    assert kept.get() is None
    assert asked.wait(10)
    assert kept.get() is None
    answer.set()
    while kept.get() is None:
        pass  # it waits for a moment itself
    assert kept.get() == "figures"


def test_figures_from_a_place_that_fails_are_none(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> str:
        raise ConnectionError("it is away")

    kept = Kept(name="lost place", ask=fail)
    assert kept.get() is None
    while "it is away" not in caplog.text:
        kept.get()
    assert kept.get() is None
