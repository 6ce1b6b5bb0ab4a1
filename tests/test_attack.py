"""`manage.py attack`: a labelled run as lines of JSON, or in the exchange, where it trades as it was simulated."""

import json
from collections import Counter
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from marketdata.models import Trade
from matching.attack import live
from matching.attack.scenario import simulate
from matching.engine.messages import TradeExecuted
from orders.models import Order
from risk import relations
from risk.models import Account
from tests.builders import running_exchange


def test_the_lines_are_commands_with_times_and_labels_and_then_the_truth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("attack", "layering", seed=4, disguise="split", minutes=5, output=tmp_path / "run.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "command" in line]
    (truth,) = [line["truth"] for line in lines if "truth" in line]
    (roles,) = [line["roles"] for line in lines if "roles" in line]
    assert [step["sequence"] for step in steps] == list(range(1, len(steps) + 1))
    labelled = [step for step in steps if step["episode"] is not None]
    assert len(labelled) == truth["commands"] > 0
    assert {step["command"]["account_id"] for step in labelled} <= set(truth["guilty"])
    assert {roles[str(account_id)] for account_id in truth["guilty"]} == {"attacker 1"}
    assert (truth["pattern"], truth["disguise"]) == ("layering", "split")
    told = capsys.readouterr().err
    assert "layering, split: accounts " in told
    assert "seed 4: " in told


def test_without_a_file_the_lines_go_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("attack", "none", minutes=0.5)
    lines = capsys.readouterr().out.splitlines()
    assert {"sequence", "at", "command", "episode"} == set(json.loads(lines[0]))
    assert not any("truth" in json.loads(line) for line in lines)


def test_a_disguise_that_a_pattern_does_not_have_is_refused() -> None:
    with pytest.raises(CommandError, match="spoofing has no disguise ring_3; it has simple"):
        call_command("attack", "spoofing", disguise="ring_3")
    with pytest.raises(CommandError, match="above zero"):
        call_command("attack", "spoofing", minutes=-1)


@pytest.mark.usefixtures("fresh_database")
def test_a_run_placed_into_the_exchange_trades_there_as_it_was_simulated(capsys: pytest.CaptureFixture[str]) -> None:
    run = simulate(seed=8, attacks=(("wash_trading", "linked"),), minutes=4)
    with running_exchange():
        placed = live.place(run=run, speed=1_000, progress=lambda done: None)
        call_command("prove")
    assert placed.commands == len(run.steps) - run.setup
    assert len(placed.accounts) == len(run.roles)
    expected = [
        (
            placed.markets[trade.market_id],
            placed.accounts[trade.maker_account_id],
            placed.accounts[trade.taker_account_id],
        )
        for step in run.steps
        for trade in step.events
        if isinstance(trade, TradeExecuted)
    ]
    trades = Trade.objects.filter(taker_account_id__in=placed.accounts.values()).order_by("id")
    found = trades.values_list("market_id", "maker_account_id", "taker_account_id")
    assert list(found) == expected
    assert not Order.objects.filter(status="open").exists()
    tied = {
        (relation.kind, placed.accounts[relation.account_id], placed.accounts[relation.other_id])
        for relation in run.relations
    }
    known = relations.load()
    for kind, one, other in tied:
        assert kind in {relation.kind for relation in known.between(one, other)}


@pytest.mark.usefixtures("fresh_database")
def test_placed_twice_the_markets_are_the_same_and_the_accounts_are_others(capsys: pytest.CaptureFixture[str]) -> None:
    with running_exchange():
        for _ in range(2):
            call_command("attack", "spoofing", live=True, minutes=0.5, speed=1_000)
    told = capsys.readouterr().out
    assert told.count("spoofing, simple: accounts ") == 2
    assert set(Trade.objects.values_list("market__symbol", flat=True)) <= {"LARGE-SIM", "SMALL-SIM"}
    numbers = Counter(
        name.split()[1] for name in Account.objects.filter(name__startswith="attack ").values_list("name", flat=True)
    )
    *_, one, two = (numbers[number] for number in sorted(numbers))
    assert one == two > 100
