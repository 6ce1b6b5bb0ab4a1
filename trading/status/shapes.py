"""What `manage.py status` knows, ready for JSON. Times as text; what is not known is null, and `problems` says why."""

from msgspec import Struct

OPEN_ORDERS_MAX = 2_000
"""Of one market; so many and more are not told apart."""


class Worker(Struct, frozen=True, kw_only=True):
    """A matching worker as PostgreSQL sees it: `state` is leads, loading or standby; `host` empty: this machine."""

    state: str
    host: str
    database_pid: int
    since: str


class Market(Struct, frozen=True, kw_only=True):
    """A market at a glance; `spread_bp`: in hundredths of a percent; `open_orders` stop at OPEN_ORDERS_MAX."""

    market: str
    state: str
    note: str
    reopens_at: str | None
    last: str | None
    best_bid: str | None
    best_ask: str | None
    spread: str | None
    spread_bp: float | None
    volume: str
    base: str
    open_orders: int


class Rate(Struct, frozen=True, kw_only=True):
    """How many a second: within the last second, and within the last `seconds` (60, or less where there are many)."""

    now: float
    minute: float
    seconds: float


class Follower(Struct, frozen=True, kw_only=True):
    """How far a consumer of the journal is behind, in commands and seconds, and whether it failed."""

    name: str
    behind: int
    seconds: float
    failed: bool


class Waiting(Struct, frozen=True, kw_only=True):
    """What waits for somebody. Counts stop at some bound."""

    inbox: int
    inbox_seconds: float
    deliveries: int
    deliveries_dead: int
    deliveries_late_seconds: float
    withdrawals: int


class Proof(Struct, frozen=True, kw_only=True):
    """The last run of `manage.py prove`."""

    proved: bool
    at: str
    commands: int
    finding: str


class Replica(Struct, frozen=True, kw_only=True):
    """A standby server of PostgreSQL; the lag in seconds, null where it is not told."""

    name: str
    state: str
    lag_seconds: float | None


class Postgres(Struct, frozen=True, kw_only=True):
    """The database server."""

    version: str
    size: int
    connections: int
    connections_max: int
    milliseconds: float
    replicas: list[Replica]


class Redis(Struct, frozen=True, kw_only=True):
    """The Redis of REDIS_URL; `stream`: entries that the order lane's stream still has."""

    version: str
    kind: str
    memory: int
    clients: int
    stream: int
    milliseconds: float


class Process(Struct, frozen=True, kw_only=True):
    """A process that was heard lately. See matching/vitals.py."""

    role: str
    host: str
    pid: int
    since: str
    silent_seconds: float
    worker: str | None
    sequence: int | None
    sockets: int | None
    lane_depth: int | None


class Celery(Struct, frozen=True, kw_only=True):
    """`queue`: messages that wait; how long ago a task ended and beat sent one, null: nobody has said so."""

    queue: int | None
    task_seconds: float | None
    tick_seconds: float | None


class Disk(Struct, frozen=True, kw_only=True):
    """The disk of DATA_DIR, in bytes."""

    path: str
    free: int
    size: int


class Exchange(Struct, frozen=True, kw_only=True):
    """What the database knows of all this. `state`: open, halted, loading or leaderless."""

    state: str
    halt_note: str
    sequence: int
    last_command_at: str | None
    workers: list[Worker]
    markets: list[Market]
    orders: Rate
    trades: Rate
    followers: list[Follower]
    waiting: Waiting
    alerts: dict[str, int]
    proof: Proof | None


class Status(Struct, frozen=True, kw_only=True):
    """Everything. `problems`: what is away, by part; `commits`: p50 and p99 of the leader in milliseconds."""

    at: str
    exchange: Exchange | None
    commits: list[float] | None
    lane_depth: int | None
    processes: list[Process]
    celery: Celery
    postgres: Postgres | None
    redis: Redis | None
    disk: Disk | None
    problems: dict[str, str]
