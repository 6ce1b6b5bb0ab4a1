"""nginx in front, for tests: Debian's own, on a free port, in a folder of its own, ended by its process id.

with Upstream() as one, Upstream() as two, Nginx(folder=tmp_path, webs=(one.address, two.address)) as edge:
    edge.client().get("/api/v1/time")            # over HTTPS; the certificate is checked
    one.requests                                  # what came there
    edge.log()                                    # lines of the access log
"""

import contextlib
import datetime
import getpass
import http.client
import http.server
import ipaddress
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.harness import free_port
from trading import nginx

START_SECONDS_MAX = 60
POLL_SECONDS = 0.02
BACKLOG = 128


class Nginx:
    """nginx with a certificate of its own for 127.0.0.1 and localhost; `options` are those of an `Edge`."""

    def __init__(self, *, folder: Path, webs: tuple[str, ...], tls: bool = True, **options: Any) -> None:
        self.folder = folder
        self.port = free_port()
        self.base_url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.certificate = folder / "certificate.pem"
        if tls:
            options |= make_certificate(folder=folder)
        self.edge = nginx.Edge(
            webs=webs,
            listens=(f"127.0.0.1:{self.port}",),
            user=getpass.getuser(),
            workers="2",
            folder=str(folder),
            **options,
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        program = nginx.executable()
        assert program is not None, "The tests need nginx; `make test` says how to get it."
        with self._output.open("ab") as output:
            self.process = subprocess.Popen(
                nginx.command(edge=self.edge, program=program), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self.wait_until(self._listens, "nginx that listens")

    def stop(self) -> None:
        """End it at once; twice is no harm."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(START_SECONDS_MAX)

    def context(self) -> ssl.SSLContext:
        """TLS as a client does it that trusts this certificate and no other."""
        return ssl.create_default_context(cafile=str(self.certificate))

    def client(self, **options: Any) -> httpx.Client:
        """A client for it, to be closed; redirects are not followed."""
        verify = self.context() if self.base_url.startswith("https") else True
        return httpx.Client(base_url=self.base_url, verify=verify, trust_env=False, timeout=30, **options)

    def get(self, path: str, **headers: str) -> httpx.Response:
        """The answer to a GET, on a connection of its own."""
        with self.client() as client:
            return client.get(path, headers=headers)

    def connection(self) -> ssl.SSLSocket:
        """A TLS connection to write to by hand."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        return self.context().wrap_socket(plain, server_hostname="127.0.0.1")

    def lines(self) -> list[dict[str, Any]]:
        """The access log so far; a line gets there within a second."""
        path = self.folder / "bourse.access.log"
        whole = path.read_text().rpartition("\n")[0] if path.exists() else ""
        return [json.loads(line) for line in whole.splitlines()]

    def log(self, *, request_id: str) -> dict[str, Any]:
        """The line of the access log about this request, waited for."""
        found: list[dict[str, Any]] = []

        def written() -> bool:
            found[:] = [line for line in self.lines() if line["request_id"] == request_id]
            return bool(found)

        self.wait_until(written, f"line in the log about {request_id}")
        return found[0]

    def wait_until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until it holds; AssertionError that says `what` is missing, with all that nginx has said."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while not holds():
            errors = "".join(path.read_text() for path in self.folder.glob("*.log") if "access" not in path.name)
            assert time.monotonic() < deadline, f"no {what}:\n{errors}"
            time.sleep(POLL_SECONDS)

    @property
    def _output(self) -> Path:
        return self.folder / "output.log"

    def _listens(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"nginx has ended:\n{self._output.read_text()}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def __enter__(self) -> "Nginx":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def make_certificate(*, folder: Path) -> dict[str, Any]:
    """A self-signed certificate and its key in `folder`, as an `Edge` names them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    hosts = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True)
    paths = {"certificate": folder / "certificate.pem", "key": folder / "key.pem"}
    paths["certificate"].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    paths["key"].touch(mode=0o600)
    paths["key"].write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
    return {name: str(path) for name, path in paths.items()}


@dataclass(frozen=True)
class Got:
    """A request as it came to an upstream."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Upstream:
    """A web server that remembers its requests and answers them with what it got, or breaks the connection instead."""

    def __init__(self) -> None:
        self.requests: list[Got] = []
        self.breaks = False
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._server: http.server.ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen from now on."""
        upstream = self

        class Handler(_Handler):
            def got(self, request: Got) -> bool:
                upstream.requests.append(request)
                return not upstream.breaks

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = BACKLOG

        self._server = Server(("127.0.0.1", self.port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL_SECONDS,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Listen no more; twice is no harm."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = self._thread = None

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """As long as the block runs, nobody listens here."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextlib.contextmanager
    def breaking(self) -> Iterator[None]:
        """As long as the block runs, requests are taken and never answered: the connection breaks."""
        self.breaks = True
        try:
            yield
        finally:
            self.breaks = False

    def __enter__(self) -> "Upstream":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


class _Handler(http.server.BaseHTTPRequestHandler):
    """One connection. Each is closed with its answer: a thread that waits for more would outlive the server."""

    protocol_version = "HTTP/1.1"

    def got(self, request: Got) -> bool:
        """Remember it; whether it is to be answered."""
        raise NotImplementedError

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Got(self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        self.close_connection = True
        if not self.got(request):
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        data = json.dumps({"target": request.target, "headers": request.headers}).encode()
        self.send_response(http.client.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Request-ID", "an upstream's own")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def told(answer: httpx.Response) -> Mapping[str, Any]:
    """What an upstream got, from its answer."""
    assert answer.status_code == 200, answer.text
    found: Mapping[str, Any] = answer.json()
    return found
