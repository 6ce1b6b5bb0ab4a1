"""Two matching workers, orders all the time: whatever becomes of the one that leads, the other goes on, and alone.

The slow suite (test_faults_distributed.py) does this with more of everything, measures it, and has more faults.
"""

from tests.distributed import DistributedExchange
from tests.fault_load import FaultLoad
from tests.harness import new_data_dir
from tests.witness import Witness


def test_the_standby_goes_on_for_a_leader_that_is_killed_and_for_one_that_is_frozen() -> None:
    with DistributedExchange(data_dir=new_data_dir(), webs=1, workers=2) as exchange:
        witness = Witness(exchange=exchange)
        first = exchange.leader()
        second = witness.standby_beside(first)
        with FaultLoad(exchange=exchange, name="standby", seed=5, traders=4) as load:
            load.wait_until_busy()
            first.kill9()
            load.recovery(load.moment())
            assert exchange.leader() is second
            first.start()
            witness.standby_beside(second)

            second.sigstop()
            load.recovery(load.moment())
            assert exchange.leader() is first
            written = witness.end_of(second)
            second.sigcont()
            witness.wait_until_fenced(second)
            load.wait_until_busy()
            assert witness.writers_after(written) == {first.name}
        witness.assert_kept(load)
    exchange.remove()
