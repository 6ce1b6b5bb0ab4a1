"""Traces, received as a collector receives them: an order from the edge to the disk, in one server with everything."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Link, SpanContext, TraceFlags

from tests.gateway_client import ORDERS, Signer
from tests.harness import ServerProcess, new_data_dir, remove_data_dir
from tests.socket_client import Socket
from trading.spans import Linked

WAIT_SECONDS_MAX = 60.0
ORDER = {"market": "BTC-USDT", "side": "buy", "type": "limit", "price": "40000.00", "quantity": "0.01000"}
CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
"""The trace and the span of whoever is in front of us."""


class Collector:
    """An OTLP collector (http/protobuf) on loopback: keeps what it is sent."""

    def __init__(self) -> None:
        self.resources: list[dict[str, str]] = []
        self._spans: list[Span] = []
        self._news = threading.Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                request = ExportTraceServiceRequest()
                request.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
                collector.keep(request)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nothing: pytest shows stderr."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def keep(self, request: ExportTraceServiceRequest) -> None:
        """What one export brought."""
        with self._news:
            for resource in request.resource_spans:
                self.resources.append({each.key: each.value.string_value for each in resource.resource.attributes})
                for scope in resource.scope_spans:
                    self._spans.extend(scope.spans)
            self._news.notify_all()

    def wait(self, wanted: Callable[[Span], bool], *, count: int = 1) -> list[Span]:
        """The spans that are `wanted`, once there are so many."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        with self._news:
            while len(found := [span for span in self._spans if wanted(span)]) < count:
                assert self._news.wait(deadline - time.monotonic()), sorted({span.name for span in self._spans})
            return found

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    running = Collector()
    yield running
    running.close()


@pytest.fixture(scope="module")
def server(collector: Collector) -> Iterator[ServerProcess]:
    data_dir = new_data_dir()
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "TRUSTED_PROXIES": "127.0.0.1",
        "BACKGROUND": "on",
    }
    try:
        with ServerProcess(data_dir=data_dir, env=env) as running:
            yield running
    finally:
        remove_data_dir(data_dir)


@pytest.fixture(scope="module")
def alice(server: ServerProcess) -> Signer:
    key = re.search(r"API key of alice: (\S+)  secret: (\S+)", server.log())
    assert key is not None
    return Signer(key[1], 0, key[2])


def place(server: ServerProcess, signer: Signer, name: str, *, address: str = "127.0.0.1") -> httpx.Response:
    """Place an order that rests, from an address of loopback, with a traceparent and the request's name."""
    body = json.dumps(ORDER | {"client_order_id": name}).encode()
    headers = signer.headers("POST", ORDERS, body, window=60_000)
    headers |= {"X-Request-ID": name, "traceparent": f"00-{CALLER[0]}-{CALLER[1]}-01"}
    with httpx.Client(transport=httpx.HTTPTransport(local_address=address), timeout=30) as client:
        return client.post(server.base_url + ORDERS, content=body, headers=headers)


def attributes(span: Span) -> dict[str, Any]:
    return {each.key: getattr(each.value, str(each.value.WhichOneof("value"))) for each in span.attributes}


def of_request(name: str) -> Callable[[Span], bool]:
    return lambda span: attributes(span).get("bourse.request_id") == name and span.name != "lane wait"


def children(parent: Span) -> Callable[[Span], bool]:
    return lambda span: (span.trace_id, span.parent_span_id) == (parent.trace_id, parent.span_id)


