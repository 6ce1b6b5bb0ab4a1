"""What was measured of surveillance as rows that are held against what is required, and as a table of disguises."""

import io
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from matching.attack.plan import PATTERNS
from matching.bench import report
from matching.bench.report import Row
from matching.bench.surveillance import Score, delays, named, precision, recall

RECALL_MIN = PRECISION_MIN = 0.9
FALSE_PER_HOUR_BELOW = 1.0
RECORDED_FALSE_MAX = 2


def quality_rows(score: Score) -> Iterator[Row]:
    """Recall, precision, delay and who was named, pattern by pattern."""
    patterns = [pattern for pattern in PATTERNS if score.episodes_of(pattern)]
    for pattern in patterns:
        episodes = score.episodes_of(pattern)
        found = recall(episodes)
        yield Row(
            group="recall", what=pattern, figure=found, unit="", required=f">= {RECALL_MIN}", ok=found >= RECALL_MIN,
            note=f"{sum(episode.delay is not None for episode in episodes)} of {len(episodes)} episodes",
        )  # fmt: skip
    for pattern in patterns:
        cases = score.cases_of(pattern)
        right = precision(cases)
        yield Row(
            group="case precision", what=pattern, figure=right, unit="", required=f">= {PRECISION_MIN}",
            ok=right >= PRECISION_MIN, note=f"{sum(case.episode is not None for case in cases)} of {len(cases)} cases",
        )  # fmt: skip
    for pattern in patterns:
        waited = delays(score.episodes_of(pattern))
        if waited:
            for name, percent in (("median", 50), ("p90", 90)):
                figure = report.percentile(values=waited, percent=percent)
                yield Row(group="time to detect", what=f"{pattern}, {name}", figure=figure, unit="s")
    for pattern in patterns:
        yield Row(group="guilty accounts named", what=pattern, figure=named(score.episodes_of(pattern)), unit="of them")
    for pattern in patterns:
        cases = [case for case in score.cases_of(pattern) if case.episode is not None]
        innocents = sum(len(case.innocents) for case in cases)
        yield Row(
            group="innocents named in true cases", what=pattern, figure=innocents / max(1, len(cases)), unit="a case"
        )


def honest_rows(*, crowd: Score, attacked: Score) -> Iterator[Row]:
    """False cases per hour: of the crowd alone, and beside attacks."""
    if crowd.hours:
        rate = sum(case.episode is None for case in crowd.cases) / crowd.hours
        yield Row(
            group="honest flow", what=f"false cases, the crowd alone ({crowd.hours:.0f} h)", figure=rate,
            unit="an hour", required=f"< {FALSE_PER_HOUR_BELOW:g}", ok=rate < FALSE_PER_HOUR_BELOW,
        )  # fmt: skip
    if attacked.hours:
        rate = sum(case.episode is None for case in attacked.cases) / attacked.hours
        yield Row(
            group="honest flow", what=f"false cases beside attacks ({attacked.hours:.0f} h)", figure=rate,
            unit="an hour", required=f"< {FALSE_PER_HOUR_BELOW:g}", ok=rate < FALSE_PER_HOUR_BELOW,
        )  # fmt: skip


def recorded_row(*, what: str, false: int, probe: bool, commands: int, judged: bool) -> Row:
    """False cases in the recorded flow; `probe`: whether the machine that probed was flagged, which is right.

    `judged`: whether the figure is held against what is required.
    """
    return Row(
        group="recorded flow", what=f"false cases, {what}", figure=false, unit="",
        required=f"<= {RECORDED_FALSE_MAX}" if judged else "", ok=false <= RECORDED_FALSE_MAX if judged else None,
        note=f"{commands:,} commands; the probing machine was {'' if probe else 'NOT '}flagged, which is "
        f"{'right' if probe else 'wrong'}",
    )  # fmt: skip


def disguises_text(*, score: Score, width: int) -> str:
    """Pattern by pattern and disguise by disguise what was found."""
    table = Table(title="Episodes by pattern and disguise", title_justify="left", expand=False)
    for name in ("pattern", "disguise", "episodes", "recall", "median delay", "p90 delay", "guilty named"):
        table.add_column(name, justify="left" if name in ("pattern", "disguise") else "right")
    for pattern, disguises in PATTERNS.items():
        if not score.episodes_of(pattern):
            continue
        table.add_section()
        for disguise in disguises:
            episodes = score.episodes_of(pattern, disguise)
            if episodes:
                waited = delays(episodes)
                table.add_row(
                    pattern, disguise, f"{len(episodes)}", f"{recall(episodes):.2f}", _seconds(waited, 50),
                    _seconds(waited, 90), f"{named(episodes):.2f}",
                )  # fmt: skip
    output = io.StringIO()
    Console(file=output, width=width).print(table)
    return output.getvalue()


def _seconds(waited: Sequence[float], percent: float) -> str:
    return f"{report.percentile(values=list(waited), percent=percent):,.0f} s" if waited else ""
