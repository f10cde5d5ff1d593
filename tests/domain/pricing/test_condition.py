"""What may be done with a price, by what is wrong with it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.condition import START, Cause, Condition, ConditionRules, ConditionState, Reading, restored_condition
from keeper.domain.time import SECOND, Timestamp

RULES = ConditionRules(full_sources=5, degraded_max_ns=60 * SECOND)
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
        (Reading(7, True, closed=True), Condition.DEGRADED, (Cause.CLOSED,)),
        (Reading(7, True, sequencer_down=True), Condition.DEGRADED, (Cause.SEQUENCER,)),
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
    opened = after([(0, closed), (200_000, closed), (200_001, Reading(1, False)), (200_060, Reading(1, False))])
    assert opened.condition is Condition.STALE  # the minute of the opening counts, not the weekend


def test_degraded__for_longer_than_allowed__liquidates_nobody_and_goes_on_publishing() -> None:
    few = Reading(4, True)
    early, late = after([(0, few), (60, few)]), after([(0, few), (61, few)])
    assert RULES.may_liquidate(early, at(60))
    assert not RULES.may_liquidate(late, at(61))
    assert (late.condition, late.publishes) == (Condition.DEGRADED, True)


def test_degraded__interrupted_by_worse__is_given_no_second_allowance() -> None:
    few = Reading(4, True)
    assert not RULES.may_liquidate(after([(0, few), (59, few), (60, Reading(1, False)), (61, few)]), at(61))
    assert RULES.may_liquidate(after([(0, few), (59, few), (60, GOOD), (61, few)]), at(61))


@pytest.mark.parametrize("reading", [Reading(7, True, closed=True), Reading(7, True, sequencer_down=True)])
def test_closed_or_without_sequencer__goes_on_publishing_and_liquidates_nobody(reading: Reading) -> None:
    state = after([(0, GOOD), (1, reading)])
    assert state.publishes
    assert not RULES.may_liquidate(state, at(1))


@pytest.mark.parametrize(
    ("reading", "publishes"),
    [
        (Reading(7, True, divergence_bps=299), True),
        (Reading(7, True, divergence_bps=300), False),
        (Reading(7, True, held=True), False),
        (Reading(2, False), False),
    ],
)
def test_limit__of_a_band_or_a_guard__is_never_published(reading: Reading, publishes: bool) -> None:
    assert after([(0, GOOD), (1, reading)]).publishes is publishes


def test_diverged__however_long__is_an_alert_and_uses_up_no_allowance() -> None:
    apart, few = Reading(7, True, divergence_bps=150), Reading(4, True, divergence_bps=150)
    state = after([(0, GOOD), (1, apart), (9_000, apart)])
    assert (state.condition, RULES.may_liquidate(state, at(9_000))) == (Condition.DEGRADED, True)
    assert RULES.may_liquidate(after([(0, GOOD), (1, apart), (9_000, apart), (9_001, few)]), at(9_001))
    assert not RULES.may_liquidate(after([(0, apart), (9_000, few), (9_061, few)]), at(9_061))


def test_bands__switched_off__a_contract_far_from_its_index_is_normal() -> None:
    rules = ConditionRules(alert_bps=None, halt_bps=None)
    assert after([(0, Reading(7, True, divergence_bps=2_000))], rules).condition is Condition.NORMAL


def test_halt__by_hand__lasts_until_the_operator_has_looked_and_returns_while_it_is_wrong() -> None:
    rules = ConditionRules(manual=True)
    far = Reading(7, True, divergence_bps=400)
    halted = after([(0, GOOD), (1, far), (2, GOOD), (9_000, GOOD)], rules)
    assert (halted.condition, halted.causes) == (Condition.HALT, (Cause.OPERATOR,))
    assert rules.step(rules.resumed(halted), GOOD, at(9_001)).condition is Condition.NORMAL
    assert rules.step(rules.resumed(halted), far, at(9_001)).condition is Condition.HALT
    normal = after([(0, GOOD)], rules)
    assert rules.resumed(normal) is normal


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
        far = (reading.divergence_bps or 0) >= (RULES.halt_bps or 0)
        if wrong or far:
            assert not RULES.may_liquidate(state, at(seconds))
        if far or reading.held or not reading.computed:
            assert not state.publishes
        assert RULES.step(restored_condition(before.to_plain()), reading, at(seconds)) == state
        assert (state.impaired_since is None) is (state.causes in ((), (Cause.DIVERGED,)))
        if before.condition is Condition.HALT and state.condition is not Condition.HALT:
            assert state.good_since is not None
            assert at(seconds) - state.good_since >= RULES.recover_ns
        assert (state.condition is Condition.NORMAL) is (not state.causes)


def test_restored__from_anything_else__is_refused() -> None:
    assert restored_condition(START.to_plain()) == START
    for plain in ({}, {**START.to_plain(), "condition": "FINE"}, {**START.to_plain(), "causes": ["weather"]}):
        with pytest.raises((KeyError, ValueError)):
            restored_condition(plain)


@pytest.mark.parametrize("wrong", [{"alert_bps": 400}, {"alert_bps": 0}, {"halt_after_ns": -1}, {"full_sources": -1}])
def test_rules__that_contradict__are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"need|must"):
        ConditionRules(**wrong)


def test_condition__clock_set_back__counts_from_then_on() -> None:
    """An hour ahead until then: neither is a halt an hour late, nor is anybody liquidated an hour longer."""
    gone = after([(3_600, GOOD), (3_601, Reading(2, False)), (1, Reading(2, False)), (61, Reading(2, False))])
    assert gone.condition is Condition.HALT
    few = after([(3_600, GOOD), (3_601, Reading(4, True)), (1, Reading(4, True)), (62, Reading(4, True))])
    assert not RULES.may_liquidate(few, at(62))
    good = after([(3_600, Reading(7, True, divergence_bps=300)), (3_601, GOOD), (1, GOOD), (11, GOOD)])
    assert good.condition is Condition.NORMAL


def test_condition__as_many_sources_as_it_wants__is_normal() -> None:
    assert after([(0, Reading(5, True))]).condition is Condition.NORMAL


def test_condition__since__is_when_it_began_whatever_else_is_found_meanwhile() -> None:
    few, flagged = Reading(4, True), Reading(7, True, flagged=True)
    assert after([(0, GOOD), (1, few), (2, flagged), (3, few)]).since == at(1)
    assert after([(0, few), (1, GOOD), (2, few)]).since == at(2)