def test_an_order_is_followed_from_the_edge_to_the_disk(
    server: ServerProcess, collector: Collector, alice: Signer
) -> None:
    answer = place(server, alice, "trace-1")
    assert answer.status_code == 201
    (request,) = collector.wait(of_request("trace-1"))
    assert (request.name, request.trace_id.hex(), request.parent_span_id.hex()) == (f"POST {ORDERS}", *CALLER)
    assert attributes(request)["http.response.status_code"] == 201
    (lane,) = collector.wait(children(request))
    assert (lane.name, attributes(lane)["bourse.sequence"]) == ("order lane", answer.json()["id"])
    (wait,) = collector.wait(children(lane))
    assert (wait.name, attributes(wait)["bourse.request_id"]) == ("lane wait", "trace-1")
    (batch,) = collector.wait(lambda span: span.span_id == wait.links[0].span_id)
    assert (batch.name, attributes(batch)["bourse.sequence"]) == ("batch", answer.json()["id"])
    assert lane.span_id in [link.span_id for link in batch.links]
    assert batch.trace_id != request.trace_id, "a batch belongs to all who are in it"
    stages = sorted(collector.wait(children(batch), count=4), key=lambda span: span.start_time_unix_nano)
    assert [stage.name for stage in stages] == ["apply", "commit", "reply", "publish"]
    times = [moment for stage in stages for moment in (stage.start_time_unix_nano, stage.end_time_unix_nano)]
    assert times == sorted(times)
    assert lane.start_time_unix_nano <= wait.end_time_unix_nano <= stages[0].start_time_unix_nano
    assert stages[2].start_time_unix_nano <= lane.end_time_unix_nano, "the answer comes after the commit"


def test_who_is_no_trusted_proxy_begins_a_trace_of_his_own(
    server: ServerProcess, collector: Collector, alice: Signer
) -> None:
    answer = place(server, alice, "trace-2", address="127.0.0.2")
    (request,) = collector.wait(of_request(answer.headers["x-request-id"]))
    assert answer.headers["x-request-id"] != "trace-2"
    assert request.trace_id.hex() != CALLER[0]
    assert request.parent_span_id == b""


def test_an_order_on_a_socket_has_a_trace(server: ServerProcess, collector: Collector, alice: Signer) -> None:
    with Socket(server.base_url) as socket:
        assert socket.login(alice)["ok"]
        assert socket.ask("order.place", order=ORDER | {"client_order_id": "trace-3"})["ok"]
        response = socket.connection.response
        assert response is not None
        name = response.headers["x-request-id"]
    (request,) = collector.wait(of_request(f"{name}.1"))
    assert request.name == "order.place"
    (lane,) = collector.wait(children(request))
    assert [span.name for span in collector.wait(children(lane))] == ["lane wait"]


def test_a_request_to_django_is_named_by_its_route(server: ServerProcess, collector: Collector) -> None:
    for path, status in (("/api/v1/markets/BTC-USDT/depth", 200), ("/nothing", 404)):
        answer = server.get(path, {"X-Request-ID": f"trace-{status}"})
        assert answer.status_code == status
    (found,) = collector.wait(of_request("trace-200"))
    assert found.name == "GET /api/v1/markets/<str:market>/depth"
    (lost,) = collector.wait(of_request("trace-404"))
    assert lost.name == "GET unknown"


def test_a_batch_is_kept_when_a_request_in_it_is() -> None:
    """A collector that wants one trace in a hundred gets whole ones."""
    sampler = Linked(ALWAYS_OFF)
    kept, left = (
        Link(SpanContext(trace_id=1, span_id=2, is_remote=True, trace_flags=TraceFlags(flags))) for flags in (1, 0)
    )
    assert sampler.should_sample(None, 3, "batch", links=[left, kept]).decision.is_sampled()
    assert not sampler.should_sample(None, 3, "batch", links=[left]).decision.is_sampled()
    assert not sampler.should_sample(None, 3, "batch").decision.is_sampled()


def test_the_tasks_of_celery_are_spans_of_another_process(server: ServerProcess, collector: Collector) -> None:
    collector.wait(lambda span: span.name == "task trading.tasks.follow")
    assert {"up", "background"} <= {resource["bourse.role"] for resource in collector.resources}
    assert {resource["service.name"] for resource in collector.resources} == {"bourse"}
