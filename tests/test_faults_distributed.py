"""Faults of a spread-out exchange under load: no acknowledged order is lost or doubled, and the journal proves it.

Each prints how long it took from the fault to the first acknowledged order that was sent after it.
"""

import contextlib
import time
from collections.abc import Callable, Iterator

import pytest

from tests.distributed import DistributedExchange
from tests.fault_load import FaultLoad
from tests.harness import new_data_dir
from tests.witness import BookWatch, Witness

pytestmark = pytest.mark.slow

SERVES_SECONDS_MAX = 3.0
"""Within this time a standby must serve."""

AWAY_SECONDS = 3.0
"""How long a service is away: long enough for everybody to notice."""

Print = Callable[[str], None]


@pytest.fixture(scope="module")
def exchange() -> Iterator[DistributedExchange]:
    """Two web processes, two matching workers, Celery's worker and beat; one for all faults, healed in between."""
    with DistributedExchange(data_dir=new_data_dir(), webs=2, workers=2, celery=True) as running:
        yield running
    running.remove()


@pytest.fixture(scope="module")
def witness(exchange: DistributedExchange) -> Witness:
    """What the database saw."""
    return Witness(exchange=exchange)


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> Print:
    """Prints for people, past pytest's capture."""

    def print_now(text: str) -> None:
        with capsys.disabled():
            print(f"\n    {text}", end="", flush=True)

    with capsys.disabled():
        print(f"\n{request.node.name}", end="", flush=True)
    return print_now


@contextlib.contextmanager
def under_load(exchange: DistributedExchange, witness: Witness, say: Print, name: str) -> Iterator[FaultLoad]:
    """Trading before, while and after the block; then every promise is looked up, every book compared, all proved."""
    with BookWatch(exchange=exchange) as books:
        with FaultLoad(exchange=exchange, name=name, seed=len(name)) as load:
            load.wait_until_busy()
            yield load
            load.wait_until_busy()
        say(load.summary())
        books.assert_agree()
    witness.assert_kept(load)


def test_a_killed_web_process_costs_nobody_an_order(exchange: DistributedExchange, witness: Witness, say: Print):
    for number, web in enumerate(exchange.webs):
        with under_load(exchange, witness, say, f"web{number}") as load:
            at = load.moment()
            web.kill9()
            seconds = load.recovery(at)
            load.wait_until_busy()
            say(f"{web.name} killed: served elsewhere after {seconds:.2f} s, silence {load.silence(at):.2f} s")
            at = load.moment()
            web.start()
            exchange.wait_ready()
            say(f"ready again {load.moment() - at:.1f} s after its start")


def test_the_standby_serves_within_seconds_when_the_leader_is_killed(
    exchange: DistributedExchange, witness: Witness, say: Print
):
    for number in range(4):
        leader = exchange.leader()
        standby = witness.standby_beside(leader)
        with under_load(exchange, witness, say, f"leader{number}") as load:
            at = load.moment()
            leader.kill9()
            seconds = load.recovery(at)
            load.wait_until_busy()
            say(f"{leader.name} killed: served after {seconds:.2f} s, silence {load.silence(at):.2f} s")
            assert exchange.leader() is standby
            assert seconds < SERVES_SECONDS_MAX
            leader.start()
            assert witness.standby_beside(standby) is leader


def test_a_frozen_leader_is_replaced_and_cannot_commit_when_it_goes_on(
    exchange: DistributedExchange, witness: Witness, say: Print
):
    for number in range(3):
        leader = exchange.leader()
        standby = witness.standby_beside(leader)
        with under_load(exchange, witness, say, f"frozen{number}") as load:
            at = load.moment()
            leader.sigstop()
            seconds = load.recovery(at)
            say(f"{leader.name} frozen: served after {seconds:.2f} s, silence {load.silence(at):.2f} s")
            assert exchange.leader() is standby
            taken_over = witness.end_of(leader)
            leader.sigcont()
            witness.wait_until_fenced(leader)
            load.wait_until_busy()
            assert witness.writers_after(taken_over) == {standby.name}
            assert seconds < SERVES_SECONDS_MAX


def test_a_killed_standby_is_not_missed(exchange: DistributedExchange, witness: Witness, say: Print):
    leader = exchange.leader()
    standby = witness.standby_beside(leader)
    with under_load(exchange, witness, say, "standby") as load:
        at = load.moment()
        standby.kill9()
        seconds = load.recovery(at)
        load.wait_until_busy()
        say(f"{standby.name} killed: served after {seconds:.2f} s, silence {load.silence(at):.2f} s")
        standby.start()
        assert witness.standby_beside(leader) is standby


def test_celery_killed_is_made_up_for(exchange: DistributedExchange, witness: Witness, say: Print):
    for process in exchange.celery:
        with under_load(exchange, witness, say, process.name) as load:
            at = load.moment()
            process.kill9()
            seconds = load.recovery(at)
            load.wait_until_busy()
            say(f"{process.name} killed: orders served after {seconds:.2f} s, silence {load.silence(at):.2f} s")
            process.start()
            end = witness.end()
        at = load.moment()
        witness.wait_for_followers(end)
        say(f"followers are at command {end}, {load.moment() - at:.1f} s after all was proved")


def test_redis_comes_back_empty(exchange: DistributedExchange, witness: Witness, say: Print):
    for number in range(2):
        with under_load(exchange, witness, say, f"redis{number}") as load:
            at = load.moment()
            exchange.redis.stop()
            time.sleep(AWAY_SECONDS)
            back = load.moment()
            exchange.redis.start()
            seconds = load.recovery(back)
            load.wait_until_busy()
            say(
                f"Redis away for {back - at:.1f} s, back empty: served after {seconds:.2f} s, silence "
                f"{load.silence(at):.2f} s"
            )
            assert any(name.startswith("503 ") for name in load.failures), load.failures


@pytest.mark.parametrize("crash", [False, True], ids=["stopped", "crashed"])
def test_postgresql_comes_back(crash: bool, exchange: DistributedExchange, witness: Witness, say: Print):
    with under_load(exchange, witness, say, f"postgres-{crash}") as load:
        at = load.moment()
        exchange.stop_postgres(crash=crash)
        time.sleep(AWAY_SECONDS)
        back = load.moment()
        exchange.postgres.start()
        seconds = load.recovery(back)
        load.wait_until_busy()
        say(
            f"PostgreSQL away for {back - at:.1f} s: served after {seconds:.2f} s from its start on, silence "
            f"{load.silence(at):.2f} s"
        )
        assert any(name.startswith("503 ") for name in load.failures), load.failures
