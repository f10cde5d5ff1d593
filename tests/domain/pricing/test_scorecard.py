"""A source loses its vote by its record, and earns it back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.ids import SourceId
from keeper.domain.scorecard import FRESH, Look, ScoreRules, ScoreState, restored
from keeper.domain.time import SECOND, Timestamp

RULES = ScoreRules(memory_looks=60, warm_looks=20, readmit_ns=30 * SECOND)
SOURCES = tuple(SourceId(f"venue{number}:BTC") for number in range(6))
BAD = SOURCES[2]


def look(state: ScoreState, second: int, bad: dict[SourceId, Look], rules: ScoreRules = RULES) -> ScoreState:
    seen = [bad.get(source, Look(source, True, 1)) for source in SOURCES]
    return rules.step(state, seen, Timestamp(second * SECOND))


def over(seconds: range, bad: dict[SourceId, Look], state: ScoreState | None = None) -> ScoreState:
    state = state or ScoreState()
    for second in seconds:
        state = look(state, second, bad)
    return state


def test_good__all_along__nobody_is_benched() -> None:
    assert over(range(500), {}).benched == frozenset()


@pytest.mark.parametrize("seen", [Look(BAD, False, None), Look(BAD, False, 900), Look(BAD, True, 60)])
def test_bad__once_warm__is_benched_alone_and_earns_its_way_back(seen: Look) -> None:
    assert over(range(19), {BAD: seen}).benched == frozenset()
    benched = over(range(21), {BAD: seen})
    assert benched.benched == {BAD}
    assert over(range(21, 300), {BAD: seen}, benched).benched == {BAD}
    assert over(range(21, 51), {}, benched).benched == {BAD}
    back = over(range(21, 52), {}, benched)
    assert back.benched == frozenset()
    assert back.records[BAD] == FRESH


def test_way_back__interrupted__begins_anew() -> None:
    benched = over(range(25), {BAD: Look(BAD, False, None)})
    state = over(range(25, 50), {}, benched)
    state = look(state, 50, {BAD: Look(BAD, True, 51)})
    assert over(range(51, 80), {}, state).benched == {BAD}
    assert over(range(51, 83), {}, state).benched == frozenset()


@pytest.mark.parametrize("next_look", [300, 36, 5])
def test_way_back__nobody_looked_for_a_while__begins_anew(next_look: int) -> None:
    """A keeper that was down saw no good behaviour meanwhile, nor does a clock that is set prove any."""
    benched = over(range(21), {BAD: Look(BAD, False, None)})
    state = over(range(21, 26), {}, benched)
    assert state.records[BAD].good_since == 21 * SECOND
    again = over(range(next_look, next_look + 30), {}, state)
    assert again.benched == {BAD}
    assert look(again, next_look + 30, {}).benched == frozenset()


def test_everybody_bad__two_of_six_at_most_sit_out_and_the_worst_first() -> None:
    bad = {source: Look(source, True, 60 + number) for number, source in enumerate(SOURCES)}
    assert over(range(200), bad).benched == {SOURCES[5], SOURCES[4]}


def test_few_bad_looks__of_many__are_forgiven() -> None:
    state = ScoreState()
    for second in range(400):
        state = look(state, second, {BAD: Look(BAD, second % 3 != 0, 1)})
    assert state.benched == frozenset()
    assert 25 <= state.records[BAD].bad_pct <= 40


def test_misprint__of_a_hundred_times_the_price__is_one_look_and_no_record() -> None:
    for fit in (True, False):
        assert look(over(range(59), {}), 59, {BAD: Look(BAD, fit, 990_000)}).benched == frozenset()
        assert over(range(60, 200), {}, look(over(range(59), {}), 59, {BAD: Look(BAD, fit, 990_000)})).benched == set()


def test_memory__once_full__is_the_whole_of_it() -> None:
    """After 60 good looks, 29 bad ones are less than half of the last 60; weighing them by the warm-up would be more."""
    good = over(range(100), {})
    assert over(range(100, 120), {BAD: Look(BAD, False, None)}, good).records[BAD].bad_pct in range(27, 30)
    assert over(range(100, 141), {BAD: Look(BAD, False, None)}, good).benched == frozenset()
    assert over(range(100, 143), {BAD: Look(BAD, False, None)}, good).benched == {BAD}


def test_silence__however_long__is_no_record_and_no_way_back() -> None:
    silent = Look(BAD, None, None)
    assert over(range(900), {BAD: silent}).benched == frozenset()
    benched = over(range(25), {BAD: Look(BAD, False, None)})
    assert over(range(25, 900), {BAD: silent}, benched).benched == {BAD}
    broken = look(over(range(25, 50), {}, benched), 50, {BAD: silent})
    assert over(range(51, 80), {}, broken).benched == {BAD}


def test_bad__where_no_more_may_go__keeps_its_vote() -> None:
    def benched(least: int, groups: dict[SourceId, str]) -> frozenset[SourceId]:
        state = ScoreState()
        for second in range(100):
            seen = [Look(s, s not in SOURCES[:2], 1, groups.get(s, "USD")) for s in SOURCES]
            state = RULES.step(state, seen, Timestamp(second * SECOND), least)
        return state.benched

    assert benched(4, {}) == set(SOURCES[:2])
    assert len(benched(5, {})) == 1
    assert benched(6, {}) == frozenset()
    assert benched(4, {SOURCES[0]: "USDT"}) == {SOURCES[1]}  # the last witness of its currency
    assert len(benched(4, {SOURCES[0]: "USDT", SOURCES[1]: "USDT"})) == 1


def test_looks__oftener_than_due__change_nothing() -> None:
    once = look(ScoreState(), 1, {})
    again = RULES.step(once, [Look(BAD, False, None)], Timestamp(SECOND + SECOND // 2))
    assert again is once


@given(st.lists(st.tuples(st.booleans(), st.none() | st.integers(0, 10_000)), max_size=120))
def test_any_course__restored_in_between__goes_on_as_if_uninterrupted(course: list[tuple[bool, int | None]]) -> None:
    state = saved = ScoreState()
    for second, (used, apart) in enumerate(course):
        bad = {BAD: Look(BAD, used, apart)}
        state, saved = look(state, second, bad), restored(look(saved, second, bad).to_plain())
        assert state == saved
        record = state.records[BAD]
        assert 0 <= record.bad_pct <= 100
        assert record.apart_bps >= 0
        assert len(state.benched) <= 2


@pytest.mark.parametrize(
    "wrong", [{"most_benched_pct": 50}, {"warm_looks": 400}, {"bench_bad_pct": 0}, {"readmit_ns": 0}]
)
def test_rules__that_contradict__are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="need"):
        ScoreRules(**wrong)
