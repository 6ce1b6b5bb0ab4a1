"""Attacks inside the crowd: the same for the same seed, labelled truly, every disguise of every pattern."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from matching.attack import recorded
from matching.attack.plan import PATTERNS
from matching.attack.scenario import Run, simulate
from matching.attack.world import Step
from matching.bench.surveillance import ATTACKS_PER_RUN, Task, tasks
from matching.engine.messages import (
    AmendOrder,
    CancelOrder,
    CancelOrders,
    OrderPlaced,
    OrderUpdated,
    PlaceOrder,
    Reason,
    TradeExecuted,
)

DATA = Path(__file__).parent.parent / "data"
EVERY_DISGUISE = tasks(seeds=[7], patterns=list(PATTERNS))
MINUTES = 6


def acting(step: Step) -> int:
    """Whose command it is."""
    assert isinstance(step.command, PlaceOrder | AmendOrder | CancelOrder | CancelOrders)
    return step.command.account_id


def told(run: Run) -> list[tuple[object, ...]]:
    return [(step.at, step.command, step.episode and step.episode.id) for step in run.steps]


def test_the_same_seed_gives_the_same_run():
    attacks = (("spoofing", "split"), ("wash_trading", "ring_3"))
    one, two = (simulate(seed=3, attacks=attacks, minutes=6) for _ in range(2))
    assert told(one) == told(two)
    assert (one.episodes, one.relations) == (two.episodes, two.relations)


def test_another_seed_gives_another_run():
    assert told(simulate(seed=3, minutes=1)) != told(simulate(seed=4, minutes=1))


def test_the_plan_has_every_disguise_once_and_few_attacks_a_run():
    planned = Counter(attack for task in EVERY_DISGUISE for attack in task.attacks)
    assert planned == Counter({(pattern, name): 1 for pattern, names in PATTERNS.items() for name in names})
    for task in EVERY_DISGUISE:
        patterns = [pattern for pattern, _ in task.attacks]
        assert len(set(patterns)) == len(patterns) <= ATTACKS_PER_RUN


def test_every_pattern_has_four_disguises_at_least():
    assert all(len(names) >= 4 for names in PATTERNS.values())


@pytest.mark.parametrize("task", EVERY_DISGUISE, ids=lambda task: f"run{task.seed // 10_000}")
def test_each_attack_is_labelled_and_its_commands_are_those_of_the_guilty(task: Task):
    run = simulate(seed=task.seed, attacks=task.attacks, minutes=MINUTES)
    assert [(episode.pattern, episode.disguise) for episode in run.episodes] == list(task.attacks)
    everybody = [account_id for episode in run.episodes for account_id in (*episode.guilty, *episode.victims)]
    assert len(set(everybody)) == len(everybody)
    for episode in run.episodes:
        steps = [step for step in run.steps if step.episode is episode]
        assert len(steps) == episode.commands > 0
        assert {acting(step) for step in steps} <= set(episode.guilty)
        assert (steps[0].sequence, steps[-1].sequence) == (episode.first_sequence, episode.last_sequence)
        assert (steps[0].at, steps[-1].at) == (episode.first_at, episode.last_at)
    honest = [step for step in run.steps[run.setup :] if step.episode is None]
    assert len(honest) > 100


def test_guilty_accounts_do_nothing_unlabelled_unless_they_mix_in():
    run = simulate(seed=2, attacks=(("spoofing", "simple"), ("layering", "mixed")), minutes=MINUTES)
    plain, mixed = run.episodes
    unlabelled = {acting(step) for step in run.steps[run.setup :] if step.episode is None}
    assert unlabelled.isdisjoint(plain.guilty)
    assert unlabelled.issuperset(mixed.guilty)


def test_time_never_goes_back_and_sequences_have_no_holes():
    run = simulate(seed=5, attacks=(("quote_stuffing", "simple"),), minutes=5)
    assert [step.sequence for step in run.steps] == list(range(1, len(run.steps) + 1))
    assert all(one.at < two.at for one, two in zip(run.steps, run.steps[1:], strict=False))


def test_wash_trades_of_one_owner_are_prevented_by_the_exchange_and_those_of_a_ring_are_not():
    run = simulate(seed=9, attacks=(("wash_trading", "same_owner"), ("wash_trading", "ring_4")), minutes=20)
    one_owner, ring = (set(episode.guilty) for episode in run.episodes)
    assert (len(one_owner), len(ring)) == (2, 4)
    trades = [event for step in run.steps for event in step.events if isinstance(event, TradeExecuted)]
    pairs = [{trade.maker_account_id, trade.taker_account_id} for trade in trades]
    assert not any(pair <= one_owner for pair in pairs)
    assert sum(pair <= ring for pair in pairs) >= 8
    prevented = [
        event.order
        for step in run.steps
        for event in step.events
        if isinstance(event, OrderPlaced) and event.order.reason == Reason.SELF_TRADE_PREVENTED
    ]
    assert sum(order.account_id in one_owner for order in prevented) >= 4


def test_a_close_comes_within_the_run_at_a_full_hour():
    run = simulate(seed=11, attacks=(("marking_the_close", "simple"),), minutes=MINUTES)
    (episode,) = run.episodes
    assert run.close is not None
    assert run.close % 3_600_000_000 == 0
    assert run.steps[0].at < episode.first_at < run.close < run.steps[-1].at


# ---------------------------------------------------------------------------------------------- the recorded flow


@pytest.fixture
def recording(tmp_path: Path) -> recorded.Recording:
    for name, here in (("replay", ""), ("truth_fills", "_trades"), ("truth_final_book", "_book")):
        shutil.copy(DATA / f"bitstamp_excerpt{here}.csv", tmp_path / f"{name}.csv")
    return recorded.load(folder=tmp_path)


@pytest.mark.parametrize("by_size", [False, True])
def test_a_recorded_order_lives_in_one_account_and_trades_as_recorded(recording: recorded.Recording, by_size: bool):
    run = recorded.watched(recording=recording, by_size=by_size)
    trades = [event for step in run.steps for event in step.events if isinstance(event, TradeExecuted)]
    assert [(trade.price, trade.quantity) for trade in trades] == [
        (trade.price, trade.quantity) for trade in recording.trades
    ]
    owner = {step.sequence: step.command.account_id for step in run.steps if isinstance(step.command, PlaceOrder)}
    for step in run.steps:
        if isinstance(step.command, CancelOrder):
            assert owner[step.command.order_id or 0] == step.command.account_id
            assert any(isinstance(event, OrderUpdated) for event in step.events)
    assert len(run.roles) == recorded.ACCOUNTS


def test_the_machine_that_probed_is_one_account_and_has_nothing_else(recording: recorded.Recording):
    run = recorded.watched(recording=recording)
    (probe,) = [account_id for account_id, role in run.roles.items() if role == recorded.PROBE]
    orders = [step.command for step in run.steps if isinstance(step.command, PlaceOrder)]
    assert {order.account_id for order in orders if order.post_only} == {probe}
    assert all(order.post_only or order.time_in_force == "ioc" for order in orders if order.account_id == probe)
    assert sum(order.account_id == probe for order in orders) >= 515


def test_orders_of_one_size_are_dealt_to_one_account_by_size(recording: recorded.Recording):
    run = recorded.watched(recording=recording, by_size=True)
    owners: dict[int, set[int]] = {}
    for step in run.steps:
        if isinstance(step.command, PlaceOrder) and run.roles[step.command.account_id] != recorded.PROBE:
            owners.setdefault(step.command.quantity or 0, set()).add(step.command.account_id)
    assert sum(len(found) == 1 for found in owners.values()) > 0.95 * len(owners)
    assert len(set().union(*owners.values())) > 50


def test_attacks_are_mixed_into_the_recorded_flow(recording: recorded.Recording):
    run = recorded.watched(recording=recording, attacks=(("quote_stuffing", "simple"),))
    (episode,) = run.episodes
    assert episode.commands > 100
    assert run.roles[episode.guilty[0]] == "attacker 1"
