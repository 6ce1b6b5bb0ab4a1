"""People who are told things, and a receiver of webhooks that writes down what it gets."""

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

import notifications
from notifications import secrecy
from notifications.models import Recipient
from notifications.recording import News
from trading.models import User

AT = 1_900_000_000_000_000
NOW = datetime.fromtimestamp(AT / 1e6, UTC)
SECRET = "whsec_of-the-tests"

_numbers = count(1)


def new_person(**fields: Any) -> User:
    """A user with an e-mail address and nothing recorded yet."""
    number = next(_numbers)
    return User.objects.create_user(f"person-{number}", f"person-{number}@example.org", **fields)


def listens_at(user: User, url: str) -> None:
    """The person has a webhook there."""
    stored = {"webhook_url": url, "webhook_secret_encrypted": secrecy.encrypted(SECRET)}
    Recipient.objects.update_or_create(user=user, defaults=stored)


def record_deposit(user: User, number: int = 1, **figures: str) -> bool:
    """Tell the person of a deposit of 1.5 ETH."""
    figures = {"amount": "1.5", "asset": "ETH"} | figures
    return notifications.record(
        user_id=user.pk, kind="deposit_credited", key=f"deposit {number}", figures=figures, at=AT
    )


def order_news(user: User, kind: str, number: int = 7, *, filled: str = "0.5") -> News:
    """A buy order of 0.5 BTC at 43,000 USDT, as far as it is filled."""
    figures = {"order": str(number), "side": "buy", "market": "BTC-USDT", "base": "BTC", "quote": "USDT"}
    figures |= {"quantity": "0.5", "filled": filled, "average_price": "43000.00", "notional": "21500"}
    return News(user_id=user.pk, kind=kind, key=f"order {number}", figures=figures, at=AT)


class Receiver:
    """A web server that answers `status` to everything and keeps what was posted: headers and bodies."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.status = 204
        self.headers: dict[str, str] = {}
        self.answer = b""
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.requests: list[tuple[dict[str, str], bytes]] = []

    @property
    def bodies(self) -> list[Any]:
        """What was posted, decoded."""
        return [json.loads(body) for _, body in self.requests]

    @property
    def keys(self) -> list[str]:
        """The idempotency keys, in the order of arrival."""
        return [headers["idempotency-key"] for headers, _ in self.requests]


def is_signed(headers: dict[str, str], body: bytes, secret: str = SECRET) -> bool:
    """Whether a request bears the signature that docs/notifications.md describes."""
    text = headers["x-timestamp"].encode() + body
    return hmac.compare_digest(hmac.new(secret.encode(), text, hashlib.sha256).hexdigest(), headers["x-signature"])


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
            receiver.may_answer.wait(60)
            self.send_response(receiver.status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # it has heard enough
                self.wfile.write(receiver.answer)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 256

    server = Server(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}/hook")
    thread = threading.Thread(target=server.serve_forever, args=[0.05], daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
