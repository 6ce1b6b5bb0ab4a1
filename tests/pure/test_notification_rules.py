"""The rules of notifications: words for every kind, channels by choice, quiet hours in any zone, digests, retries."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from notifications import rules
from notifications.rules import KINDS, Channel, QuietHours
from notifications.words import path, words

ORDER = {"order": "7", "side": "sell", "market": "BTC-USDT", "base": "BTC", "quote": "USDT", "quantity": "2000"}
TITLES = [
    ("order_filled", ORDER | {"filled": "2000", "average_price": "43000.50"}, "Sold 2,000 BTC at 43,000.50 USDT"),
    ("order_partly_filled", ORDER | {"filled": "0.5"}, "Sold 0.5 of 2,000 BTC"),
    ("order_partly_filled", ORDER | {"filled": "0.5", "quantity": ""}, "Sold 0.5 BTC"),
    ("order_canceled", ORDER, "Your sell order on BTC-USDT was canceled"),
    ("deposit_credited", {"amount": "1.5", "asset": "ETH"}, "1.5 ETH was deposited"),
    ("withdrawal_paid", {"amount": "10", "asset": "USDT"}, "Withdrawal of 10 USDT paid"),
    ("api_key_created", {"label": "bot"}, "API key bot created"),
    ("two_factor_changed", {"change": "turned off"}, "Two-factor was turned off"),
    ("market_halted", {"market": "BTC-USDT", "state": "cancel_only"}, "BTC-USDT is cancel only"),
    ("market_halted", {}, "Trading is halted on every market"),
    ("market_reopened", {"market": "BTC-USDT"}, "BTC-USDT is open again"),
    ("risk_alert", {"severity": "high", "detector": "wash_trading", "market": "BTC-USDT"},
     "High alert: wash trading on BTC-USDT"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "figures", "title"), TITLES)
def test_titles_say_it_all(kind, figures, title):
    assert words(kind=kind, figures=figures)[0] == title


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_words_whatever_is_left_out(kind):
    title, text = words(kind=kind, figures={})
    assert title
    assert "  " not in f"{title} {text}"
    assert not title.endswith((":", " of", " at"))
    assert KINDS[kind].group in rules.GROUPS


def test_what_the_exchange_decided_is_told_with_its_reason():
    figures = ORDER | {"filled": "0.5", "note": "The order met another order of the same owner."}
    assert words(kind="order_canceled", figures=figures)[1] == (
        "The order met another order of the same owner. 0.5 BTC of it had been filled."
    )
    assert words(kind="order_partly_filled", figures=figures)[1].endswith(
        "The rest was canceled: the order met another order of the same owner."
    )


def test_notifications_lead_to_what_they_are_about():
    assert path(kind="order_filled", figures=ORDER) == "/orders/7"
    assert path(kind="order_filled", figures={"order": "../admin"}) == ""
    assert path(kind="market_halted", figures={"market": "BTC-USDT"}) == "/trade/BTC-USDT"
    assert path(kind="risk_alert", figures={"path": "/admin/risk/case/3/"}) == "/admin/risk/case/3/"


def test_an_order_has_one_subject_and_everything_else_one_for_each_kind():
    subjects = {rules.subject(kind=kind, key="order 7") for kind in rules.ORDER_KINDS}
    assert subjects == {"order 7"}
    assert rules.subject(kind="withdrawal_paid", key="1") != rules.subject(kind="withdrawal_pending", key="1")


def test_channels_are_the_defaults_unless_chosen():
    assert rules.channels(kind="market_halted", preferences={}) == {"in_app", "webhook"}
    chosen: dict[tuple[str, Channel], bool] = {
        ("market_halted", "email"): True,
        ("market_halted", "in_app"): False,
        ("deposit_credited", "email"): False,
    }
    assert rules.channels(kind="market_halted", preferences=chosen) == {"email", "webhook"}


@pytest.mark.parametrize("kind", [kind for kind, rule in KINDS.items() if rule.group == "Security"])
def test_security_is_always_told_at_once(kind):
    off = {(kind, channel): False for channel in rules.CHANNELS}
    assert rules.channels(kind=kind, preferences=off) == {"in_app", "email"}
    assert KINDS[kind].urgent


# ---------------------------------------------------------------------------------------------- when


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-10T{text}+00:00")


QUIET = [
    # begin, end, now -> until
    ("22:00", "07:00", "21:59", None),
    ("22:00", "07:00", "22:00", "2026-03-11T07:00"),
    ("22:00", "07:00", "23:59", "2026-03-11T07:00"),
    ("22:00", "07:00", "00:00", "2026-03-10T07:00"),
    ("22:00", "07:00", "06:59", "2026-03-10T07:00"),
    ("22:00", "07:00", "07:00", None),
    ("12:30", "14:00", "12:29", None),
    ("12:30", "14:00", "12:30", "2026-03-10T14:00"),
    ("12:30", "14:00", "14:00", None),
    ("00:00", "00:00", "12:00", None),
    ("08:00", "08:00", "08:00", None),
]


@pytest.mark.parametrize(("begin", "end", "now", "until"), QUIET)
def test_quiet_hours(begin, end, now, until):
    first, last = (int(text[:2]) * 60 + int(text[3:]) for text in (begin, end))
    expected = None if until is None else datetime.fromisoformat(f"{until}+00:00")
    assert QuietHours(first, last).until(at(now)) == expected


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"])
def test_quiet_hours_end_when_the_clock_there_says_so(zone):
    """Over a whole year, both changes of the clock included."""
    quiet = QuietHours(22 * 60 + 15, 6 * 60 + 45, zone)
    there = UTC if zone == "UTC" else ZoneInfo(zone)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    for _ in range(365 * 5):
        now += timedelta(hours=4, minutes=49)
        clock = f"{now.astimezone(there):%H:%M}"
        until = quiet.until(now)
        assert (until is not None) == (clock >= "22:15" or clock < "06:45")
        if until is not None:
            assert timedelta(0) <= until - now <= timedelta(hours=9, minutes=30)
            assert f"{until.astimezone(there):%H:%M}" == "06:45"
            assert quiet.until(until) is None


def test_a_zone_that_the_machine_does_not_know_is_utc():
    assert QuietHours(60, 120, "Nowhere/At_All").until(at("01:30")) == at("02:00")


def test_the_busier_a_trader_the_rarer_the_digests():
    waits = [rules.digest_seconds(chosen_minutes=1, recent=recent) for recent in range(12)]
    assert waits == [60, 60, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]
    assert {rules.digest_seconds(chosen_minutes=1440, recent=recent) for recent in range(50)} == {86_400}


def test_retries_are_ever_rarer_and_end():
    waits = [rules.retry_seconds(attempts=attempts, chance=0.0) for attempts in range(1, rules.ATTEMPTS_MAX + 1)]
    assert waits[:5] == [10, 20, 40, 80, 160]
    assert waits[-2:] == [3_600, None]
    assert rules.retry_seconds(attempts=3, chance=1.0) == 20
