from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.domain.account import Account, Position
from keeper.domain.exchange import Tier
from keeper.domain.margin import (
    Health,
    Terms,
    alarm_price,
    bankruptcy_price,
    health_in,
    initial_of,
    is_liquidatable,
    maintenance_of,
    moved,
    notional,
    owed,
    part_of,
    tier_offsets,
    tier_sum,
    value,
)
from keeper.domain.numbers import BPS, E18, MAX_PRICE_E18, cdiv
from tests.domain.accounts.bridge import parameters_of, who
from tests.domain.accounts.reference import Rules
from tests.domain.accounts.strategies import books, positions, terms, tier_tables
from tests.domain.accounts.test_walk import check_alarm

# Binance USD-M leverage brackets, recorded 2022/23: (floor in quote, maintenance rate, "cum" as the venue gives it)
BINANCE = {
    "ADA/BUSD": [(0, "0.025", 0), (100_000, "0.05", 2_500), (500_000, "0.1", 27_500), (1_000_000, "0.15", 77_500),
                 (2_000_000, "0.25", 277_500), (5_000_000, "0.5", 1_527_500)],
    "1000PEPE/USDC": [(0, "0.015", 0), (5_000, "0.02", 25), (10_000, "0.025", 75), (50_000, "0.05", 1_325),
                      (1_200_000, "0.1", 61_325), (3_000_000, "0.125", 136_325), (3_600_000, "0.25", 586_325),
                      (9_000_000, "0.5", 2_836_325)],
    "1000LUNC/USDT": [(0, "0.01", 0), (5_000, "0.025", 75), (25_000, "0.05", 700), (400_000, "0.1", 20_700),
                      (1_000_000, "0.125", 45_700), (2_000_000, "0.25", 295_700), (6_000_000, "0.5", 1_795_700)],
}  # fmt: skip
ONE_TIER = parameters_of(Rules(((0, 50),)))


def at(mark, rules=ONE_TIER, cum=0, number=1):
    return {number: Terms(number, rules, mark, cum, fresh=True, passable=True)}


