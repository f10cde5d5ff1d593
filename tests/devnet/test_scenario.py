"""What the scenario promises: a fall of 8 %, and accounts that it must bring down, computed with the protocol's arithmetic."""

from __future__ import annotations

from math import prod

import pytest

from keeper.devnet.configure import LISTINGS
from keeper.devnet.engine import BUY
from keeper.devnet.scenario import (
    CRASH_SECONDS,
    GAP_END_BPS,
    GAP_START_BPS,
    crash,
    requirements,
    timeline,
)
from keeper.devnet.traders import OPENING_COST_BPS, USD, Trader, population
from keeper.devnet.verify.arithmetic import maintenance_units

TIERS = [(tier.floor_units, tier.mmr_bps) for tier in LISTINGS[0].rules.tiers]


def after(trader: Trader, fall_bps: int) -> tuple[int, int]:
    """Equity and maintenance of a long whose market fell, all its orders filled at the cost that the plan reckons with."""
    bought = sum(order.notional_units for order in trader.orders)
    equity = trader.deposit_units - bought * (fall_bps + OPENING_COST_BPS) // 10_000
    return equity, maintenance_units(TIERS, bought * (10_000 - fall_bps) // 10_000)


def test_crash__each_base__falls_eight_percent_within_ten_seconds() -> None:
    moves = crash(30.0, ("BTC", "ETH"))
    for base in ("BTC", "ETH"):
        own = [move for move in moves if move.base == base]
        assert prod(1 + move.change_bps / 1e4 for move in own) == pytest.approx(0.92, abs=0.0005)
        assert own[-1].at_s + own[-1].over_s - own[0].at_s <= CRASH_SECONDS
        before, gap = own[0].change_bps / 1e4, own[1].change_bps / 1e4
        assert -before * 1e4 == GAP_START_BPS
        assert (1 - (1 + before) * (1 + gap)) * 1e4 == pytest.approx(GAP_END_BPS, abs=1)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_population__any_seed__is_the_same_again_and_large_enough(seed: int) -> None:
    parts = timeline(120)
    people = population(seed, parts, [1, 2])
    again = population(seed, parts, [1, 2])
    assert people == again
    assert [trader.address for trader in people] == [trader.address for trader in again]
    assert len({trader.address for trader in people}) == len(people) >= 40
    assert population(seed + 10, parts, [1, 2]) != people


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_population__the_whole_fall__brings_twenty_longs_under_water_that_were_healthy_before(seed: int) -> None:
    longs = [trader for trader in population(seed, timeline(120), [1, 2]) if trader.role == "long"]
    for trader in longs:
        equity, maintenance = after(trader, GAP_START_BPS)
        assert equity >= maintenance, trader.name
    down = [trader for trader in longs if after(trader, 790)[0] < after(trader, 790)[1]]
    assert len(down) >= 20
    assert {order.market_no for trader in down for order in trader.orders} == {1, 2}


def test_population__the_aftershock__brings_down_those_whom_the_fall_spared() -> None:
    for trader in population(1, timeline(120), [1, 2]):
        if trader.role == "late":
            fallen, shaken = after(trader, 800), after(trader, 938)
            assert fallen[0] > fallen[1] + trader.deposit_units // 100, trader.name
            assert 0 < shaken[0] < shaken[1], trader.name


def test_population__the_gap__makes_the_whales_bankrupt_and_nobody_else() -> None:
    people = population(1, timeline(120), [1, 2])
    for trader in people:
        if any(order.side == BUY for order in trader.orders):
            before, beyond = after(trader, GAP_START_BPS), after(trader, GAP_END_BPS)
            assert before[0] >= before[1], trader.name
            assert (beyond[0] < 0) == (trader.role == "whale"), trader.name


def test_population__opposite_side__holds_enough_to_take_over_what_the_whales_lose() -> None:
    people = population(1, timeline(120), [1, 2])
    for market_no in (1, 2):
        sizes = {
            role: sum(o.notional_units for t in people if t.role == role for o in t.orders if o.market_no == market_no)
            for role in ("whale", "bear")
        }
        assert sizes["bear"] >= sizes["whale"] > 100_000 * USD


@pytest.mark.parametrize("length", [40.0, 45.0, 75.0, 120.0, 600.0, None])
def test_timeline__long_enough__has_its_parts_in_order_and_an_aftermath(length: float | None) -> None:
    parts = timeline(length)
    assert parts.crash_s is not None
    assert parts.crash_end_s is not None
    assert 0 < parts.opens_s < parts.whales_s < parts.crash_s < parts.crash_end_s < parts.length_s - 5
    assert parts.crash_end_s < parts.refill_s + 10
    shock = parts.aftershock_s
    assert (shock is not None) == (length is None or length >= 110)
    assert shock is None or parts.refill_s + 5 < shock < parts.length_s - 10
    assert parts.withdrawals_s[0] < parts.crash_s < parts.withdrawals_s[-1] < parts.length_s


def test_timeline__too_short_for_a_crash__has_none_and_demands_none() -> None:
    assert timeline(20).crash_s is None
    assert requirements(20).liquidations == requirements(20).deleveragings == 0


def test_requirements__longer_runs__never_demand_less() -> None:
    rows = [requirements(length) for length in (10, 40, 75, 110, 1000)]
    assert [row.boundaries for row in rows] == [0, 1, 2, 4, 4]
    assert [row.liquidations for row in rows] == [0, 20, 20, 20, 20]
    assert requirements(120, fell=False).liquidations == 0
    assert requirements(120, fell=False).boundaries == 4
