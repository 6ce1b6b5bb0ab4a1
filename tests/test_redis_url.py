"""REDIS_URL: every form that is understood, and what is said of those that are not."""

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from matching import redis_url
from matching.redis_url import Place


def place(**parts: Any) -> Place:
    usual: dict[str, Any] = {"kind": "server", "nodes": (("h", 6379),), "path": "", "service": "", "db": 0, "tls": None}
    return Place(**{**usual, "login": {}, "sentinel_login": {}, **parts})


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h", place()),
        ("redis://h:7/2", place(nodes=(("h", 7),), db=2)),
        ("redis://[::1]:7/1", place(nodes=(("::1", 7),), db=1)),
        ("redis://ann:p%40ss@h/0", place(login={"username": "ann", "password": "p@ss"})),
        ("redis://:secret@h?db=3", place(login={"password": "secret"}, db=3)),
        ("rediss://h", place(tls={})),
        ("rediss://h/0?ssl_ca_certs=/ca.pem", place(tls={"ssl_ca_certs": "/ca.pem"})),
        ("unix:///run/redis.sock?db=3", place(kind="socket", nodes=(), path="/run/redis.sock", db=3)),
        (
            "redis+sentinel://:secret@a:1,b/main/2?sentinel_password=other",
            place(
                kind="sentinel", nodes=(("a", 1), ("b", 26379)), service="main", db=2,
                login={"password": "secret"}, sentinel_login={"password": "other"},
            ),
        ),
        ("redis+cluster://ann:x@a:1,b:2", place(
            kind="cluster", nodes=(("a", 1), ("b", 2)), login={"username": "ann", "password": "x"}
        )),
    ],
)  # fmt: skip
def test_what_a_url_says(url: str, expected: Place) -> None:
    assert redis_url.parse(url) == expected


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "must be one of: redis://"),
        ("http://h", "must be one of: redis://"),
        ("redis:///0", "names no host"),
        ("redis://h:x/0", "a port that is no number from 1 to 65535: h:x"),
        ("redis://h:70000/0", "a port that is no number"),
        ("redis://h/zero", "the number of a database"),
        ("redis://h/0/1", "the number of a database"),
        ("redis://h/0?timeout=1", "an option that redis:// does not know: timeout"),
        ("redis://a,b/0", "several servers: use redis+sentinel:// or redis+cluster://"),
        ("unix://run/redis.sock", "needs a whole path"),
        ("redis+sentinel://a,b", "must name the service"),
        ("redis+cluster://a/1", "a Cluster has no numbered databases"),
    ],
)
def test_what_is_no_place_is_refused_in_words(url: str, complaint: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="REDIS_URL") as refused:
        redis_url.parse(url)
    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("redis://ann:p%40ss@h:7/2", "redis://ann:p%40ss@h:7/2"),
        ("redis://[::1]", "redis://[::1]:6379/0"),
        ("rediss://h", "rediss://h:6379/0?ssl_cert_reqs=required"),
        ("unix:///run/redis.sock?db=3", "redis+socket:///run/redis.sock?virtual_host=3"),
        ("redis+sentinel://:x@a,b/main/2", "sentinel://:x@a:26379/2;sentinel://:x@b:26379/2"),
    ],
)
def test_the_broker_that_celery_is_told(url: str, broker: str) -> None:
    assert redis_url.celery_broker(url)[0] == broker


def test_celery_cannot_use_a_cluster() -> None:
    with pytest.raises(ImproperlyConfigured, match="CELERY_BROKER_URL"):
        redis_url.celery_broker("redis+cluster://h")
