"""Rounding to a tick."""

from __future__ import annotations

from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.rounding import Rounding, RoundingMode
from tests.domain.pricing.builders import LAW

TRUNCATE, HALF_UP, HALF_EVEN = RoundingMode.TRUNCATE, RoundingMode.HALF_UP, RoundingMode.HALF_EVEN
DECIMAL = {TRUNCATE: ROUND_FLOOR, HALF_UP: ROUND_HALF_UP, HALF_EVEN: ROUND_HALF_EVEN}


@pytest.mark.parametrize(
    ("price", "truncate", "half_up", "half_even"),
    [(20, 20, 20, 20), (24, 20, 20, 20), (25, 20, 30, 20), (35, 30, 40, 40), (26, 20, 30, 30), (9, 0, 10, 10)],
)
def test_rounding__table(price: int, truncate: int, half_up: int, half_even: int) -> None:
    found = [Rounding(mode, 10).rounded(price) for mode in (TRUNCATE, HALF_UP, HALF_EVEN)]
    assert found == [truncate, half_up, half_even]


@LAW
@given(price=st.integers(1, 2**96), tick=st.integers(1, 10**20), mode=st.sampled_from(RoundingMode))
def test_rounding__any_price__is_what_decimal_says(price: int, tick: int, mode: RoundingMode) -> None:
    ticks = (Decimal(price) / Decimal(tick)).quantize(Decimal(1), DECIMAL[mode]) if price < 10**12 else None
    rounded = Rounding(mode, tick).rounded(price)
    assert rounded % tick == 0
    assert abs(rounded - price) < tick
    assert ticks is None or tick > 10**6 or rounded == ticks * tick


def test_rounding__no_tick__is_refused() -> None:
    with pytest.raises(ValueError, match="tick"):
        Rounding(TRUNCATE, 0)
