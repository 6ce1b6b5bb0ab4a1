"""Bars by day as SVG, drawn on the server: no script, and colours come from the page's style sheet."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

from marketdata.scale import text_from_units

WIDTH, HEIGHT = 960, 220
LEFT, RIGHT, TOP, BOTTOM = 84, 8, 10, 24
STEPS = 4
LABELS_MAX = 10
GAP = 0.2
"""Of a day's width."""


class Series(NamedTuple):
    """One colour of the bars: its name, and a value a day."""

    name: str
    values: Sequence[int]


class Axis(NamedTuple):
    """The lowest and the highest value shown, both whole steps."""

    low: int
    high: int
    step: int

    def y(self, value: int) -> float:
        """Where a value is."""
        return TOP + (HEIGHT - TOP - BOTTOM) * (self.high - value) / (self.high - self.low)


def axis_of(*, low: int, high: int) -> Axis:
    """An axis with zero, all values, and a handful of round steps (1, 2 or 5 and zeros)."""
    step = 1
    while step * STEPS < max(high, 0) - min(low, 0):
        step = step * 5 // 2 if str(step)[0] == "2" else step * 2
    return Axis(min(low, 0) // step * step, max(-(-high // step), 1) * step, step)


def bars(*, title: str, days: Sequence[str], series: Sequence[Series], texts: Sequence[str], decimals: int) -> str:
    """An SVG: a day's values on top of each other, negative ones below zero, and `texts` on hovering over a day.

    Values are units of 10^-decimals.
    """
    columns = list(zip(*(each.values for each in series), strict=True)) if series else []
    axis = axis_of(
        low=min((sum(min(value, 0) for value in column) for column in columns), default=0),
        high=max((sum(max(value, 0) for value in column) for column in columns), default=0),
    )
    slot = (WIDTH - LEFT - RIGHT) / max(len(days), 1)
    parts = [
        f'<svg class="books-chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label={quoteattr(title)}>',
        *_grid(axis, decimals),
    ]
    every = -(-len(days) // LABELS_MAX)
    for at, (day, column) in enumerate(zip(days, columns, strict=True)):
        x = LEFT + at * slot
        hover = f'<rect class="books-hover" x="{x:.1f}" y="{TOP}" width="{slot:.1f}" height="{HEIGHT - TOP - BOTTOM}"/>'
        parts.append(
            f"<g><title>{escape(f'{day}: {texts[at]}')}</title>{''.join(_column(axis, column, x, slot))}{hover}</g>"
        )
        if at % every == 0:
            parts.append(f'<text x="{x + slot / 2:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(day[5:])}</text>')
    zero = axis.y(0)
    parts.append(f'<line class="books-axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{zero:.1f}" y2="{zero:.1f}"/></svg>')
    return "".join(parts)


def _grid(axis: Axis, decimals: int) -> Iterator[str]:
    for value in range(axis.low, axis.high + 1, axis.step):
        y = axis.y(value)
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        label = grouped(text_from_units(value, decimals, 0))
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'


def _column(axis: Axis, column: Sequence[int], x: float, slot: float) -> Iterator[str]:
    above = below = 0
    for number, value in enumerate(column):
        base = above if value >= 0 else below
        top, bottom = sorted((axis.y(base), axis.y(base + value)))
        if value >= 0:
            above += value
        else:
            below += value
        if value:
            yield (
                f'<rect class="books-series-{number}" x="{x + slot * GAP / 2:.1f}" y="{top:.1f}" '
                f'width="{slot * (1 - GAP):.1f}" height="{max(bottom - top, 0.5):.1f}"/>'
            )


def grouped(text: str) -> str:
    """A decimal with thousands separated."""
    whole, point, fraction = text.partition(".")
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    return f"{sign}{int(digits):,}{point}{fraction}"
