from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from keeper.domain.margining.contracts import INVERSE, LINEAR, Contract, Kind
from keeper.domain.margining.isolated import Isolated, bankruptcy_price, is_liquidatable, liquidation_price
from keeper.domain.margining.threshold import Unreachable
from keeper.domain.margining.tiers import one_rate, tier_table
from tests.domain.margining.bridge import e18, multipliers, positions, rates
from tests.domain.margining.test_tiers import published, published_table

HALF_PERCENT = one_rate(Fraction(1, 200))


def test_prices__linear__by_hand():
    """1 BTC at 20,000 with 400: LP = 19,600 / 0.995 and 20,400 / 1.005, rounded toward health; BP = 19,600 and 20,400."""
    long = Isolated(LINEAR, e18(1), e18(20_000), e18(400), HALF_PERCENT)
    short = replace(long, size_e18=-e18(1))
    assert liquidation_price(long) == -(-e18(19_600) * 1000 // 995)
    assert liquidation_price(short) == e18(20_400) * 1000 // 1005
    assert (bankruptcy_price(long), bankruptcy_price(short)) == (e18(19_600), e18(20_400))


def test_prices__inverse__by_hand():
    """60,000 USD at 50,000 with 0.12 BTC: LP = Q(s + mmr) / (W + sQ/E)."""
    short = Isolated(INVERSE, -e18(60_000), e18(50_000), e18("0.12"), HALF_PERCENT)
    long = replace(short, size_e18=e18(60_000))
    assert liquidation_price(short) == e18(59_700) * 100 // 108
    assert liquidation_price(long) == -(-e18(60_300) * 100 // 132)
    assert bankruptcy_price(short) == e18(60_000) * 100 // 108
    assert bankruptcy_price(long) == -(-e18(60_000) * 100 // 132)


def test_prices__quanto__are_those_of_a_linear_contract_of_the_multiplier():
    quanto = Isolated(Contract(Kind.QUANTO, Fraction(1, 10**6)), e18(10_000), e18(2_000), e18(1), HALF_PERCENT)
    linear = Isolated(LINEAR, e18("0.01"), e18(2_000), e18(1), HALF_PERCENT)
    assert liquidation_price(quanto) == liquidation_price(linear)
    assert bankruptcy_price(quanto) == bankruptcy_price(linear) == e18(1_900)


@pytest.mark.parametrize("contract", [LINEAR, INVERSE])
def test_prices__of_what_cannot_lose_its_margin__do_not_exist(contract):
    """A linear long with its whole worth as margin; an inverse short with its whole value in coins."""
    size = e18(100) if contract is LINEAR else -e18(100)
    safe = Isolated(contract, size, e18(10), int(abs(contract.worth(size, e18(10)))), HALF_PERCENT)
    assert bankruptcy_price(safe) is Unreachable.NEVER
    rich = replace(safe, margin_e18=2 * safe.margin_e18)
    assert liquidation_price(rich) is Unreachable.NEVER


def test_prices__between_nothing_and_the_smallest_price__do_not_exist():
    """No positive price lies below one unit; one unit more of loss and there is one."""
    long = Isolated(LINEAR, 2 * e18(1), 10, 19, HALF_PERCENT)
    assert bankruptcy_price(long) is Unreachable.NEVER
    assert bankruptcy_price(replace(long, margin_e18=18)) is Unreachable.NEVER
    assert bankruptcy_price(replace(long, margin_e18=17)) == 2


def test_prices__of_what_is_under_water_at_any_price__say_so():
    short = Isolated(LINEAR, -e18(1), e18(10), -e18(10), HALF_PERCENT)
    assert liquidation_price(short) is bankruptcy_price(short) is Unreachable.ALWAYS
    long = Isolated(INVERSE, e18(100), e18(10), -e18(10), HALF_PERCENT)
    assert liquidation_price(long) is bankruptcy_price(long) is Unreachable.ALWAYS


def test_isolated__no_size__is_refused():
    with pytest.raises(ValueError, match="size_e18"):
        Isolated(LINEAR, 0, 1, 1, HALF_PERCENT)


def test_liquidation_price__falls_into_another_tier__is_what_iterating_gives():
    """100 BTC at 12,000 are in the 2.5 % tier; their LP lies where 1 % holds."""
    table = published_table(published())
    position = Isolated(LINEAR, e18(100), e18(12_000), e18(500_000), table)
    price, seen = e18(12_000), []
    for _ in range(5):
        tier = table.tier_of(LINEAR.worth(position.size_e18, price))
        seen.append(tier.rate)
        one = replace(position, table=one_rate(tier.rate, tier.amount_e18))
        price = liquidation_price(one)
    assert seen[0] == Fraction(1, 40)
    assert seen[-2] == seen[-1] == Fraction(1, 100)
    assert (
        liquidation_price(position)
        == price
        != liquidation_price(replace(position, table=one_rate(seen[0], e18(16_300))))
    )


@pytest.mark.parametrize("short", [False, True])
def test_liquidation_price__exactly_where_a_tier_begins__is_that_price(short):
    """1 coin entered at 1,000 that must hold 10 of its 10: nothing is left over just where 2.5 % begin."""
    table = tier_table([(0, Fraction(1, 100)), (e18(1_000), Fraction(1, 40))])
    position = Isolated(LINEAR, e18(-1 if short else 1), e18(1_000), e18(10), table)
    assert liquidation_price(position) == e18(1_000)


@settings(max_examples=300, deadline=None)
@given(positions())
def test_liquidation_price__any_position__is_the_last_healthy_price(position):
    found, away = liquidation_price(position), -1 if position.size_e18 > 0 else 1
    if found is Unreachable.ALWAYS:
        assert all(is_liquidatable(position, mark) for mark in (1, position.entry_e18, 10**60))
    elif found is Unreachable.NEVER:
        assert not is_liquidatable(position, 1 if away < 0 else 10**60)
    else:
        assert not is_liquidatable(position, found)
        assert is_liquidatable(position, found + away)


@settings(max_examples=300, deadline=None)
@given(positions())
def test_bankruptcy_price__any_position__lies_beyond_the_liquidation_price(position):
    bankrupt, liquidated = bankruptcy_price(position), liquidation_price(position)
    if isinstance(liquidated, int) and isinstance(bankrupt, int):
        assert bankrupt <= liquidated if position.size_e18 > 0 else bankrupt >= liquidated
    if liquidated is Unreachable.NEVER:
        assert bankrupt is Unreachable.NEVER
    if bankrupt is Unreachable.ALWAYS:
        assert liquidated is Unreachable.ALWAYS
    if isinstance(bankrupt, int):
        worth, entry = (position.contract.worth(position.size_e18, p) for p in (bankrupt, position.entry_e18))
        beyond = position.contract.worth(position.size_e18, bankrupt + (-1 if position.size_e18 > 0 else 1))
        assert position.margin_e18 + worth - entry >= 0 > position.margin_e18 + beyond - entry


@settings(deadline=None)
@given(positions(), rates)
def test_liquidation_price__one_rate__is_the_closed_form(position, rate):
    position = replace(position, table=one_rate(rate))
    found = liquidation_price(position)
    assume(isinstance(found, int))
    q, side = abs(position.size_e18) * position.contract.multiplier, 1 if position.size_e18 > 0 else -1
    if position.contract.kind is Kind.INVERSE:
        exact = q * (side + rate) * 10**18 / (position.margin_e18 + side * q * 10**18 / position.entry_e18)
    else:
        exact = (position.margin_e18 * 10**18 - side * q * position.entry_e18) / (q * (rate - side))
    assert 0 <= (found - exact) * side < 1


@settings(deadline=None)
@given(positions(), st.integers(1, 10**24))
def test_liquidation_price__more_margin__is_never_nearer(position, more):
    before, after = (
        liquidation_price(position),
        liquidation_price(replace(position, margin_e18=position.margin_e18 + more)),
    )
    assume(isinstance(before, int) and isinstance(after, int))
    assert after <= before if position.size_e18 > 0 else after >= before


@settings(deadline=None)
@given(positions(), rates, st.integers(2, 1000))
def test_liquidation_price__all_money_times_k__stays(position, rate, k):
    one = replace(position, table=one_rate(rate))
    assert liquidation_price(one) == liquidation_price(
        replace(one, size_e18=k * one.size_e18, margin_e18=k * one.margin_e18)
    )


@settings(deadline=None)
@given(st.integers(10**15, 10**24), st.sampled_from([1, -1]), rates, multipliers, st.integers(10, 10**4))
def test_liquidation_price__small_margin__inverse_and_linear_agree_to_first_order(
    entry, side, rate, multiplier, leverage
):
    """At the same share of margin and no maintenance, |ΔP/P| is 1/L against 1/(L + s): they differ by 1/L²."""
    linear = Contract(Kind.LINEAR, multiplier)
    inverse = Contract(Kind.INVERSE, multiplier)
    found = []
    for contract in (linear, inverse):
        size = side * 10**40
        margin = int(abs(contract.worth(size, entry)) / leverage)
        found.append(bankruptcy_price(Isolated(contract, size, entry, margin, one_rate(rate))))
    moves = [abs(Fraction(price - entry, entry)) for price in found]
    assert abs(moves[0] - moves[1]) <= Fraction(2, leverage**2) + Fraction(2, entry)
