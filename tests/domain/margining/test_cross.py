from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from keeper.domain.margining.contracts import INVERSE, LINEAR
from keeper.domain.margining.cross import (
    CrossAccount,
    Held,
    bankruptcy_prices,
    liquidatable,
    liquidation_prices,
    standing,
)
from keeper.domain.margining.isolated import liquidation_price
from keeper.domain.margining.threshold import Healthy, Unreachable
from keeper.domain.margining.tiers import one_rate, tier_table
from tests.domain.margining.bridge import e18, positions, tables

FLAT = one_rate(Fraction(1, 20))


def exact_surplus(account, marks):
    total = Fraction(account.wallet_e18 + account.collateral_e18)
    for held in account.positions:
        worth = held.contract.worth(held.size_e18, marks[held.market])
        total += worth - held.contract.worth(held.size_e18, held.entry_e18) - held.table.exact(abs(worth))
    return total


@st.composite
def accounts(draw, hedged=False):
    """Up to three markets of one kind, two legs in the first if `hedged`, with marks near the entries."""
    contract = draw(st.sampled_from([LINEAR, INVERSE]))
    held, marks, worth = [], {}, 0
    for name in draw(st.sampled_from(["A", "AB", "ABC"])):
        entry = draw(st.integers(10**15, 10**23))
        for sign in (1, -1) if hedged and name == "A" else (draw(st.sampled_from([1, -1])),):
            size = sign * draw(st.integers(10**16, 10**21))
            held.append(Held(name, contract, size, entry, draw(tables(scale=10**15))))
            worth += abs(contract.worth(size, entry))
        marks[name] = max(1, int(entry * draw(st.fractions(Fraction(1, 2), Fraction(3, 2), max_denominator=100))))
    wallet = int(worth * draw(st.fractions(Fraction(1, 50), Fraction(3, 2), max_denominator=100)))
    return CrossAccount("any", wallet, tuple(held)), marks


def test_standing__two_markets__adds_up():
    account = CrossAccount(
        "a", e18(1_000), (Held("X", LINEAR, e18(2), e18(100), FLAT), Held("Y", LINEAR, -e18(1), e18(50), FLAT)), e18(10)
    )
    found = standing(account, {"X": e18(90), "Y": e18(60)})
    assert (found.equity_e18, found.maintenance_e18, found.notional_e18) == (e18(980), e18(12), e18(240))
    assert found.margin_ratio() == Fraction(980, 240)
    assert standing(CrossAccount("b", 5, ()), {}).margin_ratio() is None


def test_standing__unknown_market__never_looks_healthy():
    with pytest.raises(KeyError):
        standing(CrossAccount("a", e18(10**9), (Held("X", LINEAR, 1, 1, FLAT),)), {})


def test_prices__of_a_market_without_or_with_two_contracts__are_refused():
    two = CrossAccount("a", 0, (Held("X", LINEAR, 1, 1, FLAT), Held("X", INVERSE, 1, 1, FLAT)))
    for account, market in ((two, "X"), (two, "Y")):
        with pytest.raises(ValueError, match="market"):
            liquidation_prices(account, market, {"X": 1})


