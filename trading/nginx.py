"""nginx in front of the web processes: its configuration, from `deploy/nginx.conf.template`, and how it is started.

One template serves everywhere: an `Edge` says what differs between a production server, a container and a test.
"""

import base64
import hashlib
import ipaddress
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.template import Context, Engine

from trading.stream.consumer import ADDRESS_CONNECTIONS_MAX

TEMPLATE = settings.BASE_DIR / "deploy" / "nginx.conf.template"
ERROR_PAGE = settings.BASE_DIR / "deploy" / "nginx-error.html"
NOTICE = "Written by `manage.py nginx_conf` from deploy/nginx.conf.template; see docs/edge.md."
DEBIAN_LOGS = "/var/log/nginx"
PAGES_RATE = "50/s"
PAGES_BURST = 200
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
PARAMETER_BYTES_MAX = 4000
"""nginx takes no longer word; the error page is one."""

_PLAIN = re.compile(r"[A-Za-z0-9_.:/\[\]*@+-]+")
_QUOTABLE = re.compile(r'[^"$\\\x00-\x1f]+')
_RATE = re.compile(r"([0-9]+)/([0-9]*)([smhd])")
_PORT = re.compile(r"(?:.*:)?([0-9]{1,5})")


class EdgeError(ValueError):
    """What was asked for makes no configuration; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """What one nginx is told. Addresses are HOST:PORT as in nginx's `server` and `listen`.

    `certificate` and `key`: PEM files, without them it speaks plain HTTP; `redirects`: where HTTP leads to HTTPS;
    `names`: hosts it answers for, none: all; `static`: the folder of collected files, without it the web processes
    serve them; `inside`: networks that may see /metrics; `behind`: proxies in front of it whose X-Forwarded-For counts;
    `folder`: where it keeps process id, logs and bodies instead of in Debian's places; `site_only`: without what an
    nginx with other sites has in its own nginx.conf.
    """

    webs: tuple[str, ...]
    listens: tuple[str, ...]
    certificate: str = ""
    key: str = ""
    redirects: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    static: str = ""
    inside: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()
    user: str = "www-data"
    workers: str = "auto"
    folder: str = ""
    site_only: bool = False
    limits: bool = True
    hsts_seconds: int = 0

    def __post_init__(self) -> None:
        """Raises EdgeError for what nginx would refuse or misread."""
        words = (*self.webs, *self.listens, *self.redirects, *self.names, *self.inside, *self.behind)
        paths = (self.certificate, self.key, self.static, self.folder)
        wrong = [word for word in (*words, self.user, self.workers) if not _PLAIN.fullmatch(word)]
        wrong += [path for path in paths if path and not _QUOTABLE.fullmatch(path)]
        if wrong:
            raise EdgeError(f"{wrong[0]!r} has characters that nginx would misread.")
        if not self.webs or not self.listens:
            raise EdgeError("An edge needs a web process at least, and an address to listen on.")
        for address in (*self.webs, *self.listens, *self.redirects):
            port = _PORT.fullmatch(address)
            if port is None or not 0 < int(port[1]) < 65_536 or (address in self.webs and ":" not in address):
                raise EdgeError(f"{address!r} is no address with a port.")
        for network in (*self.inside, *self.behind):
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                raise EdgeError(f"{network!r} is neither an address nor a network.") from error
        if bool(self.certificate) != bool(self.key):
            raise EdgeError("A certificate and its key go together.")
        if self.redirects and not self.certificate:
            raise EdgeError("Without a certificate there is no HTTPS to lead to.")


@dataclass(frozen=True, slots=True)
class Limit:
    """A rate as nginx writes it, and how many requests may come at once."""

    rate: str
    burst: int


def limit(*, rate: str) -> Limit:
    """A rate of the settings ("200/s", "60/10m"), all of it at once if need be, as the exchange itself counts."""
    found = _RATE.fullmatch(rate)
    assert found is not None, rate
    count, seconds = int(found[1]), int(found[2] or 1) * SECONDS[found[3]]
    text = f"{count // seconds}r/s" if count >= seconds else f"{max(1, count * 60 // seconds)}r/m"
    return Limit(text, max(1, count - 1))


def configuration(*, edge: Edge) -> str:
    """The text of the configuration, with the limits of the settings."""
    page, style_hash = _error_page()
    values = {name: getattr(edge, name) for name in Edge.__slots__}
    values |= {
        "notice": NOTICE,
        "log_folder": edge.folder or DEBIAN_LOGS,
        "names": " ".join(edge.names) or "_",
        "refuse_others": bool(edge.names) and not edge.site_only,
        "secure_port": _port_text(edge.listens),
        "hsts": f"max-age={edge.hsts_seconds}; includeSubDomains; preload" if edge.hsts_seconds else "",
        "orders": limit(rate=f"{settings.RATE_LIMIT_ADDRESS}/s"),
        "api": limit(rate=settings.API_RATE_ADDRESS),
        "sign_in": limit(rate=settings.LOGIN_RATE_ADDRESS),
        "pages": Limit(limit(rate=PAGES_RATE).rate, PAGES_BURST),
        "sockets_max": ADDRESS_CONNECTIONS_MAX,
        "error_page": page,
        "style_hash": style_hash,
    }
    # A line with nothing but a tag leaves no empty line behind.
    template = re.sub(r"(?m)^(\{%[^%]*%\})\n", r"\1", TEMPLATE.read_text(encoding="utf-8"))
    return Engine().from_string(template).render(Context(values, autoescape=False))


def names_from_hosts(*, hosts: Iterable[str]) -> tuple[str, ...]:
    """ALLOWED_HOSTS as names for nginx; none when every host is allowed."""
    found = tuple(hosts)
    return () if "*" in found else found


def executable() -> Path | None:
    """nginx, where it is installed. Debian keeps it where an ordinary user's PATH does not lead."""
    found = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"]))
    return Path(found) if found else None


def command(*, edge: Edge, program: Path) -> list[str]:
    """Write the configuration into `edge.folder`; returns the command that runs nginx on it in the foreground.

    SIGQUIT ends it politely, SIGTERM at once.
    """
    assert edge.folder, "in the foreground it keeps its files in a folder of its own"
    folder = Path(edge.folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "nginx.conf").write_text(configuration(edge=edge), encoding="utf-8")
    return [str(program), "-p", edge.folder, "-c", f"{edge.folder}/nginx.conf", "-e", "stderr", "-g", "daemon off;"]


def _port_text(listens: tuple[str, ...]) -> str:
    found = _PORT.fullmatch(listens[0])
    assert found is not None
    return "" if found[1] == "443" else f":{found[1]}"


def _error_page() -> tuple[str, str]:
    """The page as a word of nginx's, and its style's hash for the Content-Security-Policy."""
    page = " ".join(line.strip() for line in ERROR_PAGE.read_text(encoding="utf-8").splitlines())
    assert "'" not in page, "it stands between apostrophes"
    assert len(page.encode()) <= PARAMETER_BYTES_MAX
    style = page.partition("<style>")[2].partition("</style>")[0]
    return page, "sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
