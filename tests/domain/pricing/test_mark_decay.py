"""The whole-number exponential against exact arithmetic."""

from __future__ import annotations

from decimal import Decimal, localcontext

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keeper.domain.mark.decay import ONE, decay, half_life_ns
from keeper.domain.time import SECOND
from tests.domain.pricing.builders import LAW

TIMES = st.integers(0, 10**13)
HALF_LIVES = st.integers(10**6, 10**12)


def exact(elapsed: int, half_life: int) -> Decimal:
    with localcontext() as context:
        context.prec = 60
        return Decimal(2) ** (-Decimal(elapsed) / Decimal(half_life))


@LAW
@given(elapsed=TIMES, half_life=HALF_LIVES)
def test_decay__any_time__within_1e_7_of_the_exact_power(elapsed: int, half_life: int) -> None:
    want = exact(elapsed, half_life) * ONE
    assert abs(decay(elapsed, half_life) - want) <= want * Decimal("1e-7") + 64


@LAW
@given(elapsed=TIMES, more=TIMES, half_life=HALF_LIVES)
@example(elapsed=2_495_877_547, more=1, half_life=48_134_088)
def test_decay__more_time__never_weighs_more(elapsed: int, more: int, half_life: int) -> None:
    assert 0 <= decay(elapsed + more, half_life) <= decay(elapsed, half_life) <= ONE


@pytest.mark.parametrize(("halves", "expected"), [(0, ONE), (1, ONE // 2), (2, ONE // 4), (63, 2), (64, 0), (10**6, 0)])
def test_decay__whole_half_lives__are_exact(halves: int, expected: int) -> None:
    assert decay(halves * SECOND, SECOND) == expected


def test_half_life__thirty_seconds__is_that_of_two_thirty_firsts_a_second() -> None:
    """After one second an N = 30 average keeps 29/31 of itself (https://docs.derivadex.com: α = 2/31)."""
    kept = decay(SECOND, half_life_ns(30 * SECOND))
    assert abs(kept / ONE - 29 / 31) < 3e-5
