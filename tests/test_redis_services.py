"""Each kind of Redis that REDIS_URL may name, real ones: the limits, the feed between processes, Celery's broker."""

import asyncio
import contextlib
import datetime
import ipaddress
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from channels_redis.pubsub import RedisPubSubChannelLayer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from kombu import Connection
from redis.exceptions import RedisError

from matching import redis_url
from tests.redis_server import RedisServer, redis_server
from tests.redis_services import cluster_url, guarded_redis, redis_cluster, until
from trading import environment
from trading.gateway.shared_counts import Count, SharedCounts
from trading.shared_cache import SharedCache

ONE_PLACE = ("server", "password", "socket", "tls", "sentinel")
WAIT_SECONDS = 30


@pytest.fixture(scope="module", params=[*ONE_PLACE, "cluster"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The REDIS_URL of a running Redis of each kind."""
    with contextlib.ExitStack() as stack:
        if request.param == "server":
            yield stack.enter_context(redis_server())
        elif request.param == "sentinel":
            yield stack.enter_context(guarded_redis()).url
        elif request.param == "cluster":
            yield cluster_url(stack.enter_context(redis_cluster(nodes=3)))
        else:
            server, found = special_server(request.param, tmp_path_factory.mktemp("redis"))
            stack.callback(server.stop)
            server.start()
            yield found


def special_server(kind: str, folder: Path) -> tuple[RedisServer, str]:
    if kind == "password":
        server = RedisServer(options=("--requirepass", "p@ss/word"))
        return server, f"redis://:p%40ss%2Fword@127.0.0.1:{server.port}/3"
    if kind == "socket":
        return RedisServer(options=("--unixsocket", str(folder / "redis.sock"))), f"unix://{folder}/redis.sock?db=2"
    server = RedisServer()
    files = certificate(folder)
    server.options = ("--port", "0", "--tls-port", str(server.port), "--tls-auth-clients", "no", *files)
    return server, f"rediss://127.0.0.1:{server.port}/0?ssl_ca_certs={folder}/ca.pem"


def certificate(folder: Path) -> tuple[str, ...]:
    """A certificate for 127.0.0.1 that its own authority is; the options that tell a server."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return (
        "--tls-cert-file", f"{folder}/ca.pem", "--tls-key-file", f"{folder}/key.pem",
        "--tls-ca-cert-file", f"{folder}/ca.pem",
    )  # fmt: skip


def name() -> str:
    return uuid.uuid4().hex


async def count(counts: SharedCounts, key: str, *, cost: int = 1) -> Count | None:
    return await counts.add(key=key, seconds=600, cost=cost)


# ------------------------------------------------------------------------------------------ each kind


def test_counts_of_two_processes_are_exact(url: str) -> None:
    async def run() -> list[int]:
        here, there, key = SharedCounts(url=url), SharedCounts(url=url), name()
        found = await asyncio.gather(*(count(counts, key) for _ in range(150) for counts in (here, there)))
        await here.close()
        await there.close()
        return sorted(number for number, _ in found if found)  # type: ignore[misc]

    assert asyncio.run(run()) == list(range(1, 301))


def test_the_cache_of_many_threads_counts_exactly(url: str) -> None:
    key, found = name(), []

    def ask() -> None:
        cache = SharedCache(url, {})
        for _ in range(25):
            found.append(1 if cache.add(key, 1, 600) else cache.incr(key))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(1, 201))


def test_the_cache_is_a_cache(url: str) -> None:
    cache, key = SharedCache(url, {}), name()
    with pytest.raises(ValueError, match="no key"):
        cache.incr(key)
    assert cache.get(key, 5) == 5
    cache.set(key, 7, 600)
    assert (cache.get(key), cache.incr(key, 3), cache.delete(key), cache.delete(key)) == (7, 10, True, False)
    cache.set(key, 1, 0.01)
    until(lambda: cache.get(key) is None, "it does not expire")


def test_what_one_process_publishes_the_others_hear(url: str) -> None:
    async def run() -> list[Any]:
        async with asyncio.timeout(WAIT_SECONDS):
            layers = [new_layer(url) for _ in range(3)]
            names = [await layer.new_channel() for layer in layers]
            for layer, channel in zip(layers, names, strict=True):
                await layer.group_add("all", channel)
            await layers[0].group_send("all", {"batches": [b"\0\xff"]})
            heard = [await layer.receive(channel) for layer, channel in zip(layers, names, strict=True)]
            for layer in layers:
                await layer.flush()
            return heard

    assert asyncio.run(run()) == [{"batches": [b"\0\xff"]}] * 3


