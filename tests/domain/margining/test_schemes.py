from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.margining.cross import Standing
from keeper.domain.margining.schemes import (
    FillableRules,
    GmxState,
    Route,
    curie_size,
    fillable_price,
    gmx_state,
    hyperliquid_closing,
    synthetix_closable,
    synthetix_window_cap,
)
from tests.domain.margining.bridge import e18


def state(equity, maintenance=300):
    return Standing(e18(equity), e18(maintenance), e18(10_000))


@pytest.mark.parametrize(
    ("equity", "notional", "since", "expected"),
    [
        (300, 200_000, None, (Route.NONE, 0)),
        (299, 100_000, None, (Route.BOOK, 1)),
        (299, 100_001, None, (Route.BOOK, Fraction(1, 5))),
        (299, 100_001, 29, (Route.BOOK, 1)),
        (299, 100_001, 30, (Route.BOOK, Fraction(1, 5))),
        (200, 100_001, None, (Route.BOOK, Fraction(1, 5))),
        (199, 100_001, None, (Route.BACKSTOP, 1)),
    ],
)
def test_hyperliquid__at_its_borders(equity, notional, since, expected):
    assert hyperliquid_closing(state(equity), e18(notional), since) == expected


def test_curie__at_its_borders():
    """Half of all the value at most; all of a small or deeply unhealthy position, and of one below half of the total."""
    size = e18(7)
    assert curie_size(size, e18(1_000), e18(1_000), state(300)) == 0
    assert curie_size(size, e18(1_000), e18(1_000), state(299)) == size // 2
    assert curie_size(-size, e18(1_000), e18(1_500), state(150)) == size * 3 // 4
    assert curie_size(size, e18(1_000), e18(2_000), state(299)) == size
    assert curie_size(size, e18(1_000), e18(9_000), state(299)) == size
    assert curie_size(size, e18(1_000), e18(1_000), state(149)) == size
    assert curie_size(size, e18(100), e18(100), state(299)) == size
    assert curie_size(3, 3 * e18(100), 4 * e18(100), state(299)) == 3 * 666_666 // 10**6


def test_fillable__by_hand():
    """MMF 5 %, SMMR 1.5: from the oracle price at AV = MM to 7.5 % off at AV = 0, and no further."""
    rules = FillableRules(Fraction(1, 20))
    prices = [fillable_price(e18(1), e18(1_000), state(equity), rules) for equity in (300, 150, 0, -900, 600)]
    assert prices == [e18(p) for p in (1_000, "962.5", 925, 925, 1_000)]
    assert fillable_price(-e18(1), e18(1_000), state(150), rules) == e18("1037.5")
    eager = FillableRules(Fraction(1, 20), adjustment=Fraction(2))
    assert fillable_price(e18(1), e18(1_000), state(150), eager) == e18(925)


@given(st.integers(1, 10**30), st.integers(-(10**20), 10**20), st.integers(1, 10**20), st.sampled_from([1, -1]))
def test_fillable__any__lies_between_the_oracle_and_the_whole_spread(oracle, equity, maintenance, side):
    found = fillable_price(side, oracle, Standing(equity, maintenance, 1), FillableRules(Fraction(3, 100)))
    limit = oracle * (1 - side * Fraction(45, 1000))
    assert min(oracle, limit) <= found <= max(oracle, limit)


def test_synthetix__window__by_hand():
    """Fees of 0.7 % and 0.3 %, scale 1,000, multiplier 0.1, 100 s: 100 coins a window."""
    cap = synthetix_window_cap(Fraction(7, 1000), Fraction(3, 1000), e18(1_000), Fraction(1, 10), 100)
    assert cap == e18(100)
    assert [synthetix_closable(size, cap, used) for size, used in ((-e18(150), 0), (e18(150), e18(60)))] == [
        e18(100),
        e18(40),
    ]
    assert (synthetix_closable(e18(1), cap, 0), synthetix_closable(e18(1), cap, cap + 1)) == (e18(1), 0)


@pytest.mark.parametrize(
    ("collateral", "pnl", "fees", "expected"),
    [
        (30, 0, 4, GmxState.HEALTHY),
        (30, 100, 4, GmxState.HEALTHY),
        (30, -31, 0, GmxState.CLOSE),
        (30, -27, 4, GmxState.CLOSE),
        (30, -22, 4, GmxState.CLOSE),
        (30, -21, 4, GmxState.DECREASE),
        (30, -10, 4, GmxState.HEALTHY),
        (30, -11, 4, GmxState.DECREASE),
        (19, 100, 4, GmxState.DECREASE),
    ],
)
def test_gmx__states__at_their_borders(collateral, pnl, fees, expected):
    """1,000 USD at most 50x, so 20 USD; 5 USD for the liquidation."""
    assert gmx_state(e18(1_000), e18(collateral), e18(pnl), e18(fees), e18(5)) is expected
