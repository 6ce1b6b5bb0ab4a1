"""The texts of answers: averages rounded once and to even, times with all their microseconds."""

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.average import EXTRA_DECIMALS, average_price_text
from trading.gateway.encode import time_text


@pytest.mark.parametrize(
    ("notional", "quantity", "text"),
    [
        (0, 0, None),
        (30_00, 3, "10.00"),
        (10_00, 3, "3.33333333"),
        (20_00, 3, "6.66666667"),
        (1, 2 * 10**6, "0.00"),  # half a last digit: to the even 0
        (3, 2 * 10**6, "0.00000002"),  # one and a half: to the even 2
        (5, 2 * 10**6, "0.00000002"),  # two and a half: to the even 2
    ],
)
def test_average_prices(notional: int, quantity: int, text: str | None) -> None:
    """Quote units are hundredths here, base units whole ones."""
    found = average_price_text(notional=notional, quantity=quantity, base_scale=0, quote_scale=2, price_decimals=2)
    assert found == text


@given(
    notional=st.integers(0, 10**30), quantity=st.integers(1, 10**20), base_scale=st.integers(0, 18),
    quote_scale=st.integers(0, 18), price_decimals=st.integers(0, 18),
)  # fmt: skip
def test_average_prices_are_those_of_decimal_arithmetic(
    notional: int, quantity: int, base_scale: int, quote_scale: int, price_decimals: int
) -> None:
    found = average_price_text(
        notional=notional, quantity=quantity, base_scale=base_scale, quote_scale=quote_scale,
        price_decimals=price_decimals,
    )  # fmt: skip
    assert found is not None
    with localcontext() as context:
        context.prec = 200
        exact = (Decimal(notional) / 10**quote_scale) / (Decimal(quantity) / 10**base_scale)
        assert Decimal(found) == exact.quantize(Decimal(1).scaleb(-price_decimals - EXTRA_DECIMALS), ROUND_HALF_EVEN)
    assert len(found.partition(".")[2]) >= price_decimals


@given(moment=st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001 - made aware below
def test_times_are_iso_8601(moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC)
    microseconds = (aware - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    units = int(microseconds) * 1_000_000 + aware.microsecond
    assert datetime.fromisoformat(time_text(units)) == aware
    assert len(time_text(units)) == len("2026-01-31T12:00:00.000000Z")
