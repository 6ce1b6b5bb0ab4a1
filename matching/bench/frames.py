"""WebSocket frames on plain sockets, for loads that must cost less than what they measure: no library, no event loop.

A client's frames are masked with zeros, which is allowed and lets them be made beforehand.
"""

import socket
import struct

PATH = "/api/v1/ws"
RECEIVE_BYTES = 262_144
CONNECT_SECONDS_MAX = 30
CONNECTIONS_PER_ADDRESS = 50
"""A server lets so many and more in from one address; loopback has millions of addresses."""

TEXT, PING, PONG = 0x81, 0x89, 0x8A
MASKED, MASK = 0x80, b"\0\0\0\0"
BYTES_2, BYTES_8 = 126, 127
"""What the second byte of a frame says when its length takes two or eight bytes of its own."""

_HANDSHAKE = (
    f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
).encode()


def masked(payload: bytes) -> bytes:
    """A client's text frame."""
    length = len(payload)
    if length < BYTES_2:
        head = struct.pack("!BB", TEXT, MASKED | length)
    else:
        head = struct.pack("!BBH", TEXT, MASKED | BYTES_2, length)
    return head + MASK + payload


class Connection:
    """An open WebSocket; `number` chooses the loopback address that it comes from."""

    __slots__ = ("_buffer", "socket")

    def __init__(self, *, port: int, number: int) -> None:
        source = f"127.0.1.{1 + number // CONNECTIONS_PER_ADDRESS}"
        self.socket = socket.create_connection(("127.0.0.1", port), CONNECT_SECONDS_MAX, (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(_HANDSHAKE)
        head, end = b"", -1
        while end < 0:
            data = self.socket.recv(RECEIVE_BYTES)
            assert data, "the server has hung up"
            head += data
            end = head.find(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        self._buffer = head[end + 4 :]

    def receive(self) -> list[bytes]:
        """The text frames that have come, after waiting for some bytes; pings are answered, a close is an error."""
        data = self.socket.recv(RECEIVE_BYTES)
        assert data, "the server has hung up"
        if self._buffer:
            data = self._buffer + data
        found: list[bytes] = []
        start, total = 0, len(data)
        while total - start >= 2:
            kind, length, body = data[start], data[start + 1], start + 2
            if length == BYTES_2:
                body += 2
                length = int.from_bytes(data[start + 2 : body], "big") if body <= total else total
            elif length == BYTES_8:
                body += 8
                length = int.from_bytes(data[start + 2 : body], "big") if body <= total else total
            start, before = body + length, start
            if start > total:
                start = before
                break
            if kind == TEXT:
                found.append(data[body:start])
            elif kind == PING:
                self.socket.sendall(bytes((PONG, MASKED | length)) + MASK + data[body:start])
            else:
                raise AssertionError(f"a frame of kind {kind:#x}: {data[body:start]!r}")
        self._buffer = data[start:]
        return found
