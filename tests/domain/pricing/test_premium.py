"""Impact prices and premium samples against exact fractions."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.numbers import E18
from keeper.domain.premium import (
    CarriedPremium,
    ImpactPrices,
    impact_ask,
    impact_bid,
    impact_prices,
    premium_of,
    premium_sample,
    readable,
)
from keeper.domain.quote import Depth, Level
from keeper.domain.time import SECOND
from tests.domain.pricing.builders import LAW, NOW, after, depth, e18

LEVELS = st.lists(st.tuples(st.integers(1, 10**24), st.integers(1, 10**24)), min_size=1, max_size=6)


def exact_impact(levels: list[tuple[int, int]], notional: int) -> Fraction | None:
    """N / Σ q_j with q_j = min(size_j, what is left / price_j)."""
    left, base = Fraction(notional), Fraction(0)
    for price, size in levels:
        taken = min(Fraction(size), left * E18 / price)
        base, left = base + taken, left - taken * price / E18
    return None if left > 0 else Fraction(notional) * E18 / base


@LAW
@given(levels=LEVELS, notional=st.integers(1, 10**26))
def test_impact__any_book__is_the_exact_average_rounded_away_from_the_premium(
    levels: list[tuple[int, int]], notional: int
) -> None:
    side = [Level(price, size) for price, size in levels]
    want = exact_impact(levels, notional)
    bid, ask = impact_bid(side, notional), impact_ask(side, notional)
    if want is None:
        assert bid is None
        assert ask is None
    else:
        assert bid == want.__floor__()
        assert ask == want.__ceil__()


def test_impact__first_level_deep_enough__is_its_price() -> None:
    assert impact_bid([Level(e18("99.5"), e18(10))], e18(995)) == e18("99.5")
    assert impact_bid([Level(e18("99.5"), e18(10))], e18(995) + 1) is None


def test_impact__two_levels__average_by_notional() -> None:
    """500 of quote: 1 at 100, then 400 / 50 = 8 at 50: 500 / 9."""
    side = [Level(e18(100), e18(1)), Level(e18(50), e18(100))]
    assert impact_bid(side, e18(500)) == e18(500) // 9
    assert impact_ask(side, e18(500)) == e18(500) // 9 + 1


@pytest.mark.parametrize(
    ("bid", "ask", "index", "expected"),
    [
        ("0.199517", "0.199725", "0.1995", "0.000085213032581453"),
        ("3050", "3051", "3000", "0.016666666666666666"),
        ("2900", "2949", "3000", "-0.017"),
        ("2999", "3001", "3000", "0"),
        ("3000", "3001", "3000", "0"),
        ("2999", "3000", "3000", "0"),
        ("9000", "9001", "3000", "1"),
        ("1", "2", "3000", "-0.999333333333333333"),
    ],
)
def test_premium__dead_band_between_the_impact_prices(bid: str, ask: str, index: str, expected: str) -> None:
    """The first row is Hyperliquid's MOODENG as recorded: it publishes 0.00008521."""
    assert premium_of(ImpactPrices(e18(bid), e18(ask)), e18(index)) == e18(expected)


@LAW
@given(bid=st.integers(1, 10**24), wide=st.integers(0, 10**24), index=st.integers(1, 10**24))
def test_premium__any_prices__fits_the_report(bid: int, wide: int, index: int) -> None:
    premium = premium_of(ImpactPrices(bid, bid + wide), index)
    assert abs(premium) <= E18
    if bid <= index <= bid + wide:
        assert premium == 0
    elif bid > index:
        assert premium >= 0
    else:
        assert premium <= 0


@pytest.mark.parametrize(
    "own",
    [
        depth([], [(101, 100)]),
        depth([(99, 100)], []),
        depth([(99, 1)], [(101, 100)]),
        depth([(99, 100)], [(101, 1)]),
        depth([(102, 100)], [(101, 100)]),
    ],
    ids=["no bids", "no asks", "thin bids", "thin asks", "crossed"],
)
def test_premium_sample__book_that_cannot_fill__is_missing_and_not_zero(own: Depth) -> None:
    assert premium_sample(own, e18(100), e18(1000)) is None


def test_premium_sample__deep_book_above_the_index__is_positive() -> None:
    own = depth([(102, 5), (101, 100)], [(103, 100)])
    prices = impact_prices(own, e18(1000))
    assert prices is not None
    assert prices.mid_e18() == (prices.bid_e18 + e18(103)) // 2
    assert premium_sample(own, e18(100), e18(1000)) == (prices.bid_e18 - e18(100)) * E18 // e18(100)


def test_carried__sample_missing__last_stands_in_for_a_while_then_zero() -> None:
    state, value = CarriedPremium().step(None, NOW, 15 * SECOND)
    assert value == 0
    state, value = state.step(7, NOW, 15 * SECOND)
    assert value == 7
    state, value = state.step(None, after(15), 15 * SECOND)
    assert value == 7
    state, value = state.step(None, after(15.001), 15 * SECOND)
    assert value == 0
    _, value = state.step(-3, after(16), 15 * SECOND)
    assert value == -3


@pytest.mark.parametrize(
    ("own", "usable"),
    [
        (None, False),
        (depth([], [(101, 1)]), False),
        (depth([(99, 1)], []), False),
        (depth([(0, 1)], [(101, 1)]), False),
        (depth([(102, 1)], [(101, 1)]), False),
        (depth([(101, 1)], [(101, 1)]), True),
        (depth([("0.000000000000000001", 1)], [(101, 1)]), True),
        (depth([(99, 1)], [(101, 1)], at=after(-5)), True),
        (depth([(99, 1)], [(101, 1)], at=after(-5.001)), False),
    ],
)
def test_readable__both_sides_positive_uncrossed_and_fresh(own: Depth | None, usable: bool) -> None:
    assert readable(own, NOW, 5 * SECOND) is usable


def test_readable__old_by_the_venues_time__is_not() -> None:
    own = depth([(99, 1)], [(101, 1)])
    assert not readable(replace(own, observed_at=after(-6)), NOW, 5 * SECOND)
    assert readable(replace(own, observed_at=None), NOW, 5 * SECOND)


def test_readable__of_a_clock_that_was_ahead__is_not() -> None:
    assert not readable(depth([(99, 1)], [(101, 1)], at=after(5.001)), NOW, 5 * SECOND)


def test_carried__of_a_clock_that_was_ahead__stands_in_for_nothing() -> None:
    assert CarriedPremium(7, after(15.001)).step(None, NOW, 15 * SECOND)[1] == 0
