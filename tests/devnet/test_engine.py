"""Laws of the demo's matching engine, against a slow book that is obviously right."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.devnet.engine import BUY, SELL, SIDES, Fill, MatchingEngine, OrderError, Side

LOT = 10
TICK = 5


@dataclass
class SlowBook:
    """A list that is sorted by (price, arrival) for every single lot."""

    resting: list[tuple[int, str, Side, int, int]] = field(default_factory=list)
    arrivals: int = 0

    def limit(self, account: str, side: Side, size: int, price: int) -> list[Fill]:
        fills: list[Fill] = []
        while size:
            facing = sorted((o for o in self.resting if o[2] != side), key=lambda o: (side * o[3], o[0]))
            if not facing or side * facing[0][3] > side * price:
                break
            best = facing[0]
            self.resting.remove(best)
            if best[1] == account:
                continue
            taken = min(size, best[4])
            fills.append(Fill(best[1], account, side * taken, best[3]))
            size -= taken
            if best[4] > taken:
                self.resting.append((*best[:4], best[4] - taken))
        if size:
            self.arrivals += 1
            self.resting.append((self.arrivals, account, side, price, size))
        return fills

    def depth(self, side: Side) -> tuple[tuple[int, int], ...]:
        prices = sorted({o[3] for o in self.resting if o[2] == side}, reverse=side == BUY)
        return tuple((p, sum(o[4] for o in self.resting if o[2] == side and o[3] == p)) for p in prices)


ORDERS = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.sampled_from([BUY, SELL]),
        st.integers(1, 9).map(lambda n: n * LOT),
        st.integers(18, 23).map(lambda n: n * TICK),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(ORDERS)
def test_engine__any_orders__fills_and_book_are_those_of_the_sorted_list(
    orders: list[tuple[str, Side, int, int]],
) -> None:
    """Price before time, at the resting price, never with oneself."""
    engine, slow = MatchingEngine(TICK, LOT), SlowBook()
    for account, side, size, price in orders:
        placed = engine.limit(account, side, size, price)
        assert list(placed.fills) == slow.limit(account, side, size, price)
        assert engine.depth(BUY, 99) == slow.depth(BUY)
        assert engine.depth(SELL, 99) == slow.depth(SELL)


@settings(max_examples=100, deadline=None)
@given(ORDERS)
def test_engine__any_orders__what_is_placed_is_filled_rests_or_was_taken_back(
    orders: list[tuple[str, Side, int, int]],
) -> None:
    """Nothing is created or lost, and the book is never crossed."""
    engine = MatchingEngine(TICK, LOT)
    for account, side, size, price in orders:
        own_before = sum(o.size_e18 for o in engine.resting(account))
        others_before = _total(engine) - own_before
        placed = engine.limit(account, side, size, price)
        filled = sum(abs(f.taker_delta_e18) for f in placed.fills)
        own_after = sum(o.size_e18 for o in engine.resting(account))
        assert filled + placed.left_e18 == size
        assert _total(engine) - own_after == others_before - filled
        assert own_after <= own_before + placed.left_e18
        bid, ask = engine.best(BUY), engine.best(SELL)
        assert bid is None or ask is None or bid < ask


def test_post__price_would_cross__nothing_rests_and_nothing_trades() -> None:
    engine = MatchingEngine(TICK, LOT)
    engine.post("a", SELL, LOT, 100)
    assert engine.post("b", BUY, LOT, 100) is None
    assert engine.post("b", BUY, LOT, 95) is not None
    assert (engine.depth(BUY), engine.depth(SELL)) == (((95, LOT),), ((100, LOT),))


def test_market__worst_price_given__takes_no_level_beyond_it() -> None:
    engine = MatchingEngine(TICK, LOT)
    for price in (100, 105, 110):
        engine.post("a", SELL, LOT, price)
    placed = engine.market("b", BUY, 3 * LOT, worst_e18=105)
    assert [f.price_e18 for f in placed.fills] == [100, 105]
    assert (placed.left_e18, placed.order_id, engine.best(SELL)) == (LOT, None, 110)


def test_cancel__order_filled_or_unknown__says_so() -> None:
    engine = MatchingEngine(TICK, LOT)
    resting = engine.post("a", SELL, LOT, 100)
    assert resting is not None
    engine.market("b", BUY, LOT)
    assert not engine.cancel(resting)
    engine.post("a", SELL, LOT, 100)
    engine.post("a", BUY, LOT, 50)
    assert (engine.cancel_all("a"), engine.cancel_all("a"), engine.depth(SELL)) == (2, 0, ())


@pytest.mark.parametrize(("size", "price"), [(0, 100), (-10, 100), (15, 100), (10, 0), (10, 101)])
def test_limit__size_or_price_off_the_grid__is_refused(size: int, price: int) -> None:
    with pytest.raises(OrderError):
        MatchingEngine(TICK, LOT).limit("a", BUY, size, price)


def _total(engine: MatchingEngine) -> int:
    return sum(size for side in SIDES for _, size in engine.depth(side, 99))
