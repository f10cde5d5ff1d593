"""Means over a window of time: by how long a price stood, never by how often it was seen."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.mark.method import MarkFlag
from keeper.domain.mark.twap import Twap
from keeper.domain.mark.window import Window, WindowState, restored_window
from keeper.domain.time import SECOND, Timestamp
from tests.domain.pricing.builders import LAW, NOW, after, book, depth, e18, index, mark_inputs, trade

MINUTE = Window(60 * SECOND, 60 * SECOND)
PATHS = st.lists(st.tuples(st.integers(1, 20 * SECOND), st.integers(0, 10**24)), min_size=1, max_size=10)


def walk(window: Window, path: list[tuple[int, int]], looks: list[int]) -> WindowState:
    """Each price stands for so many ns; `looks`: permille of it at which it is looked at again."""
    state, now = WindowState(), int(NOW)
    for stands_ns, price in path:
        state = window.step(state, price, Timestamp(now))
        for permille in sorted(looks):
            state = window.step(state, price, Timestamp(now + stands_ns * permille // 1000))
        now += stands_ns
    return window.step(state, path[-1][1], Timestamp(now))


def test_window__price_that_stood_longer__weighs_more() -> None:
    """10 for 50 s and 40 for 10 s: 15, though both were seen once; the last one stands until now."""
    state = MINUTE.step(WindowState(), 10 * SECOND, NOW)
    state = MINUTE.step(state, 40 * SECOND, after(50))
    state = MINUTE.step(state, None, after(60))
    assert MINUTE.mean(state, 60 * SECOND) == 15 * SECOND


def test_window__only_its_last_seconds_count() -> None:
    state = MINUTE.step(WindowState(), 1_000_000, NOW)
    state = MINUTE.step(state, 4_000_000, after(40))
    state = MINUTE.step(state, None, after(80))
    assert MINUTE.mean(state, 60 * SECOND) == 3_000_000
    assert MINUTE.mean(state, 40 * SECOND) == 4_000_000
    assert MINUTE.covered_ns(state) == 60 * SECOND


@LAW
@given(path=PATHS, looks=st.lists(st.integers(1, 999), max_size=5))
def test_window__looked_at_more_often__is_the_same_mean(path: list[tuple[int, int]], looks: list[int]) -> None:
    one, other = walk(MINUTE, path, []), walk(MINUTE, path, looks)
    assert (one.parts, one.at, one.since) == (other.parts, other.at, other.since)
    assert MINUTE.mean(one, 60 * SECOND) == MINUTE.mean(other, 60 * SECOND)


@LAW
@given(path=PATHS)
def test_window__against_the_integral__is_within_one_part_of_it(path: list[tuple[int, int]]) -> None:
    """Exact but for the oldest part of the window, a sixtieth, within which the price counts as even."""
    state, end = walk(MINUTE, path, []), NOW + sum(stands for stands, _ in path)
    start = max(NOW, end - 60 * SECOND)
    total, at = Fraction(0), int(NOW)
    for stands, price in path:
        total += price * max(0, at + stands - max(at, start))
        at += stands
    prices = [price for _, price in path]
    off = abs(Fraction(MINUTE.mean(state, 60 * SECOND) or 0) - total / (end - start))
    whole = start == NOW or start % SECOND == 0
    allowed = 2 if whole else Fraction((max(prices) - min(prices)) * SECOND, end - start) + 2
    assert off <= allowed


@LAW
@given(path=PATHS, looks=st.lists(st.integers(1, 999), max_size=3))
def test_window__written_down_and_read_back__is_equal(path: list[tuple[int, int]], looks: list[int]) -> None:
    state = walk(MINUTE, path, looks)
    assert restored_window(json.loads(json.dumps(state.to_plain()))) == state


@LAW
@given(path=PATHS)
def test_window__state__never_grows_beyond_its_parts(path: list[tuple[int, int]]) -> None:
    assert len(walk(MINUTE, path * 5, [250, 500, 750]).parts) <= 61


def test_window__longer_gap_than_allowed__begins_anew() -> None:
    state = MINUTE.step(WindowState(), 10**18, NOW)
    assert MINUTE.mean(MINUTE.step(state, None, after(60)), MINUTE.window_ns) == 10**18
    assert MINUTE.step(state, None, after(60.001)) == WindowState()
    fresh = MINUTE.step(state, 2 * 10**18, after(60.001))
    assert MINUTE.mean(fresh, MINUTE.window_ns) == 2 * 10**18
    assert MINUTE.covered_ns(fresh) == 0


def test_window__gap_of_many_windows__costs_no_more_than_one_window() -> None:
    """A second's window after a year that the largest gap allows: counting all of the year's parts would take hours."""
    year_s = 365 * 86_400
    short = Window(SECOND, year_s * SECOND)
    state = short.step(WindowState(), 10**18, NOW)
    state = short.step(state, 2 * 10**18, after(year_s - 1))
    assert len(state.parts) <= 61
    assert short.mean(state, SECOND) == 10**18


def test_window__clock_steps_back__counts_nothing_twice() -> None:
    state = MINUTE.step(WindowState(), 10**18, NOW)
    state = MINUTE.step(state, 10**18, after(10))
    back = MINUTE.step(state, 3 * 10**18, after(5))
    assert (back.parts, back.at) == (state.parts, state.at)
    assert back.standing == 3 * 10**18


@pytest.mark.parametrize(
    ("of", "name"), [("mid", "book_twap"), ("last", "last_twap"), ("index", "spot_twap"), ("micro", "twap")]
)
def test_twap__of_each_price__is_cold_and_then_its_mean(of: str, name: str) -> None:
    """100.1 for half a minute and 100.4 for the next: cold until three tenths of the window, then the mean, clamped to ±2 %."""
    method = Twap(of=of, window_s=60)  # type: ignore[arg-type]
    state, marks = method.start(), []
    for seconds in range(61):
        at, price = after(seconds), "100.1" if seconds < 30 else "100.4"
        spot = index(price if of == "index" else 100, at=at)
        state, mark = method.step(state, mark_inputs(spot, book(price, at=at), trade(price, at=at), at=at))
        marks.append(mark)
    assert [seconds for seconds, mark in enumerate(marks) if MarkFlag.COLD in mark.flags] == list(range(18))
    assert marks[5].price_e18 == e18("100.1" if of == "index" else 100)
    assert marks[60].price_e18 == e18("100.25")
    assert name


def test_twap__book_gone_for_longer_than_the_gap__is_the_index() -> None:
    method = Twap(window_s=60)
    state = method.start()
    for seconds in (0, 30):
        at = after(seconds)
        state, mark = method.step(state, mark_inputs(index(100, at=at), book("100.4", at=at), at=at))
    for seconds, expected, flags in ((90, "100.4", ()), (90.001, "100", (MarkFlag.NO_BOOK,))):
        at = after(seconds)
        _, mark = method.step(state, mark_inputs(index(100, at=at), at=at))
        assert (mark.price_e18, mark.flags) == (e18(expected), flags)


@pytest.mark.parametrize("options", [{"window_s": 0}, {"max_gap_s": 0}, {"warm_pct": 101}, {"max_basis_bps": 0}])
def test_twap_options__impossible__are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="need"):
        Twap(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("of", "expected"), [("mid", "100.5"), ("micro", "100.8")])
def test_twap__of_an_uneven_book__is_of_the_middle_or_leans_to_the_thin_side(of: str, expected: str) -> None:
    """Bid 100 with 4 and ask 101 with 1: the price by the other side's size is 100.8."""
    method = Twap(of=of, window_s=60)  # type: ignore[arg-type]
    state = method.start()
    for seconds in range(61):
        at = after(seconds)
        state, mark = method.step(state, mark_inputs(index(100, at=at), depth([(100, 4)], [(101, 1)], at), at=at))
    assert mark.price_e18 == e18(expected)
