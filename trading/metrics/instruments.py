"""The counters and histograms of web processes and Celery: requests, refusals, waiting for the database, tasks.

Labels are words of our own (routes, codes, methods we know), never what a client wrote, so their number is bounded.
"""

from prometheus_client import Counter, Histogram

from matching.instruments import SECONDS

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

REQUESTS = Counter("bourse_http_requests", "Answered HTTP requests.", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "bourse_http_request_seconds", "Answering an HTTP request.", ["method", "route"], buckets=SECONDS
)
API_ERRORS = Counter(
    "bourse_api_errors", "Errors answered, by the way in (order_entry, socket, rest) and code.", ["way", "code"]
)
RATE_LIMITED = Counter("bourse_rate_limited", "Requests refused because there were too many, by limit.", ["limit"])
SOCKET_REQUESTS = Counter("bourse_socket_requests", "Requests on WebSockets.", ["op", "status"])
FEED_LAG = Histogram(
    "bourse_feed_lag_seconds", "From a batch's time in the worker until this process's feed has it.", buckets=SECONDS
)
READERS_WAIT = Histogram(
    "bourse_readers_wait_seconds", "Waiting for a thread with a database connection.", buckets=SECONDS
)
TASKS = Counter("bourse_tasks", "Celery tasks that ended: succeeded or failed.", ["task", "outcome"])
TASK_SECONDS = Histogram("bourse_task_seconds", "Running a Celery task.", ["task"], buckets=SECONDS)

_requests: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}


def request_answered(*, method: str, route: str, status: int, seconds: float) -> None:
    """Count an HTTP request; `route`: the path's pattern, bounded in number."""
    found = _requests.get((method, route, status))
    if found is None:
        known = method if method in METHODS else "other"
        found = (REQUESTS.labels(known, route, str(status)), REQUEST_SECONDS.labels(known, route))
        if known == method:  # what clients invent is not remembered
            _requests[method, route, status] = found
    found[0].inc()
    found[1].observe(seconds)
