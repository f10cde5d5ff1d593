"""1.0001 to the power of a tick in whole numbers, against Decimal with twice the digits."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.ticks import MAX_TICK, Decimals, harmonic_liquidity, mean_tick, tick_price, tick_ratio

TICKS = st.integers(-MAX_TICK, MAX_TICK)


def exact(tick: int) -> Decimal:
    with localcontext() as context:
        context.prec = 160
        return Decimal("1.0001") ** abs(tick)


@given(TICKS)
def test_ratio__of_any_tick__is_too_low_by_less_than_it_states(tick: int) -> None:
    with localcontext() as context:
        context.prec = 160
        wanted, found = exact(tick), Decimal(tick_ratio(tick)) / 2**256
        assert 0 <= wanted - found <= wanted / 2**230


@given(TICKS, st.sampled_from([(18, 6), (6, 18), (8, 18), (18, 18), (0, 36)]), st.booleans())
def test_price__of_any_tick__is_the_exact_one_rounded_down(tick: int, places: tuple[int, int], inverted: bool) -> None:
    with localcontext() as context:
        context.prec = 200
        power = -tick if inverted else tick
        ratio = exact(tick) if power >= 0 else 1 / exact(tick)
        wanted = ratio * Decimal(10) ** (places[0] - places[1] + 18)
        found = tick_price(tick, Decimals(*places), inverted)
        assert abs(wanted - found) <= 1 + wanted / 2**229


def test_price__at_tick_zero__is_the_difference_of_decimals() -> None:
    assert tick_price(0, Decimals(18, 6), False) == 10**30
    assert tick_price(0, Decimals(6, 18), True) == 10**6


@pytest.mark.parametrize("tick", [-MAX_TICK - 1, MAX_TICK + 1])
def test_tick__beyond_the_pools_limit__is_refused(tick: int) -> None:
    with pytest.raises(ValueError, match="beyond"):
        tick_ratio(tick)


@pytest.mark.parametrize(
    ("older", "newer", "mean"), [(0, -1, -1), (0, -600, -1), (0, -601, -2), (0, 599, 0), (5, 5, 0)]
)
def test_mean__of_a_falling_sum__is_rounded_toward_minus_infinity(older: int, newer: int, mean: int) -> None:
    assert mean_tick(older, newer, 600) == mean


@given(st.integers(-(2**55), 2**55 - 1), TICKS, st.integers(600, 3600))
def test_mean__of_sums_that_wrap__is_the_same(older: int, tick: int, window_s: int) -> None:
    newer = (older + tick * window_s + 2**55) % 2**56 - 2**55
    assert mean_tick(older, newer, window_s) == tick


@given(st.integers(0, 2**160 - 1), st.integers(1, 2**100), st.integers(600, 3600))
def test_liquidity__from_sums_that_wrap__is_the_one_that_made_them(older: int, liquidity: int, window_s: int) -> None:
    newer = (older + (window_s << 128) // liquidity) % 2**160
    found = harmonic_liquidity(older, newer, window_s)
    assert found is not None
    assert abs(Fraction(found, liquidity) - 1) < Fraction(liquidity, 2**125) + Fraction(1, liquidity)


def test_liquidity__of_sums_that_stand_still__is_not_known() -> None:
    assert harmonic_liquidity(7, 7, 600) is None
