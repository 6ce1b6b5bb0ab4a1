"""One screen that fits: panels side by side where there is room, else lines; what is too much is counted, not shown."""

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from trading.status import rows
from trading.status.rows import Row
from trading.status.shapes import OPEN_ORDERS_MAX, Market, Status

WIDE_COLUMNS = 110
WIDE_LINES = 34
LABEL_COLUMNS = 11
COLUMNS_MIN = 60
NOTE_COLUMNS_MIN = 12
COLUMNS = ("market", "state", "last", "bid", "ask", "spread", "24 h volume", "orders")

HEAD_TEXT = {rows.GOOD: "black", rows.WARN: "black", rows.BAD: "white"}
MARKET_STATES = {"open": "green", "halted": "red", "cancel_only": "yellow", "post_only": "cyan"}


def screen(status: Status, *, width: int, height: int | None) -> RenderableType:
    """Everything in `width` columns and `height` lines (None: as many as it takes)."""
    if width >= WIDE_COLUMNS and (height or 0) >= WIDE_LINES:
        return _wide(status, width=width, height=height or WIDE_LINES)
    return _narrow(status, width=max(width, COLUMNS_MIN), height=height)


def _narrow(status: Status, *, width: int, height: int | None) -> RenderableType:
    """The rule that separates parts is the first to go when there is little room."""
    exchange = status.exchange
    few = 2 if height is not None else 1_000
    parts: list[Sequence[Row]] = [
        rows.flow(status),
        [*rows.workers(status, most=few), *rows.web(status, most=few)],
        rows.services(status),
        rows.work(exchange, apart=False) if exchange is not None else [],
    ]
    parts = [part for part in parts if part]
    fixed = sum(map(len, parts)) + 1 + bool(status.problems)
    found = exchange.markets if exchange is not None else []
    room = 1_000 if height is None else height - fixed - 1
    markets = _markets(found, width=width, most=max(1, room)) if found else None
    lines = fixed + (1 + min(len(found), max(1, room)) if found else 0)
    spare = len(parts) if height is None else max(0, height - lines)
    told: list[RenderableType] = [_head(status, width=width)]
    told += [_one_line(rows.problems(status))] if status.problems else []
    told += [markets] if markets is not None else []
    for part in parts:
        if spare:
            told.append("")
            spare -= 1
        told.append(_grid(part))
    return Group(*told)


def _wide(status: Status, *, width: int, height: int) -> RenderableType:
    exchange = status.exchange
    left = [rows.flow(status), rows.work(exchange, apart=True) if exchange is not None else []]
    many = 2 + max(0, height - WIDE_LINES) // 3
    processes = [*rows.workers(status, most=many), *rows.web(status, most=many), *rows.celery(status)[:many]]
    right = [processes, rows.services(status)]
    columns = Table.grid(expand=True, padding=(0, 1, 0, 0))
    columns.add_column(ratio=1)
    columns.add_column(ratio=1)
    heights = [max(len(one), len(other)) + 2 for one, other in zip(left, right, strict=True)]
    for titles, one, other, lines in zip(
        (("Flow", "Processes"), ("Work", "Services")), left, right, heights, strict=True
    ):
        columns.add_row(_panel(titles[0], _grid(one), lines), _panel(titles[1], _grid(other), lines))
    told: list[RenderableType] = [_head(status, width=width)]
    told += [_one_line(rows.problems(status))] if status.problems else []
    if exchange is not None:
        room = height - sum(heights) - len(told) - 3
        told.append(_panel("Markets", _markets(exchange.markets, width=width - 4, most=max(1, room))))
    return Group(*told, columns)


