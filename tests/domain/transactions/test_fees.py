"""Replacement fees: the four cases, the pool's rule, and when not to bump."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.chain import FeeMarket
from keeper.domain.fees import (
    GWEI,
    FeeLimit,
    FeeRules,
    Fees,
    bump,
    fee_cap,
    highest,
    limit,
    opening,
    replacement,
    threshold,
)

OLD = Fees(max_fee_wei=2100, tip_wei=100)
VECTORS = {
    (90, 900): (110, 2310),
    (101, 1000): (110, 2310),
    (100, 1001): (110, 2310),
    (101, 900): (110, 2310),
    (90, 1010): (110, 2310),
    (101, 2000): (110, 4110),
    (120, 900): (120, 2310),
    (120, 1100): (120, 2320),
    (120, 1140): (120, 2400),
    (120, 1200): (120, 2520),
}
"""(tip, base fee) of the market → (tip, cap), by op-service/txmgr's own cases for an old tip of 100 and base of 1000."""

AMOUNTS = st.integers(0, 10**13)


def pool_takes(old: Fees, new: Fees, percent: int = 10) -> bool:
    """go-ethereum core/txpool/legacypool/list.go, Add: strictly more of both, and at least ⌊old · 110 / 100⌋."""
    if new.max_fee_wei <= old.max_fee_wei or new.tip_wei <= old.tip_wei:
        return False
    return (
        new.max_fee_wei >= old.max_fee_wei * (100 + percent) // 100
        and new.tip_wei >= old.tip_wei * (100 + percent) // 100
    )


@pytest.mark.parametrize(("market", "wanted"), VECTORS.items())
def test_replacement__txmgr_vectors__agree(market: tuple[int, int], wanted: tuple[int, int]) -> None:
    tip_wei, base_fee_wei = market
    assert replacement(OLD, tip_wei, base_fee_wei, 10) == Fees(max_fee_wei=wanted[1], tip_wei=wanted[0])


def test_replacement__thirty_thousand_random_markets__the_pool_takes_every_one() -> None:
    draw = random.Random(20)
    for _ in range(30_000):
        size = 10 ** draw.randint(0, 12)
        old_tip = draw.choice((0, draw.randint(0, size)))
        old = Fees(fee_cap(draw.randint(0, size), old_tip), old_tip)
        percent = draw.choice((10, 12, 100))
        new = replacement(old, draw.randint(0, 2 * size), draw.randint(0, 2 * size), percent)
        assert pool_takes(old, new, percent)
        assert new.tip_wei <= new.max_fee_wei


@given(AMOUNTS, st.integers(1, 200))
def test_threshold__is_the_least_that_the_rule_allows(value: int, percent: int) -> None:
    least = threshold(value, percent)
    assert least > value
    assert least * 100 >= value * (100 + percent)
    assert least == value + 1 or (least - 1) * 100 < value * (100 + percent)


@given(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS)
def test_bump__replaces_within_the_limit_or_is_refused(tip: int, base: int, market_tip: int, market_base: int) -> None:
    rules = FeeRules()
    market = FeeMarket(market_base, market_tip)
    old = Fees(fee_cap(base, tip), tip)
    new = bump(old, market, rules)
    if isinstance(new, FeeLimit):
        assert threshold(old.max_fee_wei, 10) > limit(market, rules) == new.limit_wei
    else:
        assert pool_takes(old, new)
        assert new.tip_wei <= new.max_fee_wei <= limit(market, rules) <= rules.ceiling_wei


def test_bump__at_the_ceiling__says_what_it_would_have_needed() -> None:
    refused = bump(Fees(490 * GWEI, GWEI), FeeMarket(200 * GWEI, GWEI), FeeRules(ceiling_wei=500 * GWEI))
    assert refused == FeeLimit(wanted_wei=539 * GWEI, limit_wei=500 * GWEI)


def test_bump__market_above_the_ceiling__offers_the_ceiling_while_that_replaces() -> None:
    new = bump(Fees(100 * GWEI, GWEI), FeeMarket(900 * GWEI, 2 * GWEI), FeeRules(ceiling_wei=500 * GWEI))
    assert new == Fees(500 * GWEI, 2 * GWEI)


def test_limit__calm_market__still_leaves_room() -> None:
    rules = FeeRules(limit_floor_wei=100 * GWEI)
    assert limit(FeeMarket(GWEI, 0), rules) == 100 * GWEI
    assert limit(FeeMarket(20 * GWEI, GWEI), rules) == 5 * 41 * GWEI


@given(AMOUNTS, AMOUNTS)
def test_opening__covers_a_doubling_base_fee_within_the_ceiling(base: int, tip: int) -> None:
    rules = FeeRules(ceiling_wei=10**12)
    fees = opening(FeeMarket(base, tip), rules)
    assert fees.tip_wei <= fees.max_fee_wei <= rules.ceiling_wei
    if fees.max_fee_wei < rules.ceiling_wei:
        assert fees.max_fee_wei == 2 * base + fees.tip_wei
        assert fees.tip_wei == max(tip, rules.min_tip_wei)


def test_highest__is_field_by_field() -> None:
    assert highest((Fees(10, 1), Fees(5, 3))) == Fees(10, 3)