def test_bankruptcy_prices__one_linear_position__is_mark_less_equity_per_coin():
    account = CrossAccount(
        "a", e18(50), (Held("X", LINEAR, e18(2), e18(100), FLAT), Held("Y", LINEAR, -e18(1), e18(50), FLAT))
    )
    marks = {"X": e18(90), "Y": e18(60)}
    assert bankruptcy_prices(account, "X", marks) == Healthy(e18(90) - e18(20) // 2, None)
    assert bankruptcy_prices(account, "Y", marks) == Healthy(None, e18(60) + e18(20))


def test_liquidation_prices__hedge__is_binances_general_form():
    """Long 10 at 100, short 4 at 110 in one market, 2.5 % and 1 % with amounts: the sum of both legs' terms."""
    long = Held("X", LINEAR, e18(10), e18(100), one_rate(Fraction(1, 40), e18(5)))
    short = Held("X", LINEAR, -e18(4), e18(110), one_rate(Fraction(1, 100), e18(1)))
    found = liquidation_prices(CrossAccount("a", e18(300), (long, short)), "X", {})
    expected = Fraction(300 + 5 + 1 - 1000 + 440) / (Fraction(10, 40) + Fraction(4, 100) - 10 + 4)
    assert found == Healthy(-(-expected.numerator * 10**18 // expected.denominator), None)


def test_liquidation_prices__hedge_of_equal_legs__is_liquidated_above_only():
    """PnL stands still, maintenance rises with the price: 2 · 5 % · P = 20 at 200."""
    legs = (Held("X", LINEAR, e18(1), e18(100), FLAT), Held("X", LINEAR, -e18(1), e18(100), FLAT))
    assert liquidation_prices(CrossAccount("a", e18(20), legs), "X", {}) == Healthy(None, e18(200))
    assert bankruptcy_prices(CrossAccount("a", e18(20), legs), "X", {}) == Healthy(None, None)
    assert liquidation_prices(CrossAccount("a", -1, legs), "X", {}) is Unreachable.ALWAYS


def test_liquidation_prices__hedge_whose_margin_outgrows_it__has_two_ends():
    """Net long 2 of 18: in the first tier it gains with the price, in the second maintenance takes more than that."""
    table = tier_table([(0, Fraction(1, 100)), (e18(2_000), Fraction(1, 5))])
    legs = (Held("X", LINEAR, e18(10), e18(100), table), Held("X", LINEAR, -e18(8), e18(100), table))
    account = CrossAccount("a", e18(100), legs)
    found = liquidation_prices(account, "X", {})
    assert found.low_e18 < e18(100) < found.high_e18
    for end, away in ((found.low_e18, -1), (found.high_e18, 1)):
        assert exact_surplus(account, {"X": end}) >= 0 > exact_surplus(account, {"X": end + away})


@settings(max_examples=200, deadline=None)
@given(accounts())
def test_liquidation_prices__any_account__end_where_health_does(drawn):
    check_ends(*drawn)


@settings(max_examples=200, deadline=None)
@given(accounts(hedged=True))
def test_liquidation_prices__any_hedge__end_where_health_does(drawn):
    check_ends(*drawn)


def check_ends(account, marks):
    for market in marks:
        found = liquidation_prices(account, market, marks)
        probes = [1, marks[market] // 2 + 1, marks[market], 3 * marks[market], 10**40]
        if found is Unreachable.ALWAYS:
            assert all(exact_surplus(account, {**marks, market: p}) < 0 for p in probes)
            continue
        for end, away in ((found.low_e18, -1), (found.high_e18, 1)):
            if end is not None:
                assert exact_surplus(account, {**marks, market: end}) >= 0
                assert end + away == 0 or exact_surplus(account, {**marks, market: end + away}) < 0
        for probe in probes:
            inside = (found.low_e18 or 1) <= probe <= (found.high_e18 or probe)
            assert inside == (exact_surplus(account, {**marks, market: probe}) >= 0)


@settings(max_examples=200, deadline=None)
@given(accounts(hedged=True))
def test_standing__any_account__is_exact_within_its_rounding_and_agrees_with_the_prices(drawn):
    account, marks = drawn
    found, exact = standing(account, marks), exact_surplus(account, marks)
    rounding = 4 * len(account.positions)
    assert 0 <= exact - (found.equity_e18 - found.maintenance_e18) <= rounding
    if abs(exact) > rounding:
        assert found.is_liquidatable == (exact < 0) == (liquidatable([account], marks) == ("any",))
        for market, mark in marks.items():
            ends = liquidation_prices(account, market, marks)
            healthy = isinstance(ends, Healthy) and (ends.low_e18 or 1) <= mark <= (ends.high_e18 or mark)
            assert healthy == (not found.is_liquidatable)


@settings(deadline=None)
@given(positions())
def test_liquidation_prices__one_position__is_the_isolated_one(position):
    held = Held("X", position.contract, position.size_e18, position.entry_e18, position.table)
    found = liquidation_prices(CrossAccount("a", position.margin_e18, (held,)), "X", {})
    alone = liquidation_price(position)
    assume(isinstance(alone, int))
    assert (found.low_e18 if position.size_e18 > 0 else found.high_e18) == alone


@settings(deadline=None)
@given(accounts(), st.integers(2, 1000))
def test_liquidation_prices__all_money_times_k_at_one_rate__stay(drawn, k):
    account, marks = drawn
    flat = tuple(replace(held, table=FLAT) for held in account.positions)
    big = tuple(replace(held, size_e18=k * held.size_e18) for held in flat)
    for market in marks:
        one = liquidation_prices(replace(account, positions=flat), market, marks)
        assert one == liquidation_prices(CrossAccount("b", k * account.wallet_e18, big), market, marks)


def test_liquidatable__several__worst_first():
    held = (Held("X", LINEAR, e18(1), e18(100), FLAT),)
    book = [CrossAccount(name, e18(w), held) for name, w in (("ok", 5), ("near", 4), ("gone", -1), ("also", 4))]
    assert liquidatable([*book, CrossAccount("empty", -5, ())], {"X": e18(100)}) == ("gone", "also", "near")


def test_held__no_size__is_refused():
    with pytest.raises(ValueError, match="size_e18"):
        Held("X", LINEAR, 0, 1, FLAT)
