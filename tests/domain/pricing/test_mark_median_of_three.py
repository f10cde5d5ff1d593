"""median3, and row by row what it does while inputs are missing.

In all rows the index is 100, the funding-fair price 100.3 (rate 0.3 %, a full interval left) where a rate is known, the
moving basis +0.1 % and the last trade 100.2, so that each combination has a value of its own.
"""

from __future__ import annotations

import pytest

from keeper.domain.mark.basis import BasisState
from keeper.domain.mark.median_of_three import MedianOfThree
from keeper.domain.mark.method import FundingEstimate, MarkFlag
from keeper.domain.quote import Depth, Trade
from keeper.domain.time import SECOND
from tests.domain.pricing.builders import NOW, OWN, after, book, e18, index, mark_inputs, trade

F = FundingEstimate(e18("0.003"), 1_700_003_600, 3600)
SEEN = after(-30)
WARM = BasisState(10**15, 10**15, SEEN, SEEN, 30 * SECOND)
COLD = BasisState(10**15, 10**15, NOW, NOW, 9 * SECOND - 1)
BOOK = book("100.1")
LAST = trade("100.2")
OLD_TRADE = trade("100.2", at=after(-60.001))
CROSSED = Depth(OWN, NOW, NOW, BOOK.asks, BOOK.bids)

ROWS = {
    "all three": (WARM, BOOK, LAST, F, "100.2", ()),
    "last beyond the two": (WARM, BOOK, trade(105), F, "100.3", ()),
    "last below the two": (WARM, BOOK, trade(95), F, "100.1", ()),
    "no trade: mean of the two": (WARM, BOOK, None, F, "100.2", (MarkFlag.NO_TRADE,)),
    "trade too old: mean of the two": (WARM, BOOK, OLD_TRADE, F, "100.2", (MarkFlag.NO_TRADE,)),
    "trade at the age limit counts": (WARM, BOOK, trade("100.15", at=after(-60)), F, "100.15", ()),
    "book empty for less than a minute: basis kept": (WARM, None, LAST, F, "100.2", (MarkFlag.KEPT_BASIS,)),
    "book crossed: basis kept": (WARM, CROSSED, trade(105), F, "100.3", (MarkFlag.KEPT_BASIS,)),
    "book gone for more than a minute: mean of fair and index": (
        BasisState(10**15, None, SEEN, after(-60.001), 30 * SECOND),
        None,
        LAST,
        F,
        "100.15",
        (MarkFlag.NO_BOOK,),
    ),
    "no book ever: mean of fair and index": (BasisState(), None, LAST, F, "100.15", (MarkFlag.NO_BOOK,)),
    "rate unknown: fair price is the index": (WARM, BOOK, LAST, None, "100.1", (MarkFlag.NO_FUNDING,)),
    "average cold: fair price alone": (COLD, BOOK, LAST, F, "100.3", (MarkFlag.COLD,)),
    "cold and no trade: fair price alone": (COLD, BOOK, None, F, "100.3", (MarkFlag.COLD,)),
    "nothing but the index": (BasisState(), None, None, None, "100", (MarkFlag.NO_FUNDING, MarkFlag.NO_BOOK)),
    "no trade, no book now, no rate": (
        WARM,
        None,
        None,
        None,
        "100.05",
        (MarkFlag.NO_FUNDING, MarkFlag.KEPT_BASIS, MarkFlag.NO_TRADE),
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_median3__missing_inputs(row: str) -> None:
    state, own, last, funding, expected, flags = ROWS[row]
    _, mark = MedianOfThree().step(state, mark_inputs(index(100), own, last, funding))
    assert mark.price_e18 == e18(expected)
    assert mark.flags == flags


def test_median3__no_trade_and_the_two_apart__is_the_basis_price() -> None:
    """Fair 100.6, basis price 99.9: more than 0.5 % apart, so the mean would be neither."""
    state = BasisState(-(10**15), -(10**15), SEEN, SEEN, 30 * SECOND)
    far = FundingEstimate(e18("0.006"), 1_700_003_600, 3600)
    _, mark = MedianOfThree().step(state, mark_inputs(index(100), book("99.9"), None, far))
    assert mark.price_e18 == e18("99.9")
    assert mark.flags == (MarkFlag.NO_TRADE, MarkFlag.APART)


def test_median3__trade_of_zero__is_no_trade() -> None:
    nothing = Trade(OWN, NOW, NOW, 0, 1)
    _, mark = MedianOfThree().step(WARM, mark_inputs(index(100), BOOK, nothing, F))
    assert MarkFlag.NO_TRADE in mark.flags


def test_median3__trade_time_of_the_venue__counts_too() -> None:
    replayed = Trade(OWN, NOW, after(-61), e18("100.2"), 1)
    _, mark = MedianOfThree().step(WARM, mark_inputs(index(100), BOOK, replayed, F))
    assert MarkFlag.NO_TRADE in mark.flags


@pytest.mark.parametrize("price", ["0.000001", "50", "99", "101", "1000000"])
def test_median3__one_corrupted_input__cannot_move_it_beyond_the_other_two(price: str) -> None:
    _, mark = MedianOfThree().step(WARM, mark_inputs(index(100), BOOK, trade(price), F))
    assert e18("100.1") <= mark.price_e18 <= e18("100.3")


def test_median3__components__name_what_it_chose_from() -> None:
    _, mark = MedianOfThree().step(WARM, mark_inputs(index(100), BOOK, LAST, F))
    assert dict(mark.components) == {
        "funding_fair": e18("100.3"),
        "last": e18("100.2"),
        "basis": 10**15,
        "index_plus_basis": e18("100.1"),
    }
