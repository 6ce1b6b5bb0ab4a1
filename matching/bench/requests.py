"""Signed requests, ready to be sent: bytes made before the load, so that the load costs as little as it can.

A file of them is what `order_entry.lua` and `open_loop` read, each request followed by a zero byte. Signed with the
widest window, they are good for a minute.
"""

import hmac
import json
import time
from pathlib import Path

import msgspec

from marketdata.scale import text_from_units
from matching.bench import flow
from matching.bench.flow import Floor, Wish

PATH = "/api/v1/orders"
WINDOW_MS = 60_000
END = b"\0"


class Key(msgspec.Struct, frozen=True):
    """An API key of an account of the floor."""

    account_id: int
    key: str
    secret: str


class OpenFloor(msgspec.Struct, frozen=True):
    """The floor of a running server, and the keys to it."""

    floor: Floor
    keys: list[Key]


def write_file(*, path: Path, opened: OpenFloor, count: int, name: str) -> None:
    """Sign `count` orders of the flow `name`, all as of now."""
    keys = {key.account_id: key for key in opened.keys}
    timestamp = str(time.time_ns() // 1_000_000)
    with path.open("wb") as file:
        for wish in flow.trading_orders(opened.floor, count=count, name=name):
            file.write(_signed(wish, keys[wish.account_id], timestamp) + END)


def _signed(wish: Wish, key: Key, timestamp: str) -> bytes:
    body = json.dumps(
        {
            "market": flow.SYMBOL,
            "side": wish.side,
            "type": "limit",
            "price": text_from_units(wish.price, flow.QUOTE_SCALE, 2),
            "quantity": text_from_units(wish.quantity, flow.BASE_SCALE, 4),
            "client_order_id": wish.client_order_id,
        },
        separators=(",", ":"),
    )
    signature = hmac.digest(key.secret.encode(), f"{timestamp}POST{PATH}{body}".encode(), "sha256").hex()
    return (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"X-API-Key: {key.key}\r\nX-Timestamp: {timestamp}\r\nX-Window: {WINDOW_MS}\r\nX-Signature: {signature}\r\n"
        f"\r\n{body}"
    ).encode()
