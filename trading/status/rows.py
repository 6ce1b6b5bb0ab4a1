"""The status as rows of a label and a text, with a light for each: green all is well, yellow look at it, red act."""

from datetime import UTC, datetime
from typing import NamedTuple

from rich.text import Text

from matching.vitals import SILENT_SECONDS
from trading.status.shapes import Exchange, Follower, Process, Rate, Status

GOOD, WARN, BAD, OFF = "green", "yellow", "red", "bright_black"
DOT = " · "

TICK_SECONDS_MAX = 5.0
QUEUE_MAX = 100
LAG_SECONDS_MAX = 10.0
COMMIT_MS_MAX = 100.0
INBOX_SECONDS_MAX = 5.0
DELIVERY_SECONDS_MAX = 60.0
DISK_FREE_MIN = 0.10
DISK_FREE_LEAST = 0.03
CONNECTIONS_PART_MAX = 0.8

ROLES_SAID = ("web", "matching_worker")
BADGES = {"high": "bold white on red", "medium": "black on yellow", "low": "black on cyan"}
STATES = {
    "open": (GOOD, "open"),
    "halted": (BAD, "halted"),
    "loading": (WARN, "loading"),
    "leaderless": (BAD, "no leader"),
}


class Row(NamedTuple):
    """A label, and what there is to say."""

    label: str
    text: Text


def light(style: str) -> Text:
    """A lamp of that colour; off is an empty one."""
    return Text("○ " if style == OFF else "● ", style)


def state_of(status: Status) -> tuple[str, str]:
    """The colour and the word for the whole exchange."""
    if status.exchange is None:
        return BAD, "unknown"
    return STATES[status.exchange.state]


def flow(status: Status) -> list[Row]:
    """How much goes through, and how fast."""
    exchange = status.exchange
    rows = []
    if exchange is not None:
        rows.append(Row("Orders", Text(_rate(exchange.orders))))
        rows.append(Row("Trades", Text(_rate(exchange.trades))))
    if status.commits is not None:
        p50, p99 = status.commits
        text = light(WARN if p99 > COMMIT_MS_MAX else GOOD).append(
            f"p50 {p50:,.1f} ms{DOT}p99 {p99:,.1f} ms", "default"
        )
    else:
        text = light(OFF).append("no leader is heard", "default")
    if status.lane_depth is not None:
        text.append(f"{DOT}{status.lane_depth:,} in the lane", "default")
    return [*rows, Row("Commit", text)]


def workers(status: Status, *, most: int) -> list[Row]:
    """Who leads and who stands by."""
    exchange = status.exchange
    leading = [each for each in status.processes if each.worker == "leads"]
    rows = []
    if exchange is not None:
        leader = next((each for each in exchange.workers if each.state != "standby"), None)
        if leader is None:
            rows.append(Row("Leader", light(BAD).append("none: orders are refused", "bold red")))
        else:
            who = _name(leading[0]) if leading else leader.host or "this machine"
            word = "loading" if leader.state == "loading" else f"since {_clock(leader.since)}"
            detail = f"at {leading[0].sequence or 0:,}" if leading else f"connection {leader.database_pid}"
            text = light(WARN if leader.state == "loading" or _is_silent(leading) else GOOD)
            text.append(f"{who}{DOT}{word}{DOT}{detail}", "default")
            rows.append(Row("Leader", text))
    standing = [each for each in status.processes if each.worker == "standby"]
    for each in standing[:most]:
        said = f"{_name(each)}{DOT}since {_clock(each.since)}{_silence(each)}"
        rows.append(Row("Standby", light(BAD if _is_silent([each]) else GOOD).append(said, "default")))
    known = sum(each.state == "standby" for each in exchange.workers) if exchange else 0
    unheard = max(0, known - len(standing)) + max(0, len(standing) - most)
    if unheard:
        rows.append(Row("Standby", light(GOOD).append(f"{unheard} more", "default")))
    elif not standing:
        rows.append(Row("Standby", light(OFF).append("none", "default")))
    return rows


