"""Order entry over eight WebSockets, against order entry over HTTP on the same server, one run after the other.

Both get the same flow. As many orders are under way over the sockets as `wrk` has connections in its larger run; the
database must have each answered one as an order that was not rejected, or the run does not count.
"""

import hmac
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path

from marketdata.scale import text_from_units
from matching.bench import flow, order_entry, report, scratch, socket_load
from matching.bench.flow import Wish
from matching.bench.frames import PATH, masked
from matching.bench.report import Row
from matching.bench.requests import WINDOW_MS, Key, OpenFloor
from matching.bench.socket_load import Outcome

SOCKETS = 8
WINDOW = 32
"""Requests under way on each socket."""

CONNECTIONS = (64, 256)
RATIO = 1.3
ORDERS_PER_SECOND_MAX = 15_000
WARM_UP_SECONDS = 2


def measure(*, disk: Path, seconds: int) -> Iterator[Row]:
    """The rows of order entry over sockets: the figure of one run, next to that of HTTP before and after it."""
    order_entry.wrk_path()
    with scratch.folder(parent=disk) as data_dir, scratch.Server(data_dir=data_dir) as server:
        opened = scratch.run_part(
            "open_floor",
            data_dir=data_dir,
            returning=OpenFloor,
            accounts=order_entry.ACCOUNTS,
            resting=order_entry.RESTING,
        )
        _http(server, opened, connections=CONNECTIONS[0], seconds=WARM_UP_SECONDS, name="warm")
        before = _http(server, opened, connections=CONNECTIONS[0], seconds=seconds, name="before")
        outcome = _sockets(server, opened, seconds=seconds)
        after = _http(server, opened, connections=CONNECTIONS[1], seconds=seconds, name="after")
    for connections, per_second in zip(CONNECTIONS, (before, after), strict=True):
        yield report.rate_row(
            group="sockets",
            what=f"order entry, {SOCKETS} WebSockets, {WINDOW} under way on each",
            figure=outcome.per_second,
            unit="orders/s",
            yardstick=f"HTTP, {connections} connections",
            yardstick_figure=per_second,
            at_least=None,
            ratio_at_least=RATIO,
            note=f"{outcome.answered:,} orders, all ok and in the database" if connections == CONNECTIONS[0] else "",
        )


def _http(server: scratch.Server, opened: OpenFloor, *, connections: int, seconds: int, name: str) -> float:
    """Orders a second over HTTP, checked."""
    outcome, _ = order_entry.run_orders(server, opened, connections=connections, seconds=seconds, name=name)
    return outcome.per_second


def _sockets(server: scratch.Server, opened: OpenFloor, *, seconds: int) -> Outcome:
    """One run over the sockets, checked."""
    path = server.data_dir / "sockets.frames"
    frames = frames_of(opened=opened, count=seconds * ORDERS_PER_SECOND_MAX, sockets=SOCKETS, name="sockets")
    socket_load.write_file(path=path, frames=frames)
    outcome = scratch.run_module("matching.bench.socket_load", server.port, path, WINDOW, seconds, returning=Outcome)
    path.unlink()
    placed, rejected, _ = scratch.run_part(
        "count_orders", data_dir=server.data_dir, returning=tuple[int, int, int], name="sockets"
    )
    if outcome.refused or rejected or placed != outcome.answered:
        raise scratch.PartFailed(f"sockets: {outcome}, in the database {placed} orders, {rejected} of them rejected")
    return outcome


def frames_of(*, opened: OpenFloor, count: int, sockets: int, name: str) -> list[list[bytes]]:
    """What each socket sends: a login, then its share of the flow `name`. Sockets go round the floor's accounts."""
    by_account: dict[int, list[list[bytes]]] = {key.account_id: [] for key in opened.keys}
    frames = []
    for _, key in zip(range(sockets), itertools.cycle(opened.keys), strict=False):
        frames.append([_login(key)])
        by_account[key.account_id].append(frames[-1])
    turns = {account_id: itertools.cycle(lists) for account_id, lists in by_account.items()}
    for number, wish in enumerate(flow.trading_orders(opened.floor, count=count, name=name)):
        next(turns[wish.account_id]).append(_place(number, wish))
    return frames


def _login(key: Key) -> bytes:
    timestamp = time.time_ns() // 1_000_000
    signature = hmac.digest(key.secret.encode(), f"{timestamp}GET{PATH}".encode(), "sha256").hex()
    fields = {"api_key": key.key, "timestamp": timestamp, "signature": signature, "window": WINDOW_MS}
    return masked(json.dumps({"op": "login", "id": "login", **fields}).encode())


def _place(number: int, wish: Wish) -> bytes:
    price = text_from_units(wish.price, flow.QUOTE_SCALE, 2)
    quantity = text_from_units(wish.quantity, flow.BASE_SCALE, 4)
    return masked(
        f'{{"op":"order.place","id":{number},"order":{{"market":"{flow.SYMBOL}","side":"{wish.side}","type":"limit",'
        f'"price":"{price}","quantity":"{quantity}","client_order_id":"{wish.client_order_id}"}}}}'.encode()
    )
