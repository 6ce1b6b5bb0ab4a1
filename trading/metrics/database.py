"""What the database knows: one statement, asked at most every few seconds, each figure a row of a table here.

Counts stop at COUNTED_MAX and follow partial indexes, so that the statement takes the same few milliseconds on a
database of any age.
"""

from collections.abc import Iterator
from typing import NamedTuple

from django.db import InterfaceError, OperationalError, connection
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from matching.worker import LEADER_LOCK, STANDBY_NAME
from trading.metrics.kept import Kept

COUNTED_MAX = 10_000


class Figure(NamedTuple):
    """A gauge: `sql` gives rows of the labels' texts in their order, then the number."""

    name: str
    documentation: str
    labels: tuple[str, ...]
    sql: str


class Row(NamedTuple):
    """One number of a figure."""

    figure: Figure
    labels: list[str]
    value: float


_NOW = "extract(epoch from clock_timestamp())"
_WAITING = "FROM notifications_delivery WHERE state IN ('pending', 'failed')"

FIGURES = (
    Figure(
        "bourse_journal_sequence", "The last command in the journal.", (), "SELECT sequence FROM matching_enginestate"
    ),
    Figure("bourse_exchange_halted", "1: trading is halted.", (), "SELECT halted::int FROM matching_enginestate"),
    Figure(
        "bourse_markets",
        "Markets, by state.",
        ("state",),
        "SELECT state, count(*) FROM marketdata_market GROUP BY state",
    ),
    Figure(
        "bourse_leaders",
        "Matching workers that hold the leader's lock: one, or none.",
        (),
        f"""SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
            AND classid = {LEADER_LOCK >> 32} AND objid = {LEADER_LOCK & 0xFFFFFFFF}
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())""",
    ),
    Figure(
        "bourse_standbys",
        "Matching workers that stand by.",
        (),
        f"""SELECT count(*) FROM pg_stat_activity
            WHERE application_name = '{STANDBY_NAME}' AND datname = current_database()""",
    ),
    Figure(
        "bourse_follower_behind_commands",
        "Commands of the journal that a consumer has not dealt with.",
        ("consumer",),
        "SELECT f.name, e.sequence - f.sequence FROM matching_followercursor f, matching_enginestate e",
    ),
    Figure(
        "bourse_follower_behind_seconds",
        "Age of the oldest command that a consumer has not dealt with.",
        ("consumer",),
        f"""SELECT f.name, coalesce({_NOW} - extract(epoch from j.received_at), 0) FROM matching_followercursor f
            LEFT JOIN matching_journalentry j ON j.sequence = f.sequence + 1""",
    ),
    Figure(
        "bourse_follower_failed",
        "1: a consumer of the journal failed and is tried again.",
        ("consumer",),
        "SELECT name, (failed_at IS NOT NULL)::int FROM matching_followercursor",
    ),
    Figure(
        "bourse_inbox_waiting",
        f"Filed commands that are not done (at most {COUNTED_MAX}).",
        (),
        f"SELECT count(*) FROM (SELECT 1 FROM matching_inboxcommand WHERE done_at IS NULL LIMIT {COUNTED_MAX}) x",
    ),
    Figure(
        "bourse_inbox_oldest_seconds",
        "Age of the oldest filed command that is not done.",
        (),
        f"""SELECT coalesce((SELECT {_NOW} - extract(epoch from created_at) FROM matching_inboxcommand
            WHERE done_at IS NULL ORDER BY id LIMIT 1), 0)""",
    ),
    Figure(
        "bourse_deliveries_waiting",
        f"E-mails and webhooks in the outbox (at most {COUNTED_MAX}).",
        (),
        f"SELECT count(*) FROM (SELECT 1 {_WAITING} LIMIT {COUNTED_MAX}) x",
    ),
    Figure(
        "bourse_deliveries_late_seconds",
        "How long ago the delivery that is due longest should have been tried.",
        (),
        f"SELECT greatest(0, coalesce({_NOW} - extract(epoch from min(next_at)), 0)) {_WAITING}",
    ),
    Figure(
        "bourse_deliveries_dead",
        f"Deliveries that were given up (at most {COUNTED_MAX}).",
        (),
        f"SELECT count(*) FROM (SELECT 1 FROM notifications_delivery WHERE state = 'dead' LIMIT {COUNTED_MAX}) x",
    ),
    Figure(
        "bourse_alerts_open",
        f"Surveillance alerts of cases that are open (of at most {COUNTED_MAX} cases).",
        ("severity",),
        f"""SELECT s.severity, count(a.id) FROM (VALUES ('low'), ('medium'), ('high')) s (severity)
            LEFT JOIN risk_alert a ON a.severity = s.severity AND a.case_id IN (
                SELECT id FROM risk_case WHERE closed_at IS NULL ORDER BY id DESC LIMIT {COUNTED_MAX})
            GROUP BY s.severity""",
    ),
    Figure(
        "bourse_withdrawals_pending",
        f"Withdrawals that wait for an operator (at most {COUNTED_MAX}).",
        (),
        f"SELECT count(*) FROM (SELECT 1 FROM risk_withdrawal WHERE status = 'pending' LIMIT {COUNTED_MAX}) x",
    ),
    Figure(
        "bourse_prove_succeeded",
        "1: the last run of `manage.py prove` found no difference.",
        (),
        "SELECT proved::int FROM matching_proverun ORDER BY id DESC LIMIT 1",
    ),
    Figure(
        "bourse_prove_age_seconds",
        "How long ago `manage.py prove` ran last.",
        (),
        f"SELECT {_NOW} - extract(epoch from ran_at) FROM matching_proverun ORDER BY id DESC LIMIT 1",
    ),
    Figure(
        "bourse_database_connections",
        "Connections to the database server.",
        (),
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'",
    ),
    Figure(
        "bourse_database_connections_max",
        "Connections that the database server takes at most.",
        (),
        "SELECT current_setting('max_connections')::int",
    ),
)


def _numbered(number: int, figure: Figure) -> str:
    """The figure's rows as (number, labels, value)."""
    columns = ", ".join([*figure.labels, "value"])
    labels = ", ".join(f"{label}::text" for label in figure.labels)
    return f"(SELECT {number}, ARRAY[{labels}]::text[], value::float8 FROM ({figure.sql}) f ({columns}))"


STATEMENT = " UNION ALL ".join(_numbered(number, figure) for number, figure in enumerate(FIGURES))


def ask() -> list[Row]:
    """All figures as of now. Raises DatabaseError when a new connection fails too."""
    try:
        return _ask()
    except (OperationalError, InterfaceError):  # perhaps it was the kept connection only
        connection.close()
        try:
            return _ask()
        except BaseException:
            connection.close()
            raise


def _ask() -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(STATEMENT)
        return [Row(FIGURES[number], labels, value) for number, labels, value in cursor.fetchall()]


class DatabaseFigures(Collector):
    """The figures and `bourse_database_up`; without a database only the latter, 0."""

    def __init__(self) -> None:
        self._rows = Kept(name="database", ask=ask)

    def collect(self) -> Iterator[Metric]:
        """What is known."""
        rows = self._rows.get()
        yield GaugeMetricFamily("bourse_database_up", "1: the database answers.", int(rows is not None))
        for figure in FIGURES:
            family = GaugeMetricFamily(figure.name, figure.documentation, labels=figure.labels)
            for row in rows or ():
                if row.figure is figure:
                    family.add_metric(row.labels, row.value)
            yield family