def test_celery_hands_its_messages_over(url: str) -> None:
    if redis_url.parse(url).kind == "cluster":
        return  # Celery cannot use one: test_redis_url.py
    broker, options = redis_url.celery_broker(url)
    with (
        Connection(broker, transport_options=options) as giving,
        Connection(broker, transport_options=options) as taking,
    ):
        queue = name()
        giving.SimpleQueue(queue).put({"task": "wake up"})
        message = taking.SimpleQueue(queue).get(timeout=WAIT_SECONDS)
        message.ack()
        assert message.payload == {"task": "wake up"}


def new_layer(url: str) -> Any:
    return RedisPubSubChannelLayer(hosts=redis_url.channel_hosts(url), prefix=redis_url.TAG)


# ------------------------------------------------------------------------------------------ coming and going


@contextlib.asynccontextmanager
async def everything(url: str) -> Any:
    """Whether the counts, the cache and the feed between two processes work, as a question to ask again and again."""
    here, there, counts, cache = new_layer(url), new_layer(url), SharedCounts(url=url), SharedCache(url, {})
    heard: list[int] = []
    channel = await there.new_channel()
    await there.group_add("all", channel)

    async def listen() -> None:
        while True:
            heard.append((await there.receive(channel))["number"])

    async def works() -> bool:
        number = len(heard) + 1_000_000
        if await count(counts, name()) is None:
            return False
        try:
            await asyncio.to_thread(cache.set, name(), 1, 60)
            await here.group_send("all", {"number": number})
        except redis_url.ERRORS:
            return False
        async with asyncio.timeout(WAIT_SECONDS):
            before = len(heard)
            for _ in range(20):
                await asyncio.sleep(0.05)
                if len(heard) > before:
                    return True
        return False

    listening = asyncio.create_task(listen())
    try:
        yield works
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await counts.close()
        with contextlib.suppress(*redis_url.ERRORS):
            await here.flush()
            await there.flush()


async def again(works: Callable[[], Any]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not await works():
            await asyncio.sleep(0.1)


def test_redis_may_go_and_come_back_empty() -> None:
    async def run(server: RedisServer) -> None:
        async with everything(server.url) as works:
            await again(works)
            server.stop()
            assert not await works()
            server.start()
            await again(works)

    server = RedisServer()
    try:
        server.start()
        asyncio.run(run(server))
    finally:
        server.stop()


@pytest.mark.parametrize("fault", ["stop", pytest.param("sigstop", marks=pytest.mark.slow)])
def test_another_server_takes_over_from_one_that_is_gone_or_frozen(fault: str) -> None:
    async def run(url: str, fail: Callable[[], None]) -> None:
        async with everything(url) as works:
            await again(works)
            fail()
            assert not await works()
            await again(works)

    with guarded_redis() as guarded:
        asyncio.run(run(guarded.url, getattr(guarded.leader, fault)))


def test_the_feed_survives_the_node_it_listened_to() -> None:
    async def run(servers: list[RedisServer]) -> None:
        layers = [new_layer(cluster_url(servers)) for _ in range(2)]
        channel = await layers[0].new_channel()
        await layers[0].group_add("all", channel)
        receiving = asyncio.create_task(layers[0].receive(channel))
        servers[0].stop()
        async with asyncio.timeout(WAIT_SECONDS):
            while not receiving.done():
                with contextlib.suppress(*redis_url.ERRORS):
                    await layers[1].group_send("all", {"still": "here"})
                await asyncio.wait({receiving}, timeout=0.1)
        assert receiving.result() == {"still": "here"}
        for layer in layers:
            await layer.flush()

    with redis_cluster(nodes=2) as servers:
        asyncio.run(run(servers))


def test_the_cache_of_several_processes_counts_exactly() -> None:
    with redis_server() as url:
        assert sorted(counted_by_two_processes(url)) == list(range(1, 201))


def counted_by_two_processes(url: str) -> list[int]:
    script = f"""if True:
        from trading.shared_cache import SharedCache
        cache = SharedCache({url!r}, {{}})
        print(*(1 if cache.add({(key := name())!r}, 1, 600) else cache.incr({key!r}) for _ in range(100)))
    """
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script], cwd=environment.PROJECT_ROOT, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    return [int(number) for process in processes for number in process.communicate(timeout=120)[0].split()]


def test_who_has_lost_redis_leaves_it_alone_for_a_moment() -> None:
    server = RedisServer()
    cache = SharedCache(server.url, {})
    with pytest.raises(RedisError, match="gives no answer"):
        cache.get("anything")
    with pytest.raises(RedisError, match="a moment ago"):
        cache.get("anything")


def test_all_rules_of_all_who_wait_make_few_round_trips() -> None:
    async def run(url: str) -> None:
        counts = SharedCounts(url=url)
        await asyncio.gather(*(count(counts, f"{number}", cost=2) for number in range(900)))
        await counts.close()

    with redis_server() as url:
        asyncio.run(run(url))
        info = redis.Redis.from_url(url).info("commandstats")
        assert info["cmdstat_eval"]["calls"] == 1
        assert info["cmdstat_incrby"]["calls"] == 900
