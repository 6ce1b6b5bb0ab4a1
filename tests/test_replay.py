"""A few recorded seconds of a real exchange, through worker and database, give what that exchange published.

The excerpt is described in tests/data/README.md; here it becomes a folder like a whole recording's.
"""

import gzip
import shutil
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from marketdata.models import Market, Trade
from matching.replay import Replayed, replay
from matching.replay_feed import WIDE
from matching.replay_live import play
from orders.models import Order
from risk.models import Account
from tests.builders import running_exchange

DATA = Path(__file__).parent / "data"
AS_RECORDED = {
    "trades": (39, 39),
    "post-only refusals": (515, 515),
    "IOC remainders": (160, 160),
    "cancel remainders": (1_166, 1_166),
    "resting orders": (123, 123),
}

pytestmark = pytest.mark.usefixtures("fresh_database")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """The excerpt as a recording's folder, one file gzipped and two plain."""
    with (DATA / "bitstamp_excerpt.csv").open("rb") as plain, gzip.open(tmp_path / "replay.csv.gz", "wb") as packed:
        shutil.copyfileobj(plain, packed)
    shutil.copy(DATA / "bitstamp_excerpt_trades.csv", tmp_path / "truth_fills.csv")
    shutil.copy(DATA / "bitstamp_excerpt_book.csv", tmp_path / "truth_final_book.csv")
    return tmp_path


def counts(replayed: Replayed) -> dict[str, tuple[int, int]]:
    return {row.name: (row.matched, row.expected) for row in replayed.rows}


def test_a_recording_replayed_without_a_server_is_as_recorded(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("replay", str(recording))
    report = capsys.readouterr().out
    assert "39/39 trades\n" in report
    assert "515/515 post-only refusals\n" in report
    assert "1,166/1,166 cancel remainders\n" in report
    assert "160/160 IOC remainders\n" in report
    assert "3,171 commands on RP" in report
    call_command("prove")


def test_a_recording_replayed_beside_a_running_worker_is_as_recorded(recording: Path) -> None:
    progress: list[int] = []
    with running_exchange() as exchange:
        replayed = replay(folder=recording, progress=progress.append)
        assert counts(replayed) == AS_RECORDED
        assert exchange.create_asset("AFTER", 8)  # the worker that was there leads still
        call_command("prove")
    assert replayed.same
    assert progress == [1_000, 2_000, 3_000, 3_171]


def test_a_recording_can_be_replayed_on_a_market_that_exists(recording: Path) -> None:
    with running_exchange() as exchange:
        base, quote = exchange.create_asset("BASE", 8), exchange.create_asset("QUOTE", 10)
        market = exchange.create_market(base, quote, tick_size=10**8, lot_size=1, max_notional=WIDE.max_notional)
    replayed = replay(folder=recording, market="BASE-QUOTE", progress=lambda done: None)
    assert counts(replayed) == AS_RECORDED
    assert Order.objects.filter(market_id=market).count() == 171 + 1_834


def test_the_first_steps_of_a_recording_are_as_recorded_too(recording: Path) -> None:
    replayed = replay(folder=recording, limit=1_500, progress=lambda done: None)
    assert replayed.commands == 1_500
    assert replayed.same
    (trades,) = [row for row in replayed.rows if row.name == "trades"]
    assert 0 < trades.expected < 39


def test_with_a_speed_a_recording_is_played_into_a_new_market_and_taken_back_at_the_end(recording: Path) -> None:
    played = play(folder=recording, market="XBT-USD", limit=700, speed=10, progress=lambda done: None)
    assert (played.market, played.commands, played.interrupted) == ("XBT-USD", 700, False)
    assert played.seconds >= (1777690334199 - 1777690330172) / 1_000 / 10
    assert played.trades == Trade.objects.filter(market__symbol="XBT-USD").count() > 0
    orders = Order.objects.filter(market__symbol="XBT-USD")
    assert orders.filter(status="canceled", reason="user_canceled").count() >= played.canceled > 0
    assert not orders.filter(status="open").exists()
    accounts = Account.objects.filter(id__in=orders.values("account_id"))
    names = set(accounts.values_list("user__username", flat=True))
    assert names == {"replay-buyer", "replay-seller"}
    again = play(folder=recording, market="XBT-USD", limit=200, speed=1_000, progress=lambda done: None)
    assert again.commands == 200
    call_command("prove")


def test_an_interrupted_play_takes_its_orders_back(recording: Path) -> None:
    def interrupt(done: int) -> None:
        if done > 500:
            raise KeyboardInterrupt

    with running_exchange():
        played = play(folder=recording, market="XBT-EUR", speed=1_000, progress=interrupt)
    assert played.interrupted
    assert 500 < played.commands < 3_171
    assert played.canceled > 0
    assert not Order.objects.filter(market__symbol="XBT-EUR", status="open").exists()


def test_the_command_tells_what_it_played(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("replay", str(recording), speed=1_000, market="XBT-GBP", limit=400)
    assert capsys.readouterr().out.startswith("400 commands and ")
    with pytest.raises(CommandError, match="named BASE-QUOTE"):
        call_command("replay", str(recording), speed=1_000, market="XBTGBP")


WRONG = {
    "a trade at another price": ("truth_fills.csv", "78418.00,0.12100000", "78418.01,0.12100000", "trades"),
    "a trade less": (
        "truth_fills.csv", "568697670,1777690330913,2002351463637008,2002351539224577,78418.00,0.12100000\n", "",
        "trades",
    ),
    "another maker": ("truth_fills.csv", "2002351463637008", "2002351463944197", "trades"),
    "an order that rests with more": ("truth_final_book.csv", "0.55557201", "0.55557202", "resting orders"),
    "an order that does not rest": ("truth_final_book.csv", "2002351539060737", "1", "resting orders"),
    "another remainder": ("replay.csv", "0.07000000\n", "0.07000001\n", "cancel remainders"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_is_not_as_recorded_is_told(recording: Path, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    name, right, wrong, row = WRONG[what]
    if name == "replay.csv":
        (recording / name).write_bytes(gzip.decompress((recording / "replay.csv.gz").read_bytes()))
    text = (recording / name).read_text()
    assert right in text
    (recording / name).write_text(text.replace(right, wrong, 1))
    with pytest.raises(CommandError, match="not as recorded"):
        call_command("replay", str(recording))
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "DIFFERS" in line]
    assert f"{row}  DIFFERS: " in line


def test_a_folder_without_a_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="is no recording"):
        call_command("replay", str(tmp_path))
    (tmp_path / "truth_fills.csv").write_text("what,ever\n1,2\n")
    with pytest.raises(CommandError, match="is no recording"):
        call_command("replay", str(tmp_path))


def test_a_market_that_does_not_exist_is_refused(recording: Path) -> None:
    with pytest.raises(CommandError, match="There is no market NO-SUCH"):
        call_command("replay", str(recording), market="NO-SUCH")
    assert not Market.objects.filter(symbol="NO-SUCH").exists()
