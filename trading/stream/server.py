"""uvicorn's WebSocket protocol, telling the consumer whether the connection takes more, and able to cut it."""

import socket

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

FRAME_BYTES_MAX = 64 * 1024
PING_SECONDS = 20.0
KERNEL_BYTES_MAX = 64 * 1024
"""What the kernel may hold for one reader. Left to itself it takes up to 4 MB from us before it says that nobody reads:
memory no one accounts for, and a reader that comes back has to hear all of it before the book of now."""


class SocketProtocol(WebSocketsSansIOProtocol):
    """For `uvicorn.Config(ws=SocketProtocol)`. The scope's extension `bourse.socket` has `room` and `abort`."""

    def handle_connect(self, event: Request) -> None:
        """Add the extension before the application begins."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES_MAX)
            self.scope["extensions"]["bourse.socket"] = {
                "room": self.writable,
                "abort": self.transport.abort,
            }
