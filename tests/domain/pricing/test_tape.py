"""What counts as traded within a window, to the nanosecond."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain import tape as module
from keeper.domain.ids import SourceId
from keeper.domain.index_methods import Vwap
from keeper.domain.index_state import Traded
from keeper.domain.quote import Trade
from keeper.domain.tape import Tape, Tapes
from keeper.domain.time import SECOND, Timestamp
from tests.domain.pricing.builders import BTC, LAW, NOW, after, e18, usd

A = SourceId("a")


def trade(price: int, size: int, at: float = 0, observed: float | None = None, name: str | None = None) -> Trade:
    seen = None if observed is None else after(observed)
    return Trade(A, after(at), seen, e18(price), e18(size), name)


def test_tape__trades__are_weighted_by_size() -> None:
    tape = Tape()
    tape.add(trade(100, 1))
    tape.add(trade(130, 2, at=1))
    assert tape.traded(after(1)) == Traded(e18(120), e18(3))


def test_tape__window__ends_to_the_nanosecond() -> None:
    tape = Tape(10 * SECOND)
    tape.add(trade(100, 1))
    tape.add(trade(200, 1, at=5))
    assert tape.traded(after(10)) == Traded(e18(150), e18(2))
    assert tape.traded(Timestamp(after(10) + 1)) == Traded(e18(200), e18(1))
    assert tape.traded(Timestamp(after(15) + 1)) is None


def test_tape__told_twice_or_of_long_ago__counts_not_again() -> None:
    """What a venue sends after a reconnect: its last trades, again."""
    tape = Tape(10 * SECOND)
    tape.add(trade(100, 1, name="1"))
    tape.add(trade(100, 1, at=1, name="1"))
    tape.add(trade(500, 9, at=1, observed=-9.1, name="0"))
    tape.add(trade(200, 1, at=1, observed=-9, name="2"))
    assert tape.traded(after(1)) == Traded(e18(150), e18(2))


def test_tape__trades_of_a_clock_that_was_ahead__count_no_more() -> None:
    tape = Tape(10 * SECOND)
    tape.add(trade(500, 9, at=3_600))
    tape.add(trade(100, 1))
    assert tape.traded(after(1)) == Traded(e18(100), e18(1))


def test_tape__without_price_or_size__counts_not() -> None:
    tape = Tape()
    tape.add(trade(0, 1))
    tape.add(trade(1, 0))
    assert tape.traded(NOW) is None


def test_tape__full__drops_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_TAPE", 2)
    tape = Tape()
    for price in (100, 200, 300):
        tape.add(trade(price, 1, name=str(price)))
    assert tape.traded(NOW) == Traded(e18(250), e18(2))


@LAW
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10**24), st.integers(1, 10**24)), max_size=30))
def test_tape__any_trades__sums_are_those_of_the_window(told: list[tuple[int, int, int]]) -> None:
    tape, trades, at = Tape(10 * SECOND), list[Trade](), 0
    for wait, price, size in told:
        at += wait
        trades.append(Trade(A, after(at), None, price, size))
        tape.add(trades[-1])
        counted = [each for each in trades if after(at) - each.received_at <= 10 * SECOND]
        value = sum(each.price_e18 * each.size_e18 for each in counted)
        volume = sum(each.size_e18 for each in counted)
        assert tape.traded(after(at)) == Traded(value // volume, volume)


def test_tapes__of_indices__are_those_that_go_by_trades() -> None:
    tapes = Tapes.of([usd("a", "b", "c", method=Vwap(5)), usd("a", "b", "c")])
    tapes.heard(A, trade(100, 2))
    tapes.heard(SourceId("z"), trade(100, 2))
    assert tapes.traded(NOW) == {BTC: {A: Traded(e18(100), e18(2))}}
    assert tapes.traded(after(6)) == {BTC: {}}