def web(status: Status, *, most: int) -> list[Row]:
    """The web processes."""
    serving = [each for each in status.processes if each.sockets is not None]
    rows = [
        Row(
            "Web",
            light(BAD if _is_silent([each]) else GOOD).append(
                f"{_name(each)}{DOT}{each.sockets:,} {'socket' if each.sockets == 1 else 'sockets'}{_silence(each)}",
                "default",
            ),
        )
        for each in serving[:most]
    ]
    if len(serving) > most:
        rows.append(Row("Web", Text(f"  and {len(serving) - most} more")))
    return rows or [Row("Web", light(BAD).append("none is heard", "default"))]


def celery(status: Status) -> list[Row]:
    """The processes of Celery."""
    found = [each for each in status.processes if each.sockets is None and each.worker is None]
    return [
        Row(
            "Celery",
            light(BAD if _is_silent([each]) else GOOD).append(
                f"{_name(each)}{DOT}since {_clock(each.since)}{_silence(each)}", "default"
            ),
        )
        for each in found
    ]


def services(status: Status) -> list[Row]:
    """What it all stands on."""
    return [_celery(status), *_postgres(status), _redis(status), _disk(status)]


def work(exchange: Exchange, *, apart: bool) -> list[Row]:
    """What waits, and who is behind; `apart`: each in a row of its own."""
    waiting = exchange.waiting
    parts = [
        (f"{waiting.inbox:,} in the inbox", waiting.inbox_seconds > INBOX_SECONDS_MAX),
        (f"{waiting.withdrawals:,} withdrawals", False),
        (
            f"{waiting.deliveries:,} deliveries ({waiting.deliveries_dead:,} dead)",
            bool(waiting.deliveries_dead) or waiting.deliveries_late_seconds > DELIVERY_SECONDS_MAX,
        ),
    ]
    if apart:
        rows = [Row("Waiting", light(WARN if late else GOOD).append(said, "default")) for said, late in parts]
        followers = [Row("Followers", _follower(each)) for each in exchange.followers]
    else:
        text = DOT.join(said for said, _ in parts)
        rows = [Row("Waiting", light(WARN if any(late for _, late in parts) else GOOD).append(text, "default"))]
        followers = [Row("Followers", _followers(exchange))]
    return [*followers, *rows, Row("Proof", _proof(exchange))]


def badges(exchange: Exchange) -> Text:
    """The open alerts of surveillance, by severity."""
    text = Text()
    for severity, count in exchange.alerts.items():
        text.append(f" {short(count)} {severity} ", BADGES[severity] if count else "bright_black")
        text.append(" ")
    return text


def problems(status: Status) -> Text:
    """What is away, in one line; empty when nothing is."""
    return Text("   ".join(f"{part}: {text}" for part, text in status.problems.items()), "red")


# ---------------------------------------------------------------------------------------------- one row each


def _celery(status: Status) -> Row:
    celery = status.celery
    if celery.tick_seconds is None and celery.task_seconds is None:
        text = light(OFF).append("not heard", "default")
    else:
        slow = celery.tick_seconds is None or celery.tick_seconds > TICK_SECONDS_MAX
        text = light(WARN if slow or (celery.queue or 0) > QUEUE_MAX else GOOD)
        beat = "beat not heard" if celery.tick_seconds is None else f"beat {_ago(celery.tick_seconds)}"
        task = "" if celery.task_seconds is None else f"{DOT}task {_ago(celery.task_seconds)}"
        text.append(beat + task, "default")
    if celery.queue is not None:
        text.append(f"{DOT}{celery.queue:,} in the queue", "default")
    return Row("Celery", text)


def _postgres(status: Status) -> list[Row]:
    found = status.postgres
    if found is None:
        return [Row("PostgreSQL", light(BAD).append("away", "bold red"))]
    full = found.connections > found.connections_max * CONNECTIONS_PART_MAX
    text = light(WARN if full else GOOD).append(
        f"{found.version}{DOT}{_bytes(found.size)}{DOT}{found.connections} of {found.connections_max} connections"
        f"{DOT}{found.milliseconds:.1f} ms",
        "default",
    )
    rows = [Row("PostgreSQL", text)]
    for replica in found.replicas:
        lag = "lag unknown" if replica.lag_seconds is None else f"lag {replica.lag_seconds:,.1f} s"
        late = replica.lag_seconds is not None and replica.lag_seconds > LAG_SECONDS_MAX
        said = f"{replica.name}{DOT}{replica.state}{DOT}{lag}"
        rows.append(Row("Replica", light(WARN if late else GOOD).append(said, "default")))
    return rows


