"""Where Redis is, read from REDIS_URL: one server, one behind Sentinels, or a Cluster; and clients of it.

The forms are those of the library `limits`. A client of ours sends a command at most once: who may repeat it says so.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import redis
import redis.asyncio
from django.core.exceptions import ImproperlyConfigured
from redis.asyncio import sentinel as async_sentinel
from redis.asyncio.cluster import ClusterNode as AsyncClusterNode
from redis.asyncio.cluster import RedisCluster as AsyncRedisCluster
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisClusterException, RedisError
from redis.retry import Retry
from redis.sentinel import Sentinel

TAG = "{bourse}"
"""Begins every key of ours: a Redis Cluster keeps what has one tag on one node, so commands may name several keys."""

ERRORS = (RedisError, RedisClusterException, OSError)
"""What a client raises when Redis gives no answer or not the right one; a Cluster's is no RedisError."""

CONNECT_SECONDS_MAX = 2.0
ANSWER_SECONDS_MAX = 3.0
"""How long a command may take; a blocking one must block for less, or bring a `socket_timeout` of its own."""
HEALTH_CHECK_SECONDS = 5
"""A connection that was idle for so long is asked for a sign of life before it is used again."""
LISTENING: dict[str, Any] = {"protocol": 2}
"""Of connections that subscribe: with version 3 redis-py makes each message into text, for a log that nobody reads."""

CELERY_SECONDS_MAX = 15.0

FORMS = (
    "redis://[user:password@]host:port/db, rediss://... (TLS), unix:///path?db=0, "
    "redis+sentinel://[user:password@]host:port,host:port/service/db or redis+cluster://[user:password@]host:port,host:port"
)
PORT, SENTINEL_PORT = 6379, 26379

Kind = Literal["server", "socket", "sentinel", "cluster"]

_KINDS: dict[str, Kind] = {
    "redis": "server",
    "rediss": "server",
    "unix": "socket",
    "redis+sentinel": "sentinel",
    "redis+cluster": "cluster",
}
_TLS_OPTIONS = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname"})
_OPTIONS: dict[str, frozenset[str]] = {
    "redis": frozenset({"db"}),
    "rediss": frozenset({"db"}) | _TLS_OPTIONS,
    "unix": frozenset({"db"}),
    "redis+sentinel": frozenset({"sentinel_username", "sentinel_password"}),
    "redis+cluster": frozenset(),
}


@dataclass(frozen=True, slots=True)
class Place:
    """What a REDIS_URL says. `nodes`: servers, Sentinels or nodes of a Cluster; `path` of a unix socket."""

    kind: Kind
    nodes: tuple[tuple[str, int], ...]
    path: str
    service: str
    db: int
    login: dict[str, str]
    sentinel_login: dict[str, str]
    tls: dict[str, str] | None


def parse(url: str) -> Place:
    """Read a REDIS_URL. Raises ImproperlyConfigured for anything but FORMS."""
    parts = urlsplit(url)
    kind = _KINDS.get(parts.scheme)
    if kind is None:
        raise ImproperlyConfigured(f"REDIS_URL must be one of: {FORMS}.")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(options.keys() - _OPTIONS[parts.scheme]):
        raise ImproperlyConfigured(f"REDIS_URL has an option that {parts.scheme}:// does not know: {unknown[0]}.")
    userinfo, _, where = parts.netloc.rpartition("@")
    user, _, password = userinfo.partition(":")
    names = [unquote(name) for name in parts.path.split("/") if name]
    service = ""
    if kind == "sentinel":
        if not names:
            raise ImproperlyConfigured("REDIS_URL for Sentinel must name the service: redis+sentinel://host:port/name.")
        service = names.pop(0)
    elif kind == "cluster" and names not in ([], ["0"]):
        raise ImproperlyConfigured("REDIS_URL for a Cluster ends after its nodes: a Cluster has no numbered databases.")
    return Place(
        kind=kind,
        nodes=() if kind == "socket" else _nodes(where, SENTINEL_PORT if kind == "sentinel" else PORT, kind),
        path=_socket_path(where, parts.path) if kind == "socket" else "",
        service=service,
        db=_database([] if kind == "socket" else names, options.get("db")),
        login=_login(unquote(user), unquote(password)),
        sentinel_login=_login(options.get("sentinel_username", ""), options.get("sentinel_password", "")),
        tls={name: options[name] for name in _TLS_OPTIONS & options.keys()} if parts.scheme == "rediss" else None,
    )