@pytest.mark.parametrize("symbol", BINANCE)
def test_maintenance__binance_brackets__equal_notional_times_rate_less_cum(symbol):
    rows = [(floor * 10**6, Fraction(rate), cum * 10**6) for floor, rate, cum in BINANCE[symbol]]
    rules = replace(ONE_TIER, tiers=tuple(Tier(floor, int(rate * BPS)) for floor, rate, _ in rows))
    assert tier_offsets(rules.tiers) == tuple(cum * BPS for _, _, cum in rows)
    for k, (floor, rate, cum) in enumerate(rows):
        ceiling = rows[k + 1][0] if k + 1 < len(rows) else 3 * floor
        for n in {floor, floor + 1, (floor + ceiling) // 2 + 7, ceiling}:
            exact = n * rate - cum
            assert maintenance_of(rules, n) == -((-exact.numerator) // exact.denominator)


@settings(deadline=None)
@given(tier_tables(), st.integers(0, 10**19))
def test_tier_sum__any_table__is_the_highest_of_its_tiers_lines(tiers, n):
    lines = zip(tiers, tier_offsets(tiers), strict=True)
    assert tier_sum(tiers, n) == max(tier.mmr_bps * n - offset for tier, offset in lines)


def test_value_and_notional__round_against_the_account():
    assert (value(E18, 1), value(-E18, 1), notional(-E18, 1)) == (0, -1, 1)
    assert (value(E18, 3 * E18), notional(E18, 3 * E18)) == (3_000_000, 3_000_000)
    assert (owed(E18, 1), owed(-E18, 1), owed(E18, 10**30)) == (1, 0, 1)


def test_health__by_hand():
    """Long 2 at 3,000 entered at 2,900 with 500 margin and a funding index of 10 USD more per coin."""
    account = Account(who(1), 500_000_000, {1: Position(2 * E18, -5_800_000_000, 5 * 10**36)})
    found = health_in(account, at(3_000 * E18, cum=15 * 10**36))
    assert found == Health(480_000_000, 680_000_000, 30_000_000, 60_000_000, 6_000_000_000)


def test_is_liquidatable__equality_is_healthy_and_a_unit_less_is_not():
    account = Account(who(1), 0, {1: Position(E18, -2_985_000_000, 0)})
    assert health_in(account, at(3_000 * E18)).equity == health_in(account, at(3_000 * E18)).maintenance
    assert not is_liquidatable(account, at(3_000 * E18))
    assert is_liquidatable(replace(account, margin_units=-1), at(3_000 * E18))


def test_is_liquidatable__no_position__never():
    assert not is_liquidatable(Account(who(1), -5), {})


def test_health__unknown_market__never_looks_healthy():
    with pytest.raises(KeyError):
        health_in(Account(who(1), 10**12, {9: Position(E18, 0, 0)}), at(E18))


@settings(deadline=None)
@given(st.data())
def test_part__any_position__rounds_by_less_than_a_unit_against_the_account(data):
    market = data.draw(terms())
    position = data.draw(positions(market))
    part, size = part_of(position, market), position.size_e18
    worth = Fraction(size * market.mark_e18, 10**30)
    debt = Fraction(size * (market.cum_e36 - position.cum_entry_e36), 10**48)
    assert 0 <= worth - part.value < 1
    assert 0 <= part.owed - debt < 1
    assert 0 <= part.notional - abs(worth) < 1
    assert part.maintenance == cdiv(tier_sum(market.parameters.tiers, part.notional), BPS)
    assert part.initial == initial_of(market.parameters, part.notional) >= part.maintenance


@settings(deadline=None)
@given(books(sign=1, most=1), st.lists(st.integers(1, MAX_PRICE_E18), min_size=2, max_size=2))
def test_health__long__rises_with_the_price(book, marks):
    markets, account = book
    (number,) = account.positions
    low, high = (health_in(account, {number: replace(markets[number], mark_e18=mark)}) for mark in sorted(marks))
    assert low.equity <= high.equity
    assert low.equity - low.maintenance <= high.equity - high.maintenance + 1  # a unit of rounding


@settings(deadline=None)
@given(books(sign=-1, most=1), st.lists(st.integers(1, MAX_PRICE_E18), min_size=2, max_size=2))
def test_health__short__falls_with_the_price(book, marks):
    markets, account = book
    (number,) = account.positions
    low, high = (health_in(account, {number: replace(markets[number], mark_e18=mark)}) for mark in sorted(marks))
    assert low.equity >= high.equity
    assert low.equity - low.maintenance >= high.equity - high.maintenance


@settings(max_examples=100, deadline=None)
@given(books())
def test_alarm_price__any_account__is_the_last_liquidatable_mark(book):
    markets, account = book
    for number in account.positions:
        check_alarm(account, number, markets)


@pytest.mark.parametrize("rate", [41, 500, 2_500, 3_333, 5_000])
def test_alarm_price__sizes_whose_value_is_whole_at_every_mark__is_exact_too(rate):
    """Where nothing is rounded away, a long is healthy one unit earlier than where something is."""
    markets = at(5, replace(ONE_TIER, tiers=(Tier(0, rate),)))
    for size in (1, 2, 3, -1, -2):
        for quote in range(-60, 60):
            check_alarm(Account(who(1), 0, {1: Position(size * 10**30, quote, 0)}), 1, markets)


@settings(deadline=None)
@given(books(), st.lists(st.integers(1, MAX_PRICE_E18), min_size=1, max_size=5))
def test_alarm_price__any_mark__tells_beyond_it_what_margin_says(book, marks):
    markets, account = book
    for number, position in account.positions.items():
        alarm = alarm_price(account, number, markets)
        for mark in marks:
            moved_to = {**markets, number: replace(markets[number], mark_e18=mark)}
            if position.size_e18 < 0:
                assert is_liquidatable(account, moved_to) == (alarm is not None and mark >= alarm)
            elif alarm is None or mark > alarm:
                assert not is_liquidatable(account, moved_to)


@settings(deadline=None)
@given(books())
def test_alarm_price__formula_of_docs_reference_protocol__lies_within_the_rounding(book):
    """M* = (MM of the others − K − C) / (|size| · (sign − mmr)) in the tier where it lies; two units of rounding."""
    markets, account = book
    number, position = next(iter(account.positions.items()))
    alarm, market = alarm_price(account, number, markets), markets[number]
    found, own = health_in(account, markets), part_of(position, market)
    rest, others = found.equity - own.value, found.maintenance - own.maintenance
    size, sign = abs(position.size_e18), 1 if position.size_e18 > 0 else -1
    tiers, star = market.parameters.tiers, None
    for k, (tier, offset) in enumerate(zip(tiers, tier_offsets(tiers), strict=True)):
        slope = size * (sign - Fraction(tier.mmr_bps, BPS))
        star = Fraction(10**30) * (others - Fraction(offset, BPS) - rest) / slope
        top = tiers[k + 1].floor_units if k + 1 < len(tiers) else None
        if size * star / 10**30 <= (top if top is not None else size * star / 10**30):
            break
    if alarm is not None and 1 < alarm < MAX_PRICE_E18:
        assert abs(star - alarm) <= Fraction(10**30, size) * 4 + 1


def test_alarm_price__hopeless_or_safe_or_absent():
    long = Account(who(1), 0, {1: Position(E18, -3_000_000_000, 0)})
    assert alarm_price(replace(long, margin_units=10**11), 1, at(3_000 * E18)) is None
    assert alarm_price(long, 2, at(3_000 * E18)) is None
    # 9 units of value at a mark of 1: liquidatable only below that, and there is no such mark
    assert alarm_price(Account(who(1), 0, {1: Position(9 * 10**30, -8, 0)}), 1, at(5)) is None
    assert alarm_price(replace(long, margin_units=-(10**30)), 1, at(3_000 * E18)) == MAX_PRICE_E18
    short = Account(who(1), -(10**12), {1: Position(-E18, 3_000_000_000, 0)})
    assert alarm_price(short, 1, at(3_000 * E18)) == 1
    assert bankruptcy_price(replace(short, margin_units=0), 1, at(3_000 * E18)) == 3_000 * E18 + 1
    assert bankruptcy_price(long, 1, at(3_000 * E18)) == 3_000 * E18 - 1


def test_moved__crossing_zero__closes_then_opens():
    account = Account(who(1), 100, {1: Position(2 * E18, -200, 0)})
    after = moved(account, 1, -3 * E18, 330, 0)
    assert after.margin_units == 100 - 200 + 220
    assert dict(after.positions) == {1: Position(-E18, 110, 0)}


@settings(deadline=None)
@given(st.data())
def test_moved__any_change__margin_and_quote_change_by_cash_less_funding(data):
    market = data.draw(terms())
    position = data.draw(positions(market))
    delta, cash = data.draw(positions(market)).size_e18, data.draw(st.integers(-(10**12), 10**12))
    account = Account(who(1), 0, {1: position})
    after = moved(account, 1, delta, cash, market.cum_e36)
    held = after.positions.get(1, Position(0, 0, 0))
    paid = owed(position.size_e18, market.cum_e36 - position.cum_entry_e36)
    assert held.size_e18 == position.size_e18 + delta
    assert after.margin_units + held.quote_units == position.quote_units + cash - paid
    assert 1 not in after.positions or held.size_e18
