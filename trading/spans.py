"""What a trace is made of: the request, its time in the lane, and the batch that it was committed with.

The worker's spans are made when a batch is over, from times that it takes anyway. A batch is a trace of its own, linked
to the requests in it; the wait of each request is in the request's trace and linked to the batch.
"""

import os
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from celery import signals
from django.conf import settings
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, TraceState
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes

from matching import observing
from matching.engine.messages import AnyCommand, OrderPreviewed, PlaceOrder
from matching.lanes import REQUEST_ID, TRACE, OrderLane, Reply
from trading import logs
from trading.request_ids import Application, Receive, RequestIds, Scope, Send

TRACEPARENT = b"traceparent"
LINKS_MAX = 128
EXPORT_SECONDS_MAX = 2.0
"""How long the end of a process may be held up by a collector that does not answer."""

_w3c = TraceContextTextMapPropagator()
_provider: TracerProvider | None = None
_tracer: trace.Tracer = trace.NoOpTracer()
_tasks: dict[str, tuple[Span, Any]] = {}


def start() -> None:
    """Begin, once in a process: batches, tasks, and the sending of spans in a thread of its own."""
    global _provider, _tracer
    if _provider is not None:
        return
    resource = Resource.create(
        {
            "service.name": os.environ.get("OTEL_SERVICE_NAME") or "bourse",
            "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
            "bourse.role": logs.ROLE,
        }
    )
    _provider = TracerProvider(resource=resource)
    _provider.sampler = Linked(_provider.sampler)
    _provider.add_span_processor(BatchSpanProcessor(_exporter()))
    _tracer = _provider.get_tracer("bourse")
    observing.OBSERVERS.append(batch_over)
    signals.task_prerun.connect(_task_begins, weak=False)
    signals.task_failure.connect(_task_failed, weak=False)
    signals.task_postrun.connect(_task_ends, weak=False)


class Linked(Sampler):
    """Keeps what is linked to something that is kept; for the rest `other` decides (OTEL_TRACES_SAMPLER)."""

    def __init__(self, other: Sampler) -> None:
        self._other = other

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """As OpenTelemetry asks."""
        if any(link.context.trace_flags.sampled for link in links or ()):
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, trace_state)
        return self._other.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        """For people."""
        return f"Linked{{{self._other.get_description()}}}"


def _exporter() -> SpanExporter:
    if settings.TRACES == "console":
        return ConsoleSpanExporter(out=sys.stderr, formatter=_one_line)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(timeout=EXPORT_SECONDS_MAX)


def _one_line(span: ReadableSpan) -> str:
    return f"{span.to_json(indent=None)}\n"


# ---------------------------------------------------------------------------------------------- requests


def traced(application: Application, *, ids: RequestIds, route: Callable[[Scope], str]) -> Application:
    """See trading/tracing.py."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        came = ids.header(scope, TRACEPARENT).decode("latin-1")
        parent = _w3c.extract({"traceparent": came}, Context()) if came else Context()
        method = scope["method"]
        with _tracer.start_as_current_span(method, context=parent, kind=SpanKind.SERVER) as span:

            async def send_seen(message: Mapping[str, Any]) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        span.set_status(StatusCode.ERROR)
                await send(message)

            await application(scope, receive, send_seen)
            found = route(scope)
            span.update_name(f"{method} {found}")
            span.set_attributes(
                {
                    "http.request.method": method,
                    "http.route": found,
                    "url.path": scope["path"],
                    "bourse.request_id": REQUEST_ID.get(),
                }
            )

    return answer


async def followed(work: Coroutine[Any, Any, None], *, name: str) -> None:
    """See trading/tracing.py."""
    with _tracer.start_as_current_span(name, context=Context(), kind=SpanKind.SERVER) as span:
        await work
        span.set_attribute("bourse.request_id", REQUEST_ID.get())


class TracedLane:
    """A lane that tells the worker which span a request belongs to."""

    def __init__(self, lane: OrderLane) -> None:
        self._lane = lane
        self.commands_max = lane.commands_max

    @property
    def depth(self) -> int:
        """The lane's own."""
        return self._lane.depth

    async def execute(self, commands: Sequence[AnyCommand]) -> list[Reply]:
        """As the lane's."""
        with _tracer.start_as_current_span("order lane", kind=SpanKind.PRODUCER) as span:
            TRACE.set(_traceparent(span))
            replies = await self._lane.execute(commands)
            span.set_attributes({"bourse.commands": len(commands), "bourse.sequence": replies[-1].sequence})
            return replies

    async def preview(self, command: PlaceOrder) -> OrderPreviewed:
        """As the lane's."""
        with _tracer.start_as_current_span("order lane, preview", kind=SpanKind.PRODUCER):
            return await self._lane.preview(command)


def _traceparent(span: Span) -> str:
    """As W3C writes it; empty for a span that is not recorded: the worker need not look at it then."""
    its = span.get_span_context()
    return f"00-{its.trace_id:032x}-{its.span_id:016x}-{its.trace_flags:02x}" if its.trace_flags.sampled else ""


# ---------------------------------------------------------------------------------------------- batches


def batch_over(batch: observing.Observed) -> None:
    """The spans of a batch, its stages, and what its requests waited before it; none if no request has any."""
    parents = [(request, _parent(request.trace)) for request in batch.requests if request.trace]
    if batch.requests and not parents:
        return
    began, ended = batch.stages[0][1], batch.stages[-1][2]
    span = _tracer.start_span(
        "batch",
        context=Context(),
        kind=SpanKind.CONSUMER,
        links=[Link(parent) for _, parent in parents[:LINKS_MAX]],
        attributes={
            "bourse.sequence": batch.first_sequence,
            "bourse.commands": batch.commands,
            "bourse.requests": len(batch.requests),
        },
        start_time=_nanoseconds(began),
    )
    inside = trace.set_span_in_context(span, Context())
    for name, begin, end in batch.stages:
        _tracer.start_span(name, context=inside, start_time=_nanoseconds(begin)).end(_nanoseconds(end))
    if batch.failure:
        span.set_status(Status(StatusCode.ERROR, batch.failure))
    span.end(_nanoseconds(ended))
    link = Link(span.get_span_context())
    for request, parent in parents:
        wait = _tracer.start_span(
            "lane wait",
            context=trace.set_span_in_context(trace.NonRecordingSpan(parent), Context()),
            links=[link],
            attributes={"bourse.request_id": request.request_id},
            start_time=_nanoseconds(min(request.sent_at, began)),
        )
        wait.end(_nanoseconds(began))


def _parent(traceparent: str) -> SpanContext:
    return trace.get_current_span(_w3c.extract({"traceparent": traceparent}, Context())).get_span_context()


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000_000)


# ---------------------------------------------------------------------------------------------- tasks


def _task_begins(*, task_id: str, task: Any, **_: Any) -> None:
    span = _tracer.start_span(f"task {task.name}", context=Context(), kind=SpanKind.CONSUMER)
    _tasks[task_id] = span, otel_context.attach(trace.set_span_in_context(span, Context()))


def _task_failed(*, task_id: str, exception: BaseException, **_: Any) -> None:
    if found := _tasks.get(task_id):
        found[0].record_exception(exception)
        found[0].set_status(Status(StatusCode.ERROR, type(exception).__name__))


def _task_ends(*, task_id: str, **_: Any) -> None:
    if found := _tasks.pop(task_id, None):
        span, token = found
        otel_context.detach(token)
        span.end()
