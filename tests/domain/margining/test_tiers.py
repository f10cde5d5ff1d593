from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.margining.tiers import Fault, Refused, Tier, TierTable, one_rate, published_table, tier_table
from tests.domain.margining.bridge import e18, tables

BTC = [(0, "0.004", 0), (50_000, "0.005", 50), (250_000, "0.01", 1_300), (1_000_000, "0.025", 16_300)]
"""Binance USD-M in 2021: the amounts of its worked examples."""


def published(rows=BTC):
    return [Tier(e18(floor), Fraction(rate), Fraction(e18(cum))) for floor, rate, cum in rows]


def test_published_table__binance__is_taken_and_charges_by_part():
    table = published_table(published())
    assert isinstance(table, TierTable)
    assert table.maintenance(e18(300_000)) == e18(300_000) // 100 - e18(1_300)
    assert table.maintenance(e18(250_000)) == e18(1_200) == e18(250_000) * 5 // 1000 - e18(50)
    assert table.maintenance(0) == 0
    assert table.maintenance(1) == 1
    assert [table.tier_of(e18(n)).rate for n in (0, 49_999, 50_000, 10**9)] == [
        Fraction(r) for r in ("0.004", "0.004", "0.005", "0.025")
    ]


@pytest.mark.parametrize(
    ("rows", "fault", "tier"),
    [
        ([], Fault.EMPTY, 0),
        ([(1, "0.01", 0)], Fault.FIRST_FLOOR, 1),
        ([(0, "0.01", 0), (0, "0.02", 0)], Fault.FLOORS, 2),
        ([(0, "0.01", 0), (5, "0.005", 0)], Fault.RATES, 2),
        ([(0, "0", 0)], Fault.RATE_RANGE, 1),
        ([(0, "0.01", 0), (5, "1", 0)], Fault.RATE_RANGE, 2),
        ([*BTC[:2], (250_000, "0.01", 1_301)], Fault.DISCONTINUOUS, 3),
        ([(0, "0.01", 1)], Fault.DISCONTINUOUS, 1),
    ],
)
def test_published_table__any_fault__is_refused_with_its_tier(rows, fault, tier):
    refused = published_table(published(rows))
    assert isinstance(refused, Refused)
    assert (refused.fault, refused.tier) == (fault, tier)


def test_published_table__discontinuous__says_what_would_continue():
    refused = published_table(published([*BTC[:2], (250_000, "0.01", 0)]))
    assert isinstance(refused, Refused)
    assert refused.expected_e18 == e18(1_300)


@pytest.mark.parametrize("rate", [Fraction(1), Fraction(-1, 10)])
def test_one_rate__outside_zero_and_one__is_refused(rate):
    with pytest.raises(ValueError, match="rate"):
        one_rate(rate)


@given(tables(), st.integers(0, 10**26))
def test_exact__any_table__is_the_sum_of_its_parts_and_the_highest_line(table, n):
    parts = Fraction(0)
    for tier, above in zip(table.tiers, [*table.tiers[1:], None], strict=True):
        top = n if above is None else min(n, above.floor_e18)
        parts += max(0, top - tier.floor_e18) * tier.rate
    assert table.exact(n) == parts == max(tier.rate * n - tier.amount_e18 for tier in table.tiers)
    assert 0 <= table.maintenance(n) - parts < 1


@given(tables())
def test_exact__at_each_floor__both_tiers_agree(table):
    for below, tier in zip(table.tiers, table.tiers[1:], strict=False):
        assert table.exact(tier.floor_e18) == below.rate * tier.floor_e18 - below.amount_e18


@given(tables())
def test_tier_table__of_floors_and_rates__is_the_published_one(table):
    assert tier_table([(tier.floor_e18, tier.rate) for tier in table.tiers]) == table == published_table(table.tiers)