def connect(url: str, **options: Any) -> redis.Redis:
    """A client for threads; connects when it is first used. `options` are redis-py's (`socket_timeout`, ...)."""
    place, once = parse(url), {"retry": Retry(NoBackoff(), 0)}
    settings = _connection(place) | once | options
    if place.kind == "sentinel":
        sentinel = Sentinel(place.nodes, sentinel_kwargs=_asking_sentinels(place) | once, **settings)
        return cast(redis.Redis, sentinel.master_for(place.service))
    if place.kind == "cluster":
        nodes = [ClusterNode(host, port) for host, port in place.nodes]
        return cast(redis.Redis, _Later(partial(RedisCluster, startup_nodes=nodes, **settings)))
    return redis.Redis(**_server(place), **settings)


def connect_async(url: str, **options: Any) -> redis.asyncio.Redis:
    """A client for one event loop; connects when it is first used. Close it with `aclose`, on that loop."""
    place, once = parse(url), {"retry": AsyncRetry(NoBackoff(), 0)}
    settings = _connection(place) | once | options
    if place.kind == "sentinel":
        asking = _asking_sentinels(place) | once
        sentinel = async_sentinel.Sentinel(place.nodes, sentinel_kwargs=asking, **settings)
        found = sentinel.master_for(place.service, connection_pool_class=_GuardedPool, connection_class=Leading)
        return cast(redis.asyncio.Redis, found)
    if place.kind == "cluster":
        nodes = [AsyncClusterNode(host, port) for host, port in place.nodes]
        return cast(redis.asyncio.Redis, AsyncRedisCluster(startup_nodes=nodes, **settings))
    return redis.asyncio.Redis(**_server(place), **settings)


def connect_listener(url: str) -> redis.asyncio.Redis:
    """A client to subscribe with, as `connect_async`; that of a Cluster listens to one node, which hears them all."""
    place = parse(url)
    if place.kind != "cluster":
        return connect_async(url, **LISTENING)
    (host,) = channel_hosts(url)
    return redis.asyncio.Redis.from_pool(redis.asyncio.ConnectionPool(**host))


def celery_broker(url: str) -> tuple[str, dict[str, Any]]:
    """Celery's broker URL and transport options. Raises ImproperlyConfigured for a Cluster: kombu cannot use one."""
    place = parse(url)
    options: dict[str, Any] = {
        "socket_timeout": CELERY_SECONDS_MAX,
        "socket_connect_timeout": CONNECT_SECONDS_MAX,
        "health_check_interval": HEALTH_CHECK_SECONDS,
    }
    login = ":".join(quote(place.login.get(name, ""), safe="") for name in ("username", "password"))
    before = f"{login}@" if place.login else ""
    if place.kind == "cluster":
        raise ImproperlyConfigured("Celery cannot use a Redis Cluster: it needs a CELERY_BROKER_URL of its own.")
    if place.kind == "socket":
        return f"redis+socket://{before}{quote(place.path)}?virtual_host={place.db}", options
    options["socket_keepalive"] = True
    if place.kind == "sentinel":
        options |= {"master_name": place.service, "sentinel_kwargs": _asking_sentinels(place)}
        sentinels = (f"sentinel://{before}{_host(host)}:{port}/{place.db}" for host, port in place.nodes)
        return ";".join(sentinels), options
    host, port = place.nodes[0]
    if place.tls is None:
        return f"redis://{before}{_host(host)}:{port}/{place.db}", options
    query = urlencode({"ssl_cert_reqs": "required"} | place.tls)
    return f"rediss://{before}{_host(host)}:{port}/{place.db}?{query}", options


def channel_hosts(url: str) -> list[dict[str, Any]]:
    """The `hosts` of channels_redis: one entry, because several would be taken for shards."""
    place, once = parse(url), {"retry": AsyncRetry(NoBackoff(), 0)}
    settings = _connection(place) | once | LISTENING
    if place.kind == "sentinel":
        where = {"master_name": place.service, "sentinels": place.nodes, "connection_class": Leading}
        return [{**where, "sentinel_kwargs": _asking_sentinels(place) | once, **settings}]
    if place.kind == "cluster":
        # Every node of a Cluster passes on what any of them was told to publish.
        return [{"connection_class": AnyNode, "nodes": place.nodes, **settings}]
    if place.kind == "socket":
        return [{"connection_class": redis.asyncio.UnixDomainSocketConnection, "path": place.path, **settings}]
    host, port = place.nodes[0]
    encryption: dict[str, Any] = {}
    if place.tls is not None:
        encryption = {"connection_class": redis.asyncio.SSLConnection, **_tls_options(place.tls)}
    return [{"host": host, "port": port, **encryption, **settings}]


