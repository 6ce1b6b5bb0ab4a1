"""The bench of surveillance finds plain attacks, hears nothing in an honest crowd, and keeps its books right."""

import pytest
from django.core.management import CommandError, call_command

from matching.attack.world import Episode
from matching.bench import surveillance_table
from matching.bench.surveillance import Score, Task, carry_out, delays, named, precision, recall
from matching.bench.surveillance_runs import FITS, FoundCase, FoundEpisode, Outcome, evaluate, matched
from risk.surveillance.cases import FAMILIES, Case

PLAIN = (("spoofing", "simple"), ("wash_trading", "linked"), ("quote_stuffing", "simple"), ("layering", "simple"))


def episode(pattern: str, *, delay: float | None, guilty: int = 1, named: int = 0) -> FoundEpisode:
    return FoundEpisode(pattern, "simple", delay, guilty, named)


def case(detector: str, *, about: int | None) -> FoundCase:
    return FoundCase("family", frozenset({detector}), frozenset({7}), 1, frozenset(), ("retail",), about, ())


def test_plain_attacks_are_found_and_their_accounts_named() -> None:
    (outcome,) = carry_out([Task(41, PLAIN, minutes=25)], processes=1)
    assert {found.pattern for found in outcome.episodes if found.delay is not None} == {name for name, _ in PLAIN}
    assert all(found.named == found.guilty for found in outcome.episodes)
    families = {FAMILIES[pattern] for pattern, _ in PLAIN}
    assert all(found.episode is not None for found in outcome.cases if found.family in families)


def test_nothing_is_heard_of_the_crowd_alone() -> None:
    outcome = evaluate(seed=42, attacks=(), minutes=15)
    assert outcome.commands > 2_000
    assert outcome.cases == []


def test_two_processes_find_what_one_finds() -> None:
    todo = [Task(seed, (("quote_stuffing", "touch"),), minutes=4) for seed in (43, 44)]
    assert list(carry_out(todo, processes=2)) == list(carry_out(todo, processes=1))


def test_recall_precision_delay_and_naming_are_counted_by_episode_and_case() -> None:
    outcome = Outcome(
        1, 1.0, 100,
        [case("spoofing", about=0), case("spoofing", about=None), case("wash_trading", about=1)],
        [episode("spoofing", delay=30, guilty=2, named=1), episode("spoofing", delay=None, guilty=3),
         episode("spoofing", delay=10, guilty=2, named=2)],
    )  # fmt: skip
    score = Score.of([outcome, outcome])
    found = score.episodes_of("spoofing")
    assert recall(found) == pytest.approx(2 / 3)
    assert delays(found) == [10, 10, 30, 30]
    assert named(found) == 3 / 4
    assert precision(score.cases_of("spoofing")) == 1 / 2
    assert precision(score.cases_of("layering")) == 1
    assert score.hours == 2


def test_what_is_required_is_held_against_the_figures() -> None:
    nine = [episode("spoofing", delay=5.0, named=1)] * 9 + [episode("spoofing", delay=None)]
    rows = list(surveillance_table.quality_rows(Score(nine, [case("spoofing", about=0)] * 9, 1)))
    assert {row.what: row.ok for row in rows if row.group in ("recall", "case precision")} == {"spoofing": True}
    rows = list(surveillance_table.quality_rows(Score(nine[1:], [case("spoofing", about=None)], 1)))
    assert [row.ok for row in rows if row.group in ("recall", "case precision")] == [False, False]
    honest = Score([], [case("spoofing", about=None)], 1)
    assert [row.ok for row in surveillance_table.honest_rows(crowd=honest, attacked=honest)] == [False, False]
    rows = [
        surveillance_table.recorded_row(what="x", false=false, probe=True, commands=1, judged=judged)
        for false, judged in ((2, True), (3, True), (3, False))
    ]
    assert [row.ok for row in rows] == [True, False, None]


@pytest.mark.parametrize(
    ("detector", "accounts", "minute", "true"),
    [
        ("spoofing", {7}, 0, True),
        ("layering", {7, 9}, 0, True),
        ("order_to_trade", {8}, 0, True),
        ("wash_trading", {7}, 0, False),  # another kind of thing
        ("spoofing", {9}, 0, False),  # somebody else
        ("spoofing", {7}, 14, True),
        ("spoofing", {7}, 16, False),  # long after
    ],
)
def test_a_case_is_true_if_it_fits_an_episode(detector: str, accounts: set[int], minute: int, true: bool) -> None:
    truth = Episode(1, "spoofing", "simple", 1, (7, 8), first_at=1_000, last_at=2_000)
    at = 2_000 + minute * 60_000_000
    found = Case(1, FAMILIES[detector], 1, frozenset(accounts), at, at, 1, 1, frozenset({detector}), 1)
    assert matched([truth], found) == (0 if true else None)


def test_every_pattern_has_a_detector_that_fits_it() -> None:
    assert all(pattern in fitting for pattern, fitting in FITS.items())
    assert set(FITS) == set(FAMILIES)


def test_a_look_at_one_pattern_prints_its_recall(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("bench_surveillance", pattern="quote_stuffing", disguise="simple", tuning=True, seeds=1, processes=1)
    assert "recall quote_stuffing     simple         1.00 of 1\n" in capsys.readouterr().out
    with pytest.raises(CommandError, match="There is no spoofign"):
        call_command("bench_surveillance", pattern="spoofign")
