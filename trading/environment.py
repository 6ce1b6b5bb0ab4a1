"""Reads settings from the environment, and from the file `.env` where the environment says nothing.

Every variable is read through these functions, which remember its name: so a test can hold `.env.example` to them.
"""

import os
import re
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

PROJECT_ROOT = Path(__file__).resolve().parent.parent

_TRUE = frozenset({"1", "on", "true", "yes"})
_FALSE = frozenset({"0", "off", "false", "no"})
_names_read: set[str] = set()


def load_env_file(*, path: Path) -> None:
    """Put each `NAME=value` line of `path` into the environment unless the name is set there; no file is no error."""
    if not path.is_file():
        return
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text = line.strip().removeprefix("export ")
        if not text or text.startswith("#"):
            continue
        name, separator, value = text.partition("=")
        if not separator or not name.strip().isidentifier():
            raise ImproperlyConfigured(f"{path}, line {number}: expected NAME=value.")
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        os.environ.setdefault(name.strip(), value)


def text(*, name: str, default: str = "") -> str:
    """The variable's text without surrounding blanks; `default` when it is not set or empty."""
    _names_read.add(name)
    return os.environ.get(name, "").strip() or default


def choice(*, name: str, choices: tuple[str, ...]) -> str:
    """One of `choices`, the first being the default; raises ImproperlyConfigured for any other text."""
    value = text(name=name, default=choices[0])
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}, not {value!r}.")
    return value


def flag(*, name: str, default: bool) -> bool:
    """True for on/true/yes/1, False for off/false/no/0; raises ImproperlyConfigured for any other text."""
    value = text(name=name, default="on" if default else "off").lower()
    if value not in _TRUE | _FALSE:
        raise ImproperlyConfigured(f"{name} must be on or off, not {value!r}.")
    return value in _TRUE


def integer(*, name: str, default: int, minimum: int, maximum: int) -> int:
    """A whole number within the bounds, both included; raises ImproperlyConfigured otherwise."""
    value = text(name=name, default=str(default))
    if not (value.isascii() and value.isdigit()) or not minimum <= int(value) <= maximum:
        raise ImproperlyConfigured(f"{name} must be a whole number from {minimum} to {maximum}, not {value!r}.")
    return int(value)


def names(*, name: str, default: str = "") -> list[str]:
    """A comma-separated list, blanks around the items dropped."""
    return [item.strip() for item in text(name=name, default=default).split(",") if item.strip()]


def networks(*, name: str, default: str = "") -> tuple[IPv4Network | IPv6Network, ...]:
    """A comma-separated list of addresses and networks; raises ImproperlyConfigured for any other text."""
    try:
        return tuple(ip_network(item, strict=False) for item in names(name=name, default=default))
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be a list of addresses and networks: {error}.") from error


def amounts(*, name: str, default: str = "") -> dict[str, Decimal]:
    """A comma-separated list of ASSET:AMOUNT, by asset; raises ImproperlyConfigured for any other text."""
    found = {}
    for item in names(name=name, default=default):
        symbol, _, amount = item.partition(":")
        if not symbol.isalnum() or not re.fullmatch(r"[0-9]{1,18}(\.[0-9]{1,18})?", amount, re.ASCII):
            raise ImproperlyConfigured(f"{name} must be a list like BTC:1,USDT:50000, not {item!r}.")
        found[symbol.upper()] = Decimal(amount)
    return found


def shared_folder(*, name: str) -> Path | None:
    """A folder that several processes share, made if it is not there; None, and no such variable, when it is empty."""
    value = text(name=name)
    if not value:
        os.environ.pop(name, None)  # a library that reads it looks only whether it is there
        return None
    folder = (PROJECT_ROOT / value).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    os.environ[name] = str(folder)
    return folder


def data_dir() -> Path:
    """DATA_DIR as an absolute path; a relative one starts at the project's root."""
    return (PROJECT_ROOT / text(name="DATA_DIR", default=".data")).resolve()


def database_url() -> str:
    """DATABASE_URL, or an empty text, which means: the embedded PostgreSQL in DATA_DIR."""
    return text(name="DATABASE_URL")


def variables_read() -> frozenset[str]:
    """Names of all variables asked for so far in this process."""
    return frozenset(_names_read)
