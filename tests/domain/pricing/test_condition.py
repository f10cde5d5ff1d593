"""What may be done with a price, by what is wrong with it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.condition import Cause, Condition, ConditionRules, ConditionState, Reading
from keeper.domain.time import SECOND, Timestamp

RULES = ConditionRules(full_sources=5)
GOOD = Reading(sources=7, computed=True, divergence_bps=3)
T0 = Timestamp(1_700_000_000 * SECOND)


def at(seconds: float) -> Timestamp:
    return Timestamp(T0 + round(seconds * SECOND))


def after(readings: list[tuple[float, Reading]], rules: ConditionRules = RULES) -> ConditionState:
    state = rules.start()
    for seconds, reading in readings:
        state = rules.step(state, reading, at(seconds))
    return state


@pytest.mark.parametrize(
    ("reading", "condition", "causes"),
    [
        (GOOD, Condition.NORMAL, ()),
        (Reading(4, True), Condition.DEGRADED, (Cause.FEW_SOURCES,)),
        (Reading(7, True, flagged=True), Condition.DEGRADED, (Cause.FLAGGED,)),
        (Reading(7, True, divergence_bps=100), Condition.DEGRADED, (Cause.DIVERGED,)),
        (Reading(7, True, divergence_bps=99), Condition.NORMAL, ()),
        (Reading(7, True, divergence_bps=300), Condition.HALT, (Cause.FAR_APART, Cause.DIVERGED)),
        (Reading(2, False), Condition.STALE, (Cause.WITHHELD,)),
        (Reading(7, True, held=True), Condition.STALE, (Cause.HELD,)),
        (Reading(0, False, closed=True), Condition.STALE, (Cause.CLOSED,)),
        (Reading(7, True, sequencer_down=True), Condition.STALE, (Cause.SEQUENCER,)),
        (Reading(4, True, held=True), Condition.STALE, (Cause.HELD, Cause.FEW_SOURCES)),
    ],
)
def test_condition__of_one_tick__is_the_worst_and_tells_all(
    reading: Reading, condition: Condition, causes: tuple[Cause, ...]
) -> None:
    found = after([(0, reading)])
    assert (found.condition, found.causes) == (condition, causes)


def test_start__before_any_price__is_stale_and_liquidates_nobody() -> None:
    assert not RULES.may_liquidate(RULES.start(), at(0))


def test_stale__for_a_minute__halts_and_comes_back_after_ten_good_seconds() -> None:
    bad = Reading(1, False)
    assert after([(0, GOOD), (1, bad), (60.9, bad)]).condition is Condition.STALE
    halted = [(0.0, GOOD), (1.0, bad), (61.0, bad)]
    assert after(halted).causes[0] is Cause.TOO_LONG
    assert after([*halted, (62, GOOD), (71.9, GOOD)]).causes == (Cause.RECOVERING,)
    assert after([*halted, (62, GOOD), (72, GOOD)]).condition is Condition.NORMAL
    assert after([*halted, (62, GOOD), (71, bad), (73, GOOD), (82, GOOD)]).condition is Condition.HALT


def test_closed__over_a_weekend__is_no_halt() -> None:
    closed = Reading(0, False, closed=True)
    assert after([(0, GOOD), *((hour * 3600, closed) for hour in range(1, 48))]).condition is Condition.STALE
    assert after([(0, closed), (200_000, closed), (200_001, GOOD)]).condition is Condition.NORMAL


def test_degraded__for_longer_than_allowed__liquidates_nobody_and_goes_on_publishing() -> None:
    few = Reading(4, True)
    early, late = after([(0, few), (60, few)]), after([(0, few), (61, few)])
    assert RULES.may_liquidate(early, at(60))
    assert not RULES.may_liquidate(late, at(61))
    assert late.condition is Condition.DEGRADED


readings = st.builds(
    Reading, st.integers(0, 9), st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.booleans(),
    st.none() | st.integers(0, 500),
)  # fmt: skip


@given(st.lists(st.tuples(st.floats(0.05, 90), readings), min_size=1, max_size=30))
def test_any_course__of_readings__nothing_is_liquidated_on_doubt_and_a_halt_lasts(
    course: list[tuple[float, Reading]],
) -> None:
    state, seconds = RULES.start(), 0.0
    for pause, reading in course:
        seconds += pause
        before, state = state, RULES.step(state, reading, at(seconds))
        wrong = not reading.computed or reading.held or reading.closed or reading.sequencer_down
        if wrong or (reading.divergence_bps or 0) >= RULES.halt_bps:
            assert not RULES.may_liquidate(state, at(seconds))
        if before.condition is Condition.HALT and state.condition is not Condition.HALT:
            assert state.good_since is not None
            assert at(seconds) - state.good_since >= RULES.recover_ns
        assert (state.condition is Condition.NORMAL) is (not state.causes)


@pytest.mark.parametrize("wrong", [{"alert_bps": 400}, {"alert_bps": 0}, {"halt_after_ns": -1}, {"full_sources": -1}])
def test_rules__that_contradict__are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"need|must"):
        ConditionRules(**wrong)
