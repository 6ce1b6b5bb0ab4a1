"""The only converter between decimal text and integers: what it takes, what it refuses, and that nothing gets lost."""

from decimal import Context, Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from marketdata.scale import (
    AmountError,
    decimals_of,
    numeric_suffix,
    text_from_units,
    units_from_numeric,
    units_from_text,
)

EXACT = Context(prec=100)
scales = st.integers(0, 18)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", " 1", "1 ", "1\n", "\n1", "1.", ".5", ".", "..", "1..2", "1.2.3",
        "NaN", "nan", "sNaN", "Infinity", "-Infinity",
        "inf", "1e5", "1E5", "1e-5", "-1", "+1", "-0", "--1", "1-",
        "٣", "\uff11", "1٣", "1.٣", "²", "1,5", "1_000", "0x10", "0b1", "1'000",
        "$1", "1f", "1 000", "1\u00a0", "\ufeff1", "1\x00", "\x001", "null", "1" * 21, "0" * 21, "1." + "0" * 19,
        "1" * 20 + "." + "1" * 19, "9" * 5000, "0." + "0" * 5000,
    ],
)  # fmt: skip
def test_text_that_is_no_plain_decimal_is_refused(text):
    with pytest.raises(AmountError) as refused:
        units_from_text(text, 18)
    assert refused.value.code == "invalid_decimal"


@given(text=st.text(max_size=45), scale=scales)
@example(text="1" * 20 + "." + "1" * 18, scale=18)
def test_any_text_is_either_a_plain_decimal_or_refused(text, scale):
    plain = text.replace(".", "", 1)
    whole, _, fraction = text.partition(".")
    is_plain = (
        bool(plain)
        and all(sign in "0123456789" for sign in plain)
        and 1 <= len(whole) <= 20
        and len(fraction) <= 18
        and bool(fraction) == ("." in text)
    )
    if is_plain and not fraction[scale:].strip("0"):
        assert EXACT.multiply(Decimal(text), Decimal(10) ** scale) == units_from_text(text, scale)
        return
    with pytest.raises(AmountError) as refused:
        units_from_text(text, scale)
    assert refused.value.code == ("too_many_decimals" if is_plain else "invalid_decimal")


@given(
    whole=st.from_regex(r"[0-9]{1,20}", fullmatch=True),
    fraction=st.from_regex(r"[0-9]{0,18}", fullmatch=True),
    scale=scales,
)
def test_decimals_beyond_the_scale_are_refused_unless_they_are_zeros(whole, fraction, scale):
    text = f"{whole}.{fraction}" if fraction else whole
    if fraction[scale:].strip("0"):
        with pytest.raises(AmountError) as refused:
            units_from_text(text, scale)
        assert refused.value.code == "too_many_decimals"
    else:
        assert EXACT.divide(Decimal(units_from_text(text, scale)), Decimal(10) ** scale) == EXACT.create_decimal(text)


@given(units=st.integers(-(10**38), 10**38), scale=scales, decimals=st.none() | st.integers(0, 18))
def test_text_says_exactly_the_units(units, scale, decimals):
    text = text_from_units(units, scale, decimals)
    assert EXACT.multiply(EXACT.create_decimal(text), Decimal(10) ** scale) == units
    shown = len(text.partition(".")[2])
    assert shown >= (scale if decimals is None else decimals)
    assert shown == (scale if decimals is None else decimals) or not text.endswith("0"), "more decimals only if needed"
    assert "e" not in text.lower()
    assert units_from_numeric(text, scale) == units
    if 0 <= units < 10 ** (20 + scale) and shown <= 18:
        assert units_from_text(text, scale) == units


def test_examples():
    assert units_from_text("101.25", 2) == 10125
    assert units_from_text("0.01500", 8) == 1_500_000
    assert units_from_text("00012", 0) == 12
    assert units_from_text("12.000", 0) == 12
    assert units_from_text("0", 18) == 0
    assert text_from_units(1_500_000, 8) == "0.01500000"
    assert text_from_units(1_500_000, 8, 0) == "0.015"
    assert text_from_units(1_500_000, 8, 2) == "0.015"
    assert text_from_units(-5, 2) == "-0.05"
    assert text_from_units(0, 8, 0) == "0"
    assert text_from_units(7, 0) == "7"
    assert text_from_units(7, 0, 2) == "7.00"


@given(step=st.integers(1, 10**20), scale=scales, multiple=st.integers(1, 10**6))
def test_the_decimals_of_a_step_are_enough_for_its_multiples(step, scale, multiple):
    decimals = decimals_of(step, scale)
    assert len(text_from_units(step * multiple, scale, decimals).partition(".")[2]) == decimals
    assert decimals == 0 or len(text_from_units(step, scale, 0).partition(".")[2]) == decimals, "and no more than that"


@given(units=st.integers(-(10**38), 10**38), scale=scales)
def test_the_suffix_makes_a_numeric_literal(units, scale):
    literal = EXACT.create_decimal(f"{units}{numeric_suffix(scale)}")
    assert EXACT.multiply(literal, Decimal(10) ** scale) == units
    assert units_from_numeric(f"{literal:f}", scale) == units


def test_a_numeric_with_more_digits_than_the_scale_is_a_bug():
    assert units_from_numeric("1.500", 1) == 15
    assert units_from_numeric("-0.5", 1) == -5
    with pytest.raises(AssertionError):
        units_from_numeric("1.55", 1)
