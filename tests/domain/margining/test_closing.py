from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.margining.closing import ClosingRules, Share, Why, buffer_share, lots_of, share_to_close
from keeper.domain.margining.cross import Standing
from tests.domain.margining.bridge import e18

FEE = Fraction(1, 1000)
RULES = ClosingRules(FEE, dust_e18=e18(10))
STATE = Standing(e18(80), e18(100), e18(10_000))
"""AV 80, MM 100 (1 %), N 10,000: f = (110 − 80) / (110 − 10) = 30 %."""


def test_share__by_hand():
    assert share_to_close(STATE, RULES) == Share(Fraction(3, 10), Why.BUFFER)


@pytest.mark.parametrize(
    ("state", "rules", "since", "fraction", "why"),
    [
        (Standing(100, 100, e18(1)), RULES, None, 0, Why.HEALTHY),
        (Standing(99, 100, e18(100)), RULES, None, 1, Why.SMALL),
        (Standing(99, 100, e18(100) + 1), ClosingRules(Fraction(0)), None, Fraction(11, 110), Why.BUFFER),
        (replace(STATE, equity_e18=e18(50) - 1), RULES, None, 1, Why.DEEP),
        (replace(STATE, equity_e18=e18(50)), RULES, None, Fraction(60, 100), Why.BUFFER),
        (STATE, replace(RULES, fee=Fraction(11, 1000)), None, 1, Why.NO_RELIEF),
        (STATE, replace(RULES, fee=Fraction(8, 1000)), None, 1, Why.BUFFER),
        (STATE, replace(RULES, fee=Fraction(81, 10_000)), None, 1, Why.NO_RELIEF),
        (STATE, replace(RULES, dust_e18=e18(7_000) + 1), None, 1, Why.DUST),
        (STATE, replace(RULES, dust_e18=e18(7_000)), None, Fraction(3, 10), Why.BUFFER),
        (STATE, replace(RULES, slice_above_e18=e18(9_999)), None, Fraction(1, 5), Why.SLICE),
        (replace(STATE, equity_e18=e18(90)), replace(RULES, slice_above_e18=e18(1)), None, Fraction(1, 5), Why.BUFFER),
        (STATE, replace(RULES, slice_above_e18=e18(10_000)), None, Fraction(3, 10), Why.BUFFER),
        (STATE, replace(RULES, slice_above_e18=None), 0, Fraction(3, 10), Why.BUFFER),
        (STATE, replace(RULES, slice_above_e18=e18(9_999)), 29, 0, Why.COOLING),
        (STATE, replace(RULES, slice_above_e18=e18(9_999)), 30, Fraction(1, 5), Why.SLICE),
        (replace(STATE, equity_e18=e18(49)), replace(RULES, slice_above_e18=e18(1)), 0, 1, Why.DEEP),
        (
            replace(STATE, equity_e18=e18(99)),
            replace(RULES, slice_above_e18=e18(1)),
            None,
            Fraction(11, 100),
            Why.BUFFER,
        ),
    ],
)
def test_share__special_cases__at_their_borders(state, rules, since, fraction, why):
    assert share_to_close(state, rules, since) == Share(Fraction(fraction), why)


def test_rules__that_make_no_sense__are_refused():
    for wrong in ({"fee": Fraction(-1)}, {"buffer": Fraction(9, 10)}, {"slice_share": Fraction(0)}):
        with pytest.raises(ValueError, match="at least"):
            ClosingRules(**{"fee": FEE, **wrong})


def test_lots__are_rounded_up_to_whole_ones_and_never_beyond_the_position():
    third = Share(Fraction(1, 3), Why.BUFFER)
    assert [lots_of(size, third, 10) for size in (90, -91, 3, 0)] == [30, 40, 3, 0]
    assert lots_of(95, Share(Fraction(1), Why.DEEP), 10) == 95


@given(
    st.integers(1, 10**9),
    st.fractions(Fraction(1, 1000), Fraction(1, 2), max_denominator=1000),
    st.fractions(Fraction(-1, 2), 1, max_denominator=1000),
    st.fractions(0, Fraction(1, 20), max_denominator=1000),
    st.fractions(1, 2, max_denominator=100),
)
def test_buffer_share__any_account__restores_the_buffer_and_less_would_not(worth, rate, health, fee, buffer):
    notional, maintenance = worth * 10**6, int(worth * 10**6 * rate)
    equity = int(maintenance * health)
    share = buffer_share(Standing(equity, maintenance, notional), fee, buffer)

    def short(part):
        return buffer * maintenance * (1 - part) - (equity - fee * part * notional)

    if share is None:
        assert short(0) > 0
        assert short(Fraction(1)) > 0 or (short(Fraction(1)) == 0 and buffer * maintenance == fee * notional)
    else:
        assert 0 <= share <= 1
        assert short(share) <= 0
        assert share == 0 or short(share - Fraction(1, 10**9)) > 0
