"""Against the exact solution where they are one; tests/validation holds them against what venues published."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from keeper.domain.margining import venues
from keeper.domain.margining.contracts import INVERSE, LINEAR
from keeper.domain.margining.isolated import Isolated, liquidation_price
from keeper.domain.margining.threshold import Unreachable
from keeper.domain.margining.tiers import one_rate
from tests.domain.margining.bridge import e18

marks = st.integers(10**16, 10**23)
signed = st.builds(lambda size, side: size * side, st.integers(10**15, 10**21), st.sampled_from([1, -1]))


@settings(deadline=None)
@given(marks, signed, st.integers(3, 50), st.fractions(Fraction(1, 50), 1, max_denominator=1000))
def test_hyperliquid__any_position__is_the_exact_solution(mark, size, leverage, share):
    """From what is available at the mark, which its own maintenance was taken from."""
    worth, rate = abs(LINEAR.worth(size, mark)), Fraction(1, 2 * leverage)
    margin = int(worth * share)
    exact = liquidation_price(Isolated(LINEAR, size, mark, margin, one_rate(rate)))
    found = venues.hyperliquid(mark, size, margin - int(worth * rate), leverage)
    assume(isinstance(exact, int) and isinstance(found, int))
    assert abs(found - exact) <= 2 * 10**18 // abs(size) + 1


@settings(deadline=None)
@given(marks, signed, st.integers(3, 50), st.fractions(Fraction(1, 50), 1, max_denominator=1000))
def test_hyperliquid_2023__any_position__prints_a_longs_price_early_and_a_shorts_late(mark, size, leverage, share):
    """Both too high: on the way a long's maintenance falls, which is left out, and a short's rises."""
    available = int(abs(LINEAR.worth(size, mark)) * share)
    old, new = venues.hyperliquid_2023(mark, size, available), venues.hyperliquid(mark, size, available, leverage)
    assume(isinstance(old, int) and isinstance(new, int))
    assert old >= new - 1


@settings(deadline=None)
@given(marks, signed, st.integers(5, 100), st.integers(1, 9))
def test_bybit_linear__any_position__is_off_by_the_maintenance_of_the_way(entry, size, leverage, tenths):
    """(exact − printed) · (1 − s·mmr) = (E − printed) · (−s·mmr): what frozen maintenance leaves out."""
    rate, side = Fraction(tenths, 10 * leverage), 1 if size > 0 else -1
    margin = abs(LINEAR.worth(size, entry)) / leverage
    printed = venues.bybit_linear(size, entry, Fraction(leverage), rate)
    exact = liquidation_price(Isolated(LINEAR, size, entry, int(margin), one_rate(rate)))
    assert isinstance(printed, int)
    assert isinstance(exact, int)
    assert abs((exact - printed) * (1 - side * rate) + (entry - printed) * side * rate) <= 4 + 2 * 10**18 // abs(size)


def test_bybit__added_margin__moves_the_price_by_it():
    args = (e18(1), e18(20_000), Fraction(50), Fraction(1, 200))
    assert venues.bybit_linear(*args) == e18(19_700)
    assert venues.bybit_linear(*args, added_e18=e18(100)) == e18(19_600)
    assert venues.bybit_linear(-args[0], *args[1:], added_e18=e18(100)) == e18(20_400)


def test_venues__without_a_price__say_which_way():
    half = Fraction(1, 200)
    assert venues.hyperliquid(e18(10), e18(1), e18(20), 10) is Unreachable.NEVER
    assert venues.hyperliquid_2023(e18(10), e18(1), e18(10)) is Unreachable.NEVER
    assert venues.hyperliquid_2023(e18(10), -e18(1), -e18(20)) is Unreachable.ALWAYS
    assert venues.bybit_inverse(-e18(100), e18(10), Fraction(9, 10), half) is Unreachable.NEVER
    assert venues.bybit_inverse_cross(-e18(100), e18(10), e18(15), half, Fraction(0)) is Unreachable.NEVER
    assert venues.bybit_inverse_cross(e18(100), e18(10), -e18(11), half, Fraction(0)) is Unreachable.ALWAYS


@settings(deadline=None)
@given(marks, signed, st.integers(2, 100))
def test_bybit_inverse__without_maintenance_or_fees__is_the_bankruptcy_price(entry, size, leverage):
    margin = int(abs(INVERSE.worth(size, entry)) / leverage)
    assume(margin > 10**9)
    position = Isolated(INVERSE, size, entry, margin, one_rate(Fraction(0)))
    exact = liquidation_price(position)
    cross = venues.bybit_inverse_cross_bankruptcy(size, entry, margin, Fraction(0))
    assert exact == cross == venues.bybit_inverse_cross(size, entry, margin, Fraction(0), Fraction(0))
    printed = venues.bybit_inverse(size, entry, Fraction(leverage), Fraction(0))
    assert abs(printed - exact) <= max(exact // 10**6, 2)


def test_dydx_v4__its_own_example():
    assert venues.dydx_v4(-e18(3), e18(3_000), e18(1_000), Fraction(1, 20)) == e18(10_000) * 100 // 315


def test_bybit_inverse_cross__a_short_that_is_never_bankrupt__is_liquidated_all_the_same():
    """100 USD at 10 with 11 coins: 1 + 100/M falls below the 5 that are frozen at 25, and below nothing nowhere."""
    short = -e18(100), e18(10), e18(11)
    assert venues.bybit_inverse_cross_bankruptcy(*short, Fraction(0)) is Unreachable.NEVER
    for taker in (Fraction(0), Fraction(75, 100_000)):
        assert venues.bybit_inverse_cross(*short, Fraction(1, 2), taker) == e18(25)


def test_bybit_inverse_cross__both_sides__by_hand():
    """10,000 USD at 8,000 with 0.5 BTC, 0.5 % and 0.075 %: the fee is that of closing at the bankruptcy price."""
    args = (e18(8_000), e18("0.5"), Fraction(1, 200), Fraction(75, 100_000))
    for side, to_the_cent in ((1, "5739.08"), (-1, "13213.31")):
        bankrupt = Fraction(10_000) * (1 + side * args[3]) / (Fraction(5, 4) + side * Fraction(1, 2))
        room = Fraction(1, 2) - Fraction(5, 4) / 200 - 10_000 / bankrupt * args[3]
        exact = 10**18 * Fraction(10_000) / (Fraction(5, 4) + side * room)
        found = venues.bybit_inverse_cross(side * e18(10_000), *args)
        assert abs(found - exact) <= 10
        assert abs(found - e18(to_the_cent)) < e18("0.005")
