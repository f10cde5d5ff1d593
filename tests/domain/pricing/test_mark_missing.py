"""Row by row what a median of three does while inputs are missing, for every venue's name of that form.

In all rows the index is 100, the funding-fair price 100.3 (rate 0.3 %, a full interval left) where a rate is known, the
moving basis 0.1 and the last trade 100.2, so that each combination has a value of its own.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.domain.mark import MARK_METHODS
from keeper.domain.mark.method import FundingEstimate, MarkFlag
from keeper.domain.mark.moving_median import MovingMedian
from keeper.domain.quote import Depth
from keeper.domain.time import SECOND
from tests.domain.pricing.builders import LAW, NOW, OWN, after, book, e18, index, mark_inputs, trade

LAST_TRADE = ("moving_median", "binance", "binance_coinm", "bybit", "kucoin", "btse")
F = FundingEstimate(e18("0.003"), 1_700_003_600, 3600)
BOOK, LAST = book("100.1"), trade("100.2")
OLD = trade("100.2", at=after(-60.001))
CROSSED = Depth(OWN, NOW, NOW, BOOK.asks, BOOK.bids)
EMPTY = Depth(OWN, NOW, NOW, (), BOOK.asks)
WARM, GONE, COLD = (100, -1), (100, -60.5), (25, -1)
"""Percent of the window that was seen, and when the last of it was."""

ROWS: dict[str, tuple[tuple[int, float], Any, Any, Any, str, tuple[MarkFlag, ...]]] = {
    "all three": (WARM, BOOK, LAST, F, "100.2", ()),
    "last far above": (WARM, BOOK, trade(104), F, "100.3", ()),
    "last far below": (WARM, BOOK, trade(96), F, "100.1", ()),
    "no trade: mean of the two": (WARM, BOOK, None, F, "100.2", (MarkFlag.NO_TRADE,)),
    "trade too old: mean of the two": (WARM, BOOK, OLD, F, "100.2", (MarkFlag.NO_TRADE,)),
    "trade at the age limit counts": (WARM, BOOK, trade("100.15", at=after(-60)), F, "100.15", ()),
    "no trade and the two apart: the basis price": (
        WARM,
        BOOK,
        None,
        FundingEstimate(e18("0.007"), 1_700_003_600, 3600),
        "100.1",
        (MarkFlag.NO_TRADE, MarkFlag.APART),
    ),
    "book missing: basis kept": (WARM, None, LAST, F, "100.2", (MarkFlag.KEPT_BASIS,)),
    "book empty on one side: basis kept": (WARM, EMPTY, trade(104), F, "100.3", (MarkFlag.KEPT_BASIS,)),
    "book crossed: basis kept": (WARM, CROSSED, trade(96), F, "100.1", (MarkFlag.KEPT_BASIS,)),
    "book old: basis kept": (WARM, book(90, at=after(-10.001)), LAST, F, "100.2", (MarkFlag.KEPT_BASIS,)),
    "book gone for a minute: mean of fair price and index": (GONE, None, LAST, F, "100.15", (MarkFlag.NO_BOOK,)),
    "rate unknown: fair price is the index": (WARM, BOOK, LAST, None, "100.1", (MarkFlag.NO_FUNDING,)),
    "average cold: fair price alone": (COLD, BOOK, LAST, F, "100.3", (MarkFlag.COLD,)),
    "cold and no trade: fair price alone": (COLD, BOOK, None, F, "100.3", (MarkFlag.COLD,)),
    "nothing but the index": ((0, 0), None, None, None, "100", (MarkFlag.NO_FUNDING, MarkFlag.NO_BOOK)),
    "no trade, no book now, no rate": (
        WARM,
        None,
        None,
        None,
        "100.05",
        (MarkFlag.NO_FUNDING, MarkFlag.KEPT_BASIS, MarkFlag.NO_TRADE),
    ),
}


def warmed(method: MovingMedian, percent: int, last_s: float) -> Any:
    """The state after a book at 100.1 was sampled for so much of the window, the last time at `last_s`."""
    return sampled(method, method.samples * percent // 100, last_s)


def sampled(method: MovingMedian, ticks: int, last_s: float) -> Any:
    state = method.start()
    for tick in range(ticks - 1, -1, -1):
        at = after(last_s - tick * method.every_s)
        state, _ = method.step(state, mark_inputs(index(100, at=at), book("100.1", at=at), at=at))
    return state


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("name", LAST_TRADE)
def test_median__missing_inputs(name: str, row: str) -> None:
    seen, own, last, funding, expected, flags = ROWS[row]
    method: Any = MARK_METHODS[name]()
    state = warmed(method, *seen)
    _, mark = method.step(state, mark_inputs(index(100), own, last, funding))
    assert (mark.price_e18, mark.flags) == (e18(expected), flags)


@pytest.mark.parametrize("name", LAST_TRADE)
def test_median__three_tenths_of_the_window__are_warm_and_one_sample_less_is_not(name: str) -> None:
    """The sample of this very tick is one of them."""
    method: Any = MARK_METHODS[name]()
    inputs, enough = mark_inputs(index(100), BOOK, LAST, F), method.samples * 3 // 10
    _, warm = method.step(sampled(method, enough - 1, -method.every_s), inputs)
    _, cold = method.step(sampled(method, enough - 2, -method.every_s), inputs)
    assert (warm.price_e18, warm.flags) == (e18("100.2"), ())
    assert (cold.price_e18, cold.flags) == (e18("100.3"), (MarkFlag.COLD,))


@pytest.mark.parametrize("name", [*LAST_TRADE, "lighter", "hyperliquid", "polymarket", "deribit", "ftx", "curie"])
def test_every_method__index_held_by_a_ladder__is_flagged(name: str) -> None:
    method = MARK_METHODS[name]()
    _, mark = method.step(method.start(), mark_inputs(index(100), at=after(60)))
    assert mark.flags[0] is MarkFlag.STALE_INDEX


@pytest.mark.parametrize(
    ("own", "expected", "flags"),
    [
        (book("100.2"), "100.2", ()),
        (book(99), "100.098", ()),
        (None, "100.2", (MarkFlag.KEPT_BASIS, MarkFlag.NO_TRADE)),
        (Depth(OWN, NOW, NOW, BOOK.bids, BOOK.asks[:0]), "100.2", (MarkFlag.KEPT_BASIS, MarkFlag.NO_TRADE)),
    ],
    ids=["all three", "impact mid far below", "no book: mean of the two", "one side only"],
)
def test_lighter__third_is_the_impact_mid(own: Any, expected: str, flags: tuple[MarkFlag, ...]) -> None:
    """Mean over 60 samples of 0.1 before; the book of this tick is the sixtieth."""
    method: Any = MARK_METHODS["lighter"]()
    state = warmed(method, 100, -method.every_s)
    _, mark = method.step(state, mark_inputs(index(100), own, LAST, F))
    shifted = dict(mark.components)["index_plus_basis"]
    wanted = shifted if expected == "100.098" else e18(expected)
    assert (mark.price_e18, mark.flags) == (wanted, flags)


def test_kucoin__price_far_from_the_median__is_left_out_and_the_others_averaged() -> None:
    method: Any = MARK_METHODS["kucoin"]()
    state = warmed(method, 100, -1)
    _, mark = method.step(state, mark_inputs(index(100), BOOK, trade(110), F))
    assert (mark.price_e18, mark.flags) == (e18("100.2"), (MarkFlag.CORRECTED,))
    _, near = method.step(state, mark_inputs(index(100), BOOK, trade(105), F))
    assert (near.price_e18, near.flags) == (e18("100.3"), ())


@pytest.mark.parametrize("price", ["0.000001", "50", "99", "101", "1000000"])
@pytest.mark.parametrize("name", LAST_TRADE)
def test_median__one_corrupted_input__cannot_move_it_beyond_the_other_two(name: str, price: str) -> None:
    method: Any = MARK_METHODS[name]()
    _, mark = method.step(warmed(method, 100, -method.every_s), mark_inputs(index(100), BOOK, trade(price), F))
    assert e18("100.1") <= mark.price_e18 <= e18("100.3")


PRICES = st.integers(9_900, 10_100)


@pytest.mark.parametrize("name", [*LAST_TRADE, "lighter"])
@settings(LAW, max_examples=25)
@given(path=st.lists(st.tuples(PRICES, PRICES, PRICES), min_size=1, max_size=8), rate=st.integers(-99, 99))
def test_median__any_path__lies_within_its_three_components(
    name: str, path: list[tuple[int, int, int]], rate: int
) -> None:
    """Prices in hundredths, within 1 % of 100, so that the bound around the index never counts. No average is cold."""
    method: Any = MARK_METHODS[name](warm_pct=0, max_basis_bps=900)
    state = method.start()
    funding = FundingEstimate(rate * 10**14, NOW // SECOND + 3600, 3600)
    for tick, (spot, mid, last) in enumerate(path):
        at = after(tick * method.every_s)
        hundredths = [f"{price / 100:.2f}" for price in (spot, mid, last)]
        own = book(hundredths[1], half="0.01", at=at)
        inputs = mark_inputs(index(hundredths[0], at=at), own, trade(hundredths[2], at=at), funding, at)
        state, mark = method.step(state, inputs)
        found = dict(mark.components)
        three = [found["funding_fair"], found["index_plus_basis"], found["impact" if name == "lighter" else "last"]]
        assert min(three) <= mark.price_e18 <= max(three)
        assert MarkFlag.COLD not in mark.flags
