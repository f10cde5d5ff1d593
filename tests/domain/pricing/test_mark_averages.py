"""Averages by fixed tick, against hand-made arithmetic and the laws that they keep."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.mark.averages import Kind, TickAverage, TickState, restored_ticks
from keeper.domain.time import SECOND, Timestamp
from tests.domain.pricing.builders import LAW, NOW, after

KINDS: tuple[Kind, ...] = ("mean", "ema", "weighted")
SAMPLES = st.integers(-(10**20), 10**20)


def of(kind: Kind, samples: int = 30, every_s: int = 1, keep_s: int = 60) -> TickAverage:
    return TickAverage(kind, samples, every_s * SECOND, keep_s * SECOND, 30)


def run(average: TickAverage, samples: list[int | None], every_s: int = 1) -> TickState:
    state = TickState()
    for number, sample in enumerate(samples):
        state = average.step(state, sample, after(number * every_s))
    return state


def test_thirty_second_average__is_thirty_samples_of_two_thirty_firsts__and_not_a_time_constant_of_thirty() -> None:
    """After a step from 0 to 1 the past keeps (29/31)^n: half of it is gone in 10.4 s, where e^(−t/30) needs 20.8 s."""
    one = 10**18
    for seconds in (1, 10, 11, 30):
        left = 1 - Fraction(run(of("ema"), [0] + [one] * seconds).value or 0, one)
        assert abs(left - Fraction(29, 31) ** seconds) < Fraction(1, 10**15)
    half = [run(of("ema"), [0] + [one] * seconds).value or 0 for seconds in (10, 11)]
    assert half[0] < one // 2 < half[1]
    assert (run(of("ema"), [0, one]).value or 0) == 2 * one // 31


def test_weighted__constant_time__is_the_other_thirty_seconds() -> None:
    """Numerator and denominator decay with a time constant of 30 s: a half-life of 20.8 s once the average is old."""
    one = 10**18
    old = run(of("weighted"), [0] * 600)
    for seconds, below in ((20, True), (21, False)):
        state = old
        for number in range(seconds):
            state = of("weighted").step(state, one, after(600 + number))
        assert ((state.value or 0) < one // 2) is below


def test_weighted__young__is_the_decayed_mean_of_what_it_saw() -> None:
    """Two samples, one step of 3 s apart, time constant 150 s: (a · e^(−3/150) + b) / (e^(−3/150) + 1)."""
    average = TickAverage("weighted", 50, 3 * SECOND, 60 * SECOND, 30)
    state = run(average, [10**18, 3 * 10**18], every_s=3)
    past = 0.9801986733067553
    assert state.value == pytest.approx((past + 3) / (past + 1) * 10**18, rel=1e-7)


def test_mean__of_the_last_n_samples__forgets_the_oldest() -> None:
    average = of("mean", samples=3)
    assert run(average, [1]).value == 1
    assert run(average, [1, 2]).value == 1
    assert run(average, [1, 2, 3]).value == 2
    assert run(average, [1, 2, 3, 10]).value == 5
    assert run(average, [1, 2, 3, None]).value == 2
    assert run(average, [1, None, None, None, 8]).value == 8
    assert run(average, [1, None, None, None]).value is None


@pytest.mark.parametrize("kind", KINDS)
def test_average__ticks_that_nobody_looked_at__get_what_stood_before(kind: Kind) -> None:
    looked = run(of(kind), [5 * 10**18, 10**18, 10**18, 10**18, 3 * 10**18])
    state = of(kind).step(TickState(), 5 * 10**18, NOW)
    state = of(kind).step(state, 10**18, after(1))
    assert of(kind).step(state, 3 * 10**18, after(4)) == looked


@pytest.mark.parametrize("kind", KINDS)
@LAW
@given(samples=st.lists(SAMPLES, min_size=2, max_size=20), extra=st.lists(st.tuples(st.integers(1, 999), SAMPLES)))
def test_average__looked_at_more_often_within_its_ticks__is_the_same(
    kind: Kind, samples: list[int], extra: list[tuple[int, int]]
) -> None:
    average = of(kind, samples=5)
    one = other = TickState()
    for number, sample in enumerate(samples):
        one = average.step(one, sample, after(number))
        other = average.step(other, sample, after(number))
        for permille, seen in sorted(extra):
            other = average.step(other, seen, Timestamp(NOW + number * SECOND + permille * SECOND // 1000))
        assert one.value == other.value


@pytest.mark.parametrize("kind", KINDS)
@LAW
@given(samples=st.lists(st.none() | SAMPLES, min_size=1, max_size=40))
def test_average__any_samples__lies_between_them(kind: Kind, samples: list[int | None]) -> None:
    seen = [sample for sample in samples if sample is not None]
    value = run(of(kind, samples=7), samples).value
    if value is not None:
        assert min(seen) - len(samples) * 10 <= value <= max(seen) + 10


@pytest.mark.parametrize("kind", KINDS)
@LAW
@given(samples=st.lists(st.none() | SAMPLES, min_size=1, max_size=20), cut=st.integers(0, 20))
def test_average__written_down_and_read_back__goes_on_as_if_uninterrupted(
    kind: Kind, samples: list[int | None], cut: int
) -> None:
    average, state = of(kind, samples=6), TickState()
    for number, sample in enumerate(samples):
        if number == cut:
            state = restored_ticks(json.loads(json.dumps(state.to_plain())))
        state = average.step(state, sample, after(number))
    assert state == run(average, samples)


@pytest.mark.parametrize("kind", KINDS)
def test_average__longer_gap_than_it_keeps__begins_anew_and_averages_nothing_across(kind: Kind) -> None:
    state = run(of(kind), [10**18] * 40)
    kept = of(kind).step(state, None, after(39 + 60))
    assert kept.value is not None
    gone = of(kind).step(state, None, after(39 + 60.001))
    assert gone == TickState()
    fresh = of(kind).step(state, 9 * 10**18, after(39 + 60.001))
    assert fresh.value == 9 * 10**18
    assert not of(kind).is_warm(fresh)


@pytest.mark.parametrize("kind", KINDS)
def test_average__warm__after_three_tenths_of_its_samples(kind: Kind) -> None:
    assert not of(kind).is_warm(run(of(kind), [1] * 8))
    assert of(kind).is_warm(run(of(kind), [1] * 9))
    assert not of(kind).is_warm(run(of(kind), [1] * 8 + [None]))


@pytest.mark.parametrize("kind", KINDS)
def test_average__clock_steps_back__enters_nothing_twice(kind: Kind) -> None:
    state = run(of(kind), [10**18, 2 * 10**18])
    back = of(kind).step(state, 7 * 10**18, after(-5))
    assert back.value == state.value
    assert back.tick == after(-5) // SECOND


@pytest.mark.parametrize("kind", KINDS)
def test_average__clock_steps_back_by_a_year__begins_anew(kind: Kind) -> None:
    """What follows when it is set right again must not be a year of ticks."""
    state = run(of(kind), [10**18] * 40)
    back = of(kind).step(state, 3 * 10**18, after(-365 * 86_400))
    assert (back.value, back.seen) == (3 * 10**18, 1)
    right = of(kind).step(back, 5 * 10**18, after(40))
    assert (right.value, right.seen) == (5 * 10**18, 1)