class _Later:
    """A client of a Cluster, made when it is first used: redis-py asks for the nodes before it gives one."""

    def __init__(self, make: Callable[[], RedisCluster]) -> None:
        self._make = make
        self._client: RedisCluster | None = None

    def __getattr__(self, name: str) -> Any:
        if self._client is None:
            self._client = self._make()
        return getattr(self._client, name)

    def close(self) -> None:
        """Give the connections back, if there are any."""
        if self._client is not None:
            self._client.close()


class _GuardedPool(async_sentinel.SentinelConnectionPool):
    """Connections to the leader; closing them closes those to the Sentinels too."""

    async def disconnect(self, inuse_connections: bool = True) -> None:
        await super().disconnect(inuse_connections)
        if inuse_connections:
            await self.sentinel_manager.aclose()


class _Listening(redis.asyncio.Connection):
    """A subscriber's connection that is given up when it no longer answers, not only when it is closed.

    A server that froze, and that another has taken over from, would be listened to for ever. `next_health_check` is
    HEALTH_CHECK_SECONDS after the last sign of life; from then on redis-py asks, with each look for a message.
    """

    async def send_command(self, *args: Any, **kwargs: Any) -> None:
        asked = args[0] == "PING" and len(args) > 1
        if (
            asked
            and asyncio.get_running_loop().time() > self.next_health_check + ANSWER_SECONDS_MAX
            and self.is_connected
        ):
            await self.disconnect(nowait=True)
            raise redis.ConnectionError("There was no sign of life.")
        if not self.is_connected:
            await self.connect()
        await super().send_command(*args, **kwargs)


class Leading(_Listening, async_sentinel.SentinelManagedConnection):
    """A connection to the server that the Sentinels name."""


class AnyNode(_Listening):
    """A connection to the first of some nodes that is there."""

    def __init__(self, *, nodes: tuple[tuple[str, int], ...], **options: Any) -> None:
        super().__init__(**options)
        self._nodes = nodes

    async def _connect(self) -> None:
        for host, port in self._nodes[:-1]:
            self.host, self.port = host, port
            try:
                await super()._connect()
            except (*ERRORS, TimeoutError):
                continue
            return
        self.host, self.port = self._nodes[-1]
        await super()._connect()


def _timeouts() -> dict[str, Any]:
    return {
        "socket_connect_timeout": CONNECT_SECONDS_MAX,
        "socket_timeout": ANSWER_SECONDS_MAX,
        "socket_keepalive": True,
    }


def _connection(place: Place) -> dict[str, Any]:
    """What every connection to a server that keeps data has."""
    options = _timeouts() | {"health_check_interval": HEALTH_CHECK_SECONDS, **place.login}
    if place.kind == "socket":
        del options["socket_keepalive"]
    return options if place.kind == "cluster" else options | {"db": place.db}


def _asking_sentinels(place: Place) -> dict[str, Any]:
    return _timeouts() | place.sentinel_login


def _server(place: Place) -> dict[str, Any]:
    """The arguments of redis-py's client that say which server."""
    if place.kind == "socket":
        return {"unix_socket_path": place.path}
    host, port = place.nodes[0]
    encryption = {} if place.tls is None else {"ssl": True, **_tls_options(place.tls)}
    return {"host": host, "port": port, **encryption}


def _tls_options(tls: dict[str, str]) -> dict[str, Any]:
    check = tls.get("ssl_check_hostname", "true").lower() in ("true", "yes", "on", "1")
    return {**tls, "ssl_check_hostname": check}


def _nodes(where: str, default_port: int, kind: Kind) -> tuple[tuple[str, int], ...]:
    nodes = []
    for text in where.split(","):
        node = urlsplit(f"//{text}")
        try:
            port = node.port or default_port
        except ValueError as error:
            raise ImproperlyConfigured(f"REDIS_URL has a port that is no number from 1 to 65535: {text}.") from error
        if not node.hostname:
            raise ImproperlyConfigured("REDIS_URL names no host.")
        nodes.append((node.hostname, port))
    if kind == "server" and len(nodes) > 1:
        raise ImproperlyConfigured("REDIS_URL names several servers: use redis+sentinel:// or redis+cluster://.")
    return tuple(nodes)


def _socket_path(where: str, path: str) -> str:
    if where or not path.startswith("/"):
        raise ImproperlyConfigured("REDIS_URL for a unix socket needs a whole path: unix:///run/redis/redis.sock.")
    return unquote(path)


def _database(names: list[str], option: str | None) -> int:
    text = option if option is not None else names[0] if names else "0"
    if len(names) > 1 or not (text.isascii() and text.isdigit()):
        raise ImproperlyConfigured("REDIS_URL must end with the number of a database, such as /0.")
    return int(text)


def _login(user: str, password: str) -> dict[str, str]:
    found = {"username": user, "password": password}
    return {name: value for name, value in found.items() if value}


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
