from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.margining.collateral import Haircuts, Step, Unpriced, collateral_value, debt_value
from keeper.domain.numbers import E18
from keeper.domain.quote import Level
from tests.domain.margining.bridge import e18

STEPS = Haircuts((Step(0, Fraction(2, 100)), Step(e18(1_000), Fraction(10, 100)), Step(e18(5_000), Fraction(1))))
BIDS = (Level(e18(100), e18(5)), Level(e18(90), e18(10)))
ASKS = (Level(e18(101), e18(5)), Level(e18(120), e18(10)))


def test_collateral__by_hand__each_part_at_its_haircut():
    assert collateral_value(e18(10), e18(100), STEPS) == e18(980)
    assert collateral_value(e18(30), e18(100), STEPS) == e18(980 + 1_800)
    assert collateral_value(e18(90), e18(100), STEPS) == e18(980 + 3_600)


def test_collateral__with_a_book__counts_what_selling_fetches_before_the_haircut():
    assert collateral_value(e18(10), e18(100), STEPS, BIDS) == e18(950) * 98 // 100
    assert collateral_value(e18(10), e18(80), STEPS, BIDS) == e18(800) * 98 // 100
    assert collateral_value(e18(20), e18(100), STEPS, BIDS) == e18(980) + e18(400) * 9 // 10
    assert collateral_value(e18(20), e18(100), STEPS, ()) == 0


def test_debt__takes_the_dearer_of_price_and_purchase_and_has_no_price_beyond_the_book():
    assert debt_value(e18(10), e18(100)) == e18(1_000)
    assert debt_value(e18(10), e18(100), ASKS) == e18(505 + 600)
    assert debt_value(e18(10), e18(130), ASKS) == e18(1_300)
    assert debt_value(e18(15) + 1, e18(100), ASKS) is Unpriced.THIN
    assert debt_value(1, 1) == 1
    assert collateral_value(1, 1, STEPS) == 0


def test_values__of_the_wrong_sign__are_refused():
    with pytest.raises(ValueError, match="balance_e18"):
        collateral_value(-1, 1, STEPS)
    with pytest.raises(ValueError, match="debt_e18"):
        debt_value(-1, 1)


@pytest.mark.parametrize(
    "steps",
    [
        (),
        (Step(1, Fraction(0)),),
        (Step(0, Fraction(0)), Step(0, Fraction(0))),
        (Step(0, Fraction(1, 10)), Step(1, Fraction(0))),
        (Step(0, Fraction(11, 10)),),
        (Step(0, Fraction(-1, 10)),),
    ],
)
def test_haircuts__that_do_not_grow_from_nothing__are_refused(steps):
    with pytest.raises(ValueError, match="steps"):
        Haircuts(steps)


@st.composite
def haircuts(draw):
    floors = sorted(draw(st.sets(st.integers(1, 10**24), max_size=4)))
    cuts = sorted(
        draw(st.lists(st.fractions(0, 1, max_denominator=100), min_size=len(floors) + 1, max_size=len(floors) + 1))
    )
    return Haircuts(tuple(Step(floor, cut) for floor, cut in zip([0, *floors], cuts, strict=True)))


levels = st.lists(st.tuples(st.integers(1, 10**21), st.integers(1, 10**21)), max_size=6)
balances = st.integers(0, 10**22)


@given(haircuts(), balances, balances, st.integers(1, 10**21), levels, st.booleans())
def test_collateral__any_book__never_falls_with_the_balance_nor_exceeds_its_price(cuts, a, b, price, book, priced):
    bids = [Level(p, size) for p, size in sorted(book, reverse=True)] if priced else None
    low, high = (collateral_value(balance, price, cuts, bids) for balance in sorted((a, b)))
    assert 0 <= low <= high <= max(a, b) * price // E18
    assert collateral_value(max(a, b), price, cuts, bids) <= collateral_value(max(a, b), price, cuts)


@given(haircuts(), balances, st.integers(1, 10**21), st.integers(2, 1000))
def test_collateral__k_times_the_balance__counts_at_most_k_times(cuts, balance, price, k):
    assert collateral_value(k * balance, price, cuts) <= k * (collateral_value(balance, price, cuts) + 1)


@given(balances, st.integers(1, 10**21), levels)
def test_debt__any_book__costs_at_least_its_price(debt, price, book):
    asks = [Level(p, size) for p, size in sorted(book)]
    found = debt_value(debt, price, asks)
    if isinstance(found, Unpriced):
        assert sum(level.size_e18 for level in asks) < debt
    else:
        assert found >= debt_value(debt, price) >= Fraction(debt * price, E18)