def _head(status: Status, *, width: int) -> RenderableType:
    colour, word = rows.state_of(status)
    exchange = status.exchange
    head = Table.grid(expand=True)
    head.add_column(no_wrap=True)
    head.add_column(justify="right", no_wrap=True)
    left = (
        Text().append(" BOURSE ", "bold reverse").append(f" {word.upper()} ", f"bold {HEAD_TEXT[colour]} on {colour}")
    )
    if exchange is not None:
        if exchange.state == "halted":
            left.append(f" {exchange.halt_note or 'no reason given'}", "red")
        left.append(f"  sequence {exchange.sequence:,}")
        left.append("   ").append_text(rows.badges(exchange))
    head.add_row(left, Text(f"{status.at[11:19]} UTC", "bright_black"))
    return head


def _markets(found: Sequence[Market], *, width: int, most: int) -> RenderableType:
    """A line each; those with the most open orders when there are too many for the screen."""
    shown, left_out = list(found), 0
    if len(found) > most:
        busiest = {each.market for each in sorted(found, key=lambda each: -each.open_orders)[: max(1, most - 1)]}
        shown, left_out = [each for each in found if each.market in busiest], len(found) - len(busiest)
    wide = width >= WIDE_COLUMNS - 4
    lines = [_cells(each, wide=wide) for each in shown]
    table = Table(box=None, expand=True, padding=(0, 1, 0, 0), header_style="bright_black", pad_edge=False)
    for number, name in enumerate(COLUMNS):
        table.add_column(name, justify="left" if number < 2 else "right", no_wrap=True, style="bold" * (not number))
    taken = sum(max(len(cell) for cell in [name, *cells]) + 1 for name, *cells in zip(COLUMNS, *lines, strict=True))
    noted = any(each.note or each.reopens_at for each in shown) and width - taken >= NOTE_COLUMNS_MIN
    if noted:
        table.add_column("note", no_wrap=True, overflow="ellipsis", max_width=width - taken)
    for each, cells in zip(shown, lines, strict=True):
        table.add_row(*cells, *([_note(each)] if noted else []))
    return Group(table, Text(f"and {left_out:,} more", "bright_black")) if left_out else table


def _cells(market: Market, *, wide: bool) -> list[Text]:
    """A market's line without the note."""
    spread = "-" if market.spread_bp is None else f"{market.spread_bp:,.1f} bp"
    return [
        Text(market.market),
        Text("● ", MARKET_STATES.get(market.state, "default")).append(market.state.replace("_", " "), "default"),
        Text(_price(market.last)),
        Text(_price(market.best_bid), "green" if market.best_bid else "bright_black"),
        Text(_price(market.best_ask), "red" if market.best_ask else "bright_black"),
        Text(f"{market.spread} ({spread})" if wide and market.spread is not None else spread),
        Text(f"{_volume(market.volume)} {market.base}"),
        Text(f"{market.open_orders:,}{'+' if market.open_orders >= OPEN_ORDERS_MAX else ''}"),
    ]


def _price(text: str | None) -> str:
    if text is None:
        return "-"
    whole, point, decimals = text.partition(".")
    return f"{int(whole):,}{point}{decimals}"


def _note(market: Market) -> Text:
    return Text(f"reopens at {market.reopens_at[11:19]}" if market.reopens_at else market.note, "bright_black")


def _volume(text: str) -> str:
    """With as many figures as one looks at."""
    whole, _, decimals = text.partition(".")
    kept = max(0, 4 - len(whole))
    return rows.short(int(whole)) + (f".{decimals[:kept]}" if kept and decimals else "")


def _grid(part: Sequence[Row]) -> RenderableType:
    grid = Table.grid(expand=True, padding=(0, 1, 0, 0))
    grid.add_column(width=LABEL_COLUMNS, style="bright_black", no_wrap=True)
    grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    before = ""
    for row in part:
        grid.add_row("" if row.label == before else row.label, row.text)
        before = row.label
    return grid


def _panel(title: str, content: RenderableType, lines: int | None = None) -> RenderableType:
    return Panel(content, title=title, title_align="left", border_style="bright_black", box=box.ROUNDED, height=lines)


def _one_line(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