def _redis(status: Status) -> Row:
    found = status.redis
    if found is None:
        if "Redis" in status.problems:
            return Row("Redis", light(BAD).append("away: orders are refused", "bold red"))
        return Row("Redis", light(OFF).append("not used", "default"))
    text = light(GOOD).append(
        f"{found.version} {found.kind}{DOT}{_bytes(found.memory)}{DOT}{found.clients} clients"
        f"{DOT}{found.milliseconds:.1f} ms",
        "default",
    )
    return Row("Redis", text)


def _disk(status: Status) -> Row:
    disk = status.disk
    if disk is None:
        return Row("Disk", light(OFF).append("unknown", "default"))
    part = disk.free / disk.size if disk.size else 0.0
    colour = BAD if part < DISK_FREE_LEAST else WARN if part < DISK_FREE_MIN else GOOD
    said = f"{_bytes(disk.free)} of {_bytes(disk.size)} free ({part:.0%})"
    return Row("Disk", light(colour).append(said, "default"))


def _follower(found: Follower) -> Text:
    name = found.name.replace("_", " ")
    if found.failed:
        return light(BAD).append(f"{name} FAILED, {found.behind:,} behind ({found.seconds:,.0f} s)", "bold red")
    if found.seconds > LAG_SECONDS_MAX:
        return light(WARN).append(f"{name} {found.behind:,} behind ({found.seconds:,.0f} s)", "default")
    return light(GOOD).append(f"{name} {f'{found.behind:,} behind' if found.behind else 'up to date'}", "default")


def _followers(exchange: Exchange) -> Text:
    """Only those that are late or failed, if any."""
    found = exchange.followers
    if not found:
        return light(OFF).append("none has begun", "default")
    late = [each for each in found if each.failed or each.seconds > LAG_SECONDS_MAX]
    if late:
        return Text("  ").join(_follower(each) for each in sorted(late, key=lambda each: not each.failed))
    most = max(each.behind for each in found)
    names = ", ".join(each.name.replace("_", " ") for each in found)
    return light(GOOD).append(f"{names}{DOT}{f'{most:,} behind at most' if most else 'up to date'}", "default")


def _proof(exchange: Exchange) -> Text:
    proof = exchange.proof
    if proof is None:
        return light(OFF).append("never run (manage.py prove)", "default")
    if not proof.proved:
        return light(BAD).append(f"NOT PROVED at {_clock(proof.at)}: {proof.finding}", "bold red")
    return light(GOOD).append(f"{proof.commands:,} commands at {proof.at[:16].replace('T', ' ')}", "default")


def _rate(rate: Rate) -> str:
    span = "1 min" if rate.seconds >= 60 else f"{rate.seconds:.0f} s"
    return f"  {rate.now:,.0f}/s now{DOT}{rate.minute:,.1f}/s over {span}"


def _name(process: Process) -> str:
    """Its host without the domain, and its role where the row does not say it."""
    where = f"{process.host.partition('.')[0]}:{process.pid}"
    return where if process.role in ROLES_SAID else f"{process.role} {where}"


def _silence(process: Process) -> str:
    return f"{DOT}silent for {process.silent_seconds:.0f} s" if _is_silent([process]) else ""


def _is_silent(processes: list[Process]) -> bool:
    return any(process.silent_seconds > SILENT_SECONDS for process in processes)


def short(count: float) -> str:
    """Three or four figures."""
    for unit in ("", "k", "M", "G", "T"):
        if count < 9_999.5 or unit == "T":
            return f"{count:,.0f}{unit}"
        count /= 1_000
    raise AssertionError


def _clock(moment: str) -> str:
    """The time of day or, when that was not today, the day with it."""
    day, clock = moment[:10], moment[11:19]
    return clock if day == datetime.now(UTC).date().isoformat() else f"{day} {clock[:5]}"


def _ago(seconds: float) -> str:
    return "now" if seconds < 2 else f"{seconds:,.0f} s ago"


def _bytes(size: int) -> str:
    value = float(size)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1_000 or unit == "TB":
            return f"{value:,.0f} {unit}" if unit in ("B", "kB") else f"{value:,.1f} {unit}"
        value /= 1_000
    raise AssertionError
