"""Whom to believe of several endpoints."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.chain import BlockRef, FeeMarket
from keeper.domain.endpoints import MAX_FUTURE_S, MAX_LAG_BLOCKS, median_fees, misplaced, outvoted
from keeper.domain.ids import Hash

NOW_S = 1_000_000


def tip(number: int, timestamp_s: int = NOW_S) -> BlockRef:
    return BlockRef(number, Hash("0xaa"), Hash("0xbb"), timestamp_s)


def judged(*numbers: int) -> list[int]:
    """The places of those that are not to be read from."""
    return sorted(misplaced({place: tip(number) for place, number in enumerate(numbers)}, NOW_S))


def test_misplaced__within_the_usual_lag__is_nobody() -> None:
    assert judged(100, 100 - MAX_LAG_BLOCKS, 101) == []


def test_misplaced__one_of_three_lags_or_runs_ahead__is_that_one() -> None:
    assert judged(100, 90, 101) == [1]
    assert judged(100, 1000, 101) == [1]
    assert judged(100, 1000, 90) == [1, 2]


def test_misplaced__of_two__the_one_behind() -> None:
    assert judged(100, 90) == [1]


def test_misplaced__alone__is_believed() -> None:
    assert judged(0) == []
    assert misplaced({"only": tip(5, NOW_S * 2)}, NOW_S) == {}
    assert misplaced({}, NOW_S) == {}


def test_misplaced__a_block_from_the_future__does_not_make_the_others_late() -> None:
    tips = {"liar": tip(1000, NOW_S + MAX_FUTURE_S + 1), "honest": tip(100)}
    assert misplaced(tips, NOW_S) == {"liar": "its newest block is from the future"}


@given(
    st.lists(st.integers(min_value=0, max_value=200), min_size=3, max_size=9), st.integers(min_value=0, max_value=10**9)
)
def test_misplaced__whatever_one_liar_says__of_agreeing_others_none_is_dropped(offsets: list[int], lie: int) -> None:
    honest = [10**6 + offset % (MAX_LAG_BLOCKS + 1) for offset in offsets]
    assert [place for place in judged(*honest, lie) if place < len(honest)] == []


def test_outvoted__the_minority__and_nobody_without_a_majority() -> None:
    one, other = Hash("0x01"), Hash("0x02")
    assert sorted(outvoted({"a": one, "b": other, "c": one})) == ["b"]
    assert outvoted({"a": one, "b": other}) == {}
    assert outvoted({"a": one}) == {}
    assert outvoted({}) == {}


@given(
    st.lists(st.integers(min_value=1, max_value=10**12), min_size=2, max_size=8),
    st.integers(min_value=0, max_value=10**30),
)
def test_median_fees__one_liar_among_three__stays_within_what_the_others_say(honest: list[int], lie: int) -> None:
    markets = {place: FeeMarket(fee, fee) for place, fee in enumerate([*honest, lie])}
    found = median_fees(markets)
    assert min(honest) <= max(found.base_fee_wei, min(honest))
    assert found.base_fee_wei <= max(honest)
    assert found.tip_wei <= max(honest)
