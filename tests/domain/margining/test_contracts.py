from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.margining.contracts import (
    INVERSE,
    LINEAR,
    Contract,
    Kind,
    equity,
    notional,
    unrealised_pnl,
    value,
)
from keeper.domain.numbers import E18
from tests.domain.margining.bridge import e18, kinds, multipliers, prices, sizes


def test_pnl__by_hand__linear_inverse_and_quanto():
    """2 BTC from 30,000 to 33,000; 60,000 contracts of 1 USD from 50,000 to 40,000; ETHUSD at 0.000001 BTC a point."""
    assert unrealised_pnl(LINEAR, e18(2), e18(30_000), e18(33_000)) == e18(6_000)
    assert unrealised_pnl(INVERSE, e18(-60_000), e18(50_000), e18(40_000)) == e18("0.3")
    quanto = Contract(Kind.QUANTO, Fraction(1, 10**6))
    assert unrealised_pnl(quanto, e18(-100), e18(2_000), e18(2_100)) == -e18("0.01")
    assert notional(quanto, e18(-100), e18(2_100)) == e18("0.21")
    assert (value(INVERSE, e18(60_000), e18(50_000)), notional(INVERSE, e18(60_000), e18(50_000))) == (
        -e18("1.2"),
        e18("1.2"),
    )


def test_rounding__a_third_of_a_unit__goes_against_the_account():
    third = Contract(Kind.LINEAR, Fraction(1, 3))
    assert (value(third, 1, E18), notional(third, 1, E18)) == (0, 1)
    assert (value(third, -1, E18), notional(third, -1, E18)) == (-1, 1)
    assert (unrealised_pnl(third, 1, E18, 2 * E18), unrealised_pnl(third, -1, E18, 2 * E18)) == (0, -1)


def test_equity__is_the_sum_of_its_parts():
    assert equity(100, -30, fees_due_e18=5, collateral_e18=7) == 72


@pytest.mark.parametrize("price", [0, -1])
def test_coordinate__price_that_is_not_positive__is_refused(price):
    with pytest.raises(ValueError, match="price_e18"):
        INVERSE.worth(E18, price)


def test_contract__multiplier_of_zero__is_refused():
    with pytest.raises(ValueError, match="multiplier"):
        Contract(Kind.QUANTO, Fraction(0))


@given(kinds, multipliers, sizes, prices, prices)
def test_pnl__any_contract__a_long_gains_when_the_price_rises_and_a_short_loses_as_much(kind, multiplier, size, a, b):
    contract, low, high = Contract(kind, multiplier), min(a, b), max(a, b)
    long, short = unrealised_pnl(contract, abs(size), low, high), unrealised_pnl(contract, -abs(size), low, high)
    assert long >= 0 >= short
    assert -1 <= long + short <= 0
    assert abs(Fraction(value(contract, size, a)) - contract.worth(size, a)) < 1
    assert 0 <= notional(contract, size, a) - abs(contract.worth(size, a)) < 1


@given(sizes, prices, st.integers(1, 1000))
def test_pnl__small_move__an_inverse_gains_what_a_linear_of_the_same_worth_does(size, entry, step):
    """To first order in the move: coins gained, at the price reached, are the quote currency gained, over 1 + move."""
    move = Fraction(step, 1_000_000)
    mark = int(entry * (1 + move))
    coins = INVERSE.worth(size, mark) - INVERSE.worth(size, entry)
    linear = LINEAR.worth(size, mark) - LINEAR.worth(size, entry)
    assert coins * mark / E18 == linear * E18 / entry


@given(kinds, multipliers, sizes, prices, prices, st.integers(2, 10**6))
def test_worth__size_times_k__is_k_times_worth(kind, multiplier, size, entry, mark, k):
    contract = Contract(kind, multiplier)
    assert contract.worth(k * size, mark) == k * contract.worth(size, mark)
    assert contract.worth(size, k * mark) == contract.worth(size, mark) * (
        Fraction(1, k) if kind is Kind.INVERSE else k
    )
