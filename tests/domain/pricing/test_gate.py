"""The liquidation gate: each doubt shuts it, confirmation reopens it, a confirmed crash does not keep it shut."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.confirmation import Confirmation
from keeper.domain.gate import Doubt, Gate, GateInputs, GateState, Open, PriceRange, Shut, widened
from keeper.domain.index import IndexFlag, IndexPrice, Withheld, WithheldReason
from keeper.domain.time import SECOND, Timestamp
from tests.domain.pricing.builders import BTC, LAW, NOW, after, index

GATE = Gate(
    min_sources=3,
    max_mark_age_ns=10 * SECOND,
    max_dispersion_bps=200,
    max_move_bps=200,
    confirmation=Confirmation(3 * SECOND, 3, 2, 100),
)


def seen(
    price: IndexPrice | Withheld, at_s: float, mark_age_s: int | None = 0, held: bool = False, paused: bool = False
) -> GateInputs:
    mark = None if mark_age_s is None else after(at_s) // SECOND - mark_age_s
    return GateInputs(price, mark, held, paused)


def settle(gate: Gate, price: str = "100", until_s: int = 3) -> GateState:
    state = gate.start()
    for second in range(until_s + 1):
        state, outcome = gate.step(state, seen(index(price), second), after(second))
    assert isinstance(outcome, Open)
    return state


def test_gate__start__is_shut_until_confirmed() -> None:
    state, found = GATE.start(), []
    for second in (0, 1, 2, 3, 4):
        state, outcome = GATE.step(state, seen(index(100), second), after(second))
        found.append(outcome)
    assert found == [Shut((Doubt.CONFIRMING,), NOW)] * 3 + [Open(after(3))] * 2
    assert state.shut_ns == 3 * SECOND


WITHHELD = Withheld(BTC, WithheldReason.SOURCES, "", NOW)
FOUR = {"a:USD": 100, "b:USD": 100, "c:USDT": 100}


@pytest.mark.parametrize(
    ("inputs", "doubts"),
    [
        (seen(WITHHELD, 4), (Doubt.WITHHELD,)),
        (seen(index(100, {"a:USD": 100, "b:USDT": 100}), 4), (Doubt.SOURCES,)),
        (seen(index(100, FOUR | {"d:USD": "102.01"}), 4), (Doubt.DISPERSED,)),
        (seen(index(100, FOUR | {"d:USD": "102"}), 4), ()),
        (seen(index(100), 4, held=True), (Doubt.HELD,)),
        (seen(replace(index(100), flags=(IndexFlag.ONE_SOURCE,)), 4), (Doubt.DEGRADED,)),
        (seen(replace(index(100), flags=(IndexFlag.GROUPS_APART,)), 4), (Doubt.DEGRADED,)),
        (seen(replace(index(100), flags=(IndexFlag.PEG_ALERT,)), 4), ()),
        (seen(index(100), 4, mark_age_s=None), (Doubt.STALE_MARK,)),
        (seen(index(100), 4, mark_age_s=11), (Doubt.STALE_MARK,)),
        (seen(index(100), 4, mark_age_s=10), ()),
        (seen(index(100), 4, mark_age_s=-11), (Doubt.STALE_MARK,)),
        (seen(index(100), 4, paused=True), (Doubt.PAUSED,)),
        (seen(index("102.01"), 4), (Doubt.MOVED,)),
        (seen(index("102"), 4), ()),
        (seen(index("97.99"), 4), (Doubt.MOVED,)),
        (
            seen(WITHHELD, 4, mark_age_s=None, held=True, paused=True),
            (Doubt.PAUSED, Doubt.WITHHELD, Doubt.HELD, Doubt.STALE_MARK),
        ),
        (seen(index("90"), 4, held=True), (Doubt.HELD, Doubt.MOVED)),
    ],
)
def test_gate__each_doubt__shuts_it_at_once(inputs: GateInputs, doubts: tuple[Doubt, ...]) -> None:
    _, outcome = GATE.step(settle(GATE), inputs, after(4))
    assert outcome == (Shut(doubts, after(4)) if doubts else Open(after(3)))


def test_gate__doubt_gone__reopens_by_confirmation_and_counts_the_time_shut() -> None:
    state = settle(GATE)
    state, _ = GATE.step(state, seen(WITHHELD, 4), after(4))
    opened_at = None
    for second in range(5, 10):
        state, outcome = GATE.step(state, seen(index(100), second), after(second))
        if isinstance(outcome, Open) and opened_at is None:
            opened_at = second
        elif opened_at is None:
            assert outcome == Shut((Doubt.CONFIRMING,), after(4))
    assert opened_at == 8
    assert state.shut_ns == (3 + 4) * SECOND


def test_gate__short_doubt_soon_after_a_confirmation__does_not_profit_from_the_trust() -> None:
    state = settle(GATE)
    state, _ = GATE.step(state, seen(WITHHELD, 3.5), after(3.5))
    _, outcome = GATE.step(state, seen(index(100), 4), after(4))
    assert isinstance(outcome, Shut)


def test_gate__confirmed_move__reopens_though_the_minute_still_shows_it() -> None:
    state, found = settle(GATE), []
    for second in range(4, 12):
        state, outcome = GATE.step(state, seen(index(80), second), after(second))
        found.append(isinstance(outcome, Open))
    assert found == [False] * 3 + [True] * 5


def test_gate__crash_that_goes_on__is_not_asked_again_at_every_tick() -> None:
    """−20 % over ten seconds: shut for one confirmation, then open all the way down."""
    state, found = settle(GATE), []
    for tick in range(40):
        at = 4 + tick / 4
        price = f"{100 - 20 * tick / 40:.4f}"
        state, outcome = GATE.step(state, seen(index(price), at), after(at))
        found.append(isinstance(outcome, Open))
    first_shut, reopened = found.index(False), found.index(True, found.index(False))
    assert (reopened - first_shut) / 4 == 3
    assert all(found[reopened:])


def test_gate__rebound_right_after__is_a_move_of_its_own() -> None:
    state = settle(GATE)
    for second in range(4, 9):
        state, outcome = GATE.step(state, seen(index(80), second), after(second))
    assert isinstance(outcome, Open)
    _, outcome = GATE.step(state, seen(index(90), 9), after(9))
    assert outcome == Shut((Doubt.MOVED,), after(9))


def test_gate__slow_drift__stays_open() -> None:
    """−10 % over ten minutes is 1 % a minute."""
    state = settle(GATE)
    for second in range(4, 604):
        price = f"{100 - 10 * (second - 4) / 600:.6f}"
        state, outcome = GATE.step(state, seen(index(price), second), after(second))
        assert isinstance(outcome, Open)
    assert len(state.window) <= 13


def test_widened__keeps_a_minute_of_extremes() -> None:
    window: tuple[PriceRange, ...] = ()
    for at_s, price in [(0, 5), (1, 3), (2, 4), (5, 9), (61, 7)]:
        window = widened(window, price, after(at_s))
    start = NOW // SECOND
    assert window == (PriceRange(start, 3, 5), PriceRange(start + 5, 9, 9), PriceRange(start + 60, 7, 7))
    assert widened(window, 1, after(65)) == (*window[1:], PriceRange(start + 65, 1, 1))


DOUBTFUL = st.tuples(st.integers(1, 3000), st.integers(95, 105), st.integers(2, 4), st.booleans(), st.integers(0, 15))


@LAW
@given(ticks=st.lists(DOUBTFUL, min_size=1, max_size=40))
def test_gate__any_history__open_never_with_a_doubt_and_shut_time_adds_up(
    ticks: list[tuple[int, int, int, bool, int]],
) -> None:
    state, now, shut, was_open, before = GATE.start(), int(NOW), 0, True, int(NOW)
    for wait_ms, price, sources, held, mark_age_s in ticks:
        now += wait_ms * 1_000_000
        votes = {f"v{n}:{'USD' if n % 2 else 'USDT'}": price for n in range(sources)}
        spot = index(price, votes, at=Timestamp(now))
        state, outcome = GATE.step(state, GateInputs(spot, now // SECOND - mark_age_s, held), Timestamp(now))
        if not was_open:
            shut += now - before
        was_open, before = isinstance(outcome, Open), now
        if isinstance(outcome, Open):
            assert sources >= 3
            assert not held
            assert now - (now // SECOND - mark_age_s) * SECOND <= 10 * SECOND
        assert state.is_open is isinstance(outcome, Open)
        assert state.shut_ns == shut
