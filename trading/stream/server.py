"""uvicorn's WebSocket protocol, telling the consumer whether the connection takes more, and able to cut it."""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

FRAME_BYTES_MAX = 64 * 1024
PING_SECONDS = 20.0


class SocketProtocol(WebSocketsSansIOProtocol):
    """For `uvicorn.Config(ws=SocketProtocol)`. The scope's extension `bourse.socket` has `room` and `abort`."""

    def handle_connect(self, event: Request) -> None:
        """Add the extension before the application begins."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.scope["extensions"]["bourse.socket"] = {
                "room": self.writable,
                "abort": self.transport.abort,
            }
