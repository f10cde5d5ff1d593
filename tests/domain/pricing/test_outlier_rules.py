"""The rules beside the band: what each moves, refuses and remembers. Prices around 10000: one unit is one basis point."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.aggregation import middle
from keeper.domain.ids import SourceId
from keeper.domain.index_state import START, IndexState
from keeper.domain.outlier_rules import (
    Ballot,
    Clamp,
    Exclude,
    HalveThenExclude,
    Judgement,
    KeepAll,
    OutlierRule,
    ZeroWeight,
)
from keeper.domain.time import SECOND, Timestamp, nanos
from tests.domain.pricing.builders import LAW, NOW, after

A, B, C, D = (SourceId(name) for name in "abcd")


def ballots(**prices: int) -> list[Ballot]:
    return [Ballot(SourceId(name), price, 10) for name, price in prices.items()]


def judge(rule: OutlierRule, state: IndexState = START, at: Timestamp = NOW, **prices: int) -> Judgement:
    return rule.judge(ballots(**prices), middle(sorted(prices.values())) if prices else 0, state, at)


def left(found: Judgement) -> dict[str, tuple[int, int]]:
    return {str(ballot.source): (ballot.price_e18, ballot.weight) for ballot in found.kept}


def follow(rule: OutlierRule, ticks: list[tuple[float, dict[str, int]]]) -> list[set[str]]:
    """Who counts at each tick, given (seconds, prices)."""
    state, seen = START, []
    for seconds, prices in ticks:
        found = judge(rule, state, after(seconds), **prices)
        state = IndexState(found.watched, None, after(seconds))
        seen.append({str(ballot.source) for ballot in found.kept})
        assert {str(source) for source in found.refused} == set(prices) - seen[-1]
    return seen


def test_clamp__beyond_the_band__is_moved_to_its_edge() -> None:
    found = judge(Clamp(200), a=10_000, b=10_201, c=9_000, d=10_000)
    assert left(found) == {"a": (10_000, 10), "b": (10_200, 10), "c": (9_800, 10), "d": (10_000, 10)}
    assert not found.refused


def test_keep_all__keeps_all() -> None:
    assert left(judge(KeepAll(), a=1, b=10_000, c=10**9)) == {"a": (1, 10), "b": (10_000, 10), "c": (10**9, 10)}


def test_clamp__of_one_basis_point__is_a_choice() -> None:
    assert left(judge(Clamp(1), a=10_000, b=10_002, c=10_000))["b"] == (10_001, 10)


def test_every_rule__two_votes__judges_nobody() -> None:
    for rule in (KeepAll(), Clamp(), ZeroWeight(), Exclude(), HalveThenExclude()):
        found = judge(rule, a=10_000, b=20_000)
        assert {name: price for name, (price, _) in left(found).items()} == {"a": 10_000, "b": 20_000}
        assert (found.refused, found.by_median) == ({}, False)


@pytest.mark.parametrize(
    ("prices", "counted", "by_median"),
    [
        ({"a": 10_000, "b": 10_500, "c": 10_000}, "abc", False),
        ({"a": 10_000, "b": 10_501, "c": 10_000}, "ac", False),
        ({"a": 10_000, "b": 10_600, "c": 9_400, "d": 10_000}, "abcd", True),
    ],
)
def test_zero_weight__table(prices: dict[str, int], counted: str, by_median: bool) -> None:
    found = judge(ZeroWeight(500, 1), **prices)
    assert (set(left(found)), found.by_median) == (set(counted), by_median)


def test_exclude__bitmex_example__drops_the_one_and_keeps_the_rest() -> None:
    found = judge(Exclude(), a=150, b=100, c=100)
    assert set(left(found)) == {"b", "c"}
    assert found.watched == {A: None}
    assert "2500 bps from the median of 3" in found.refused[A]
    assert set(left(judge(Exclude(), a=125, b=100, c=100))) == {"a", "b", "c"}, "at the limit is not beyond it"


GOOD = {"a": 10_200, "b": 10_000, "c": 10_000}
OFF = {**GOOD, "a": 10_201}
FAR = {**GOOD, "a": 20_000}


def test_exclude__back_within_the_band__counts_after_exactly_the_time() -> None:
    minutes = [(60.0 * minute, GOOD) for minute in range(1, 16)]
    seen = follow(Exclude(), [(0, FAR), *minutes, (959.999999999, GOOD), (960, GOOD)])
    assert all("a" not in each for each in seen[:-1])
    assert "a" in seen[-1]


@pytest.mark.parametrize(
    "breach",
    [OFF, FAR, {"b": 10_000, "c": 10_000, "d": 10_000}, {"a": 10_000, "b": 10_000}],
    ids=["out of the band", "far", "absent", "too few to judge by"],
)
def test_exclude__any_break__starts_the_time_again(breach: dict[str, int]) -> None:
    rule = Exclude(return_s=100, unseen_s=50)
    ticks = [(0, FAR), (10, GOOD), (50, GOOD), (90, GOOD), (100, breach), (110, GOOD), (150, GOOD), (200, GOOD)]
    seen = follow(rule, [*ticks, (209, GOOD), (210, GOOD)])
    assert all("a" not in each for each in seen[:-1])
    assert "a" in seen[-1]


def test_exclude__nobody_looked_for_too_long__starts_the_time_again() -> None:
    """A restart in the middle is no proof that the source agreed meanwhile."""
    rule = Exclude(return_s=100, unseen_s=60)
    looked = [(0, FAR), (10, GOOD), (70, GOOD), (110, GOOD)]
    assert "a" in follow(rule, looked)[-1]
    asleep = [(0, FAR), (10, GOOD), (71, GOOD), (110, GOOD), (170, GOOD)]
    assert "a" not in follow(rule, asleep)[-1]
    assert "a" in follow(rule, [*asleep, (171, GOOD)])[-1]


@LAW
@given(return_s=st.integers(1, 2000), step_s=st.integers(1, 60))
def test_exclude__any_time_and_pace__readmits_at_the_first_look_after_it(return_s: int, step_s: int) -> None:
    count = -(-return_s // step_s)
    ticks = [(0.0, FAR), *((float(1 + step_s * number), GOOD) for number in range(count + 1))]
    seen = follow(Exclude(return_s=return_s), ticks)
    assert ["a" in each for each in seen] == [False] * (count + 1) + [True]


def test_halve_then_exclude__beyond__counts_half_at_the_edge_and_then_nothing() -> None:
    rule = HalveThenExclude(300, 30)
    first = judge(rule, a=10_400, b=10_000, c=10_000)
    assert left(first) == {"a": (10_300, 10), "b": (10_000, 20), "c": (10_000, 20)}
    assert first.watched == {A: NOW}
    state = IndexState(first.watched, None, NOW)
    just = judge(rule, state, Timestamp(NOW + nanos(30) - 1), a=10_400, b=10_000, c=10_000)
    assert "a" in left(just)
    gone = judge(rule, state, after(30), a=10_400, b=10_000, c=10_000)
    assert set(left(gone)) == {"b", "c"}
    assert gone.watched == {A: NOW}, "still watched: it stays out while it stays off"
    back = judge(rule, IndexState(gone.watched, None, after(30)), after(31), a=10_300, b=10_000, c=10_000)
    assert left(back)["a"] == (10_300, 20)
    assert back.watched == {}


def test_halve_then_exclude__out_when_only_two_are_left__stays_out_until_it_can_be_judged() -> None:
    """An hour off by 4 %: that another venue falls silent makes it no better."""
    rule, state = HalveThenExclude(300, 30), IndexState({A: NOW}, None, after(3_600))
    two = judge(rule, state, after(3_601), a=10_400, b=10_000)
    assert (set(left(two)), set(two.refused), two.watched) == ({"b"}, {A}, {A: NOW})
    just = judge(rule, IndexState({A: NOW}, None, after(29)), after(29), a=10_400, b=10_000)
    assert (left(just)["a"], just.watched) == ((10_400, 20), {}), "not out yet, and of two nobody is off"
    back = judge(rule, IndexState(two.watched, None, after(3_601)), after(3_602), a=10_100, b=10_000, c=10_000)
    assert left(back)["a"] == (10_100, 20)


def test_halve_then_exclude__clock_set_back__counts_from_then_on() -> None:
    rule = HalveThenExclude(300, 30)
    found = judge(rule, IndexState({A: after(3_600)}, None, NOW), NOW, a=10_400, b=10_000, c=10_000)
    assert found.watched == {A: NOW}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Clamp(0), "clamp_bps"),
        (lambda: ZeroWeight(10_000), "beyond_bps"),
        (lambda: ZeroWeight(500, 0), "max_deviating"),
        (lambda: Exclude(200, 300), "return_bps must not exceed beyond_bps"),
        (lambda: Exclude(return_s=-1), "return_s"),
        (lambda: Exclude(unseen_s=0), "unseen_s"),
        (lambda: HalveThenExclude(persist_s=-1), "persist_s"),
    ],
)
def test_rule__impossible_option__is_refused_by_name(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


PRICES = st.lists(st.integers(1, 10**6), min_size=1, max_size=9)


@pytest.mark.parametrize("rule", [KeepAll(), Clamp(), ZeroWeight(), Exclude(), HalveThenExclude()], ids=str)
@LAW
@given(prices=PRICES, age=st.integers(0, 100))
def test_every_rule__any_votes__accounts_for_each_and_moves_none_away_from_the_centre(
    rule: OutlierRule, prices: list[int], age: int
) -> None:
    votes = [Ballot(SourceId(f"v{number}"), price, 1) for number, price in enumerate(prices)]
    center = middle(sorted(prices))
    state = IndexState({votes[0].source: NOW}, None, Timestamp(NOW + age * SECOND))
    found = rule.judge(votes, center, state, after(age + 1))
    assert {each.source for each in found.kept} | set(found.refused) == {each.source for each in votes}
    assert not {each.source for each in found.kept} & set(found.refused)
    told = {each.source: each.price_e18 for each in votes}
    for each in found.kept:
        assert min(center, told[each.source]) <= each.price_e18 <= max(center, told[each.source])
        assert each.weight > 0
