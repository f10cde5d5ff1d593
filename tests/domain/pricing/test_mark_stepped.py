"""A limit of one update around a method that has none of its own."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.mark import MARK_METHODS
from keeper.domain.mark.index_only import IndexOnly
from keeper.domain.mark.median_of_three import MedianOfThree
from keeper.domain.mark.method import MarkFlag
from keeper.domain.mark.stepped import Stepped
from tests.domain.pricing.builders import LAW, after, book, e18, index, mark_inputs, trade

WITHOUT = ("median3", "ema_basis", "funding_fair", "index", "bitmex", "gate", "phemex", "bybit_inverse", "dydx_v4")


def path_of(method: Any, path: list[tuple[float, str]]) -> list[tuple[str, tuple[MarkFlag, ...]]]:
    state, found = method.start(), []
    for seconds, price in path:
        at = after(seconds)
        inputs = mark_inputs(index(price, at=at), book(price, at=at), trade(price, at=at), at=at)
        state, mark = method.step(state, inputs)
        assert method.restore(state.to_plain()) == state
        found.append((mark.price_e18, mark.flags))
    return found


def test_step__of_an_index__is_one_percent_per_update_however_often_it_is_looked_at() -> None:
    method = Stepped(IndexOnly(), max_step_bps=100, step_s=3)
    once = path_of(method, [(0, "100"), (1, "110"), (4, "110"), (7, "110")])
    often = path_of(method, [(0, "100"), (1, "110"), (1.2, "110"), (1.9, "110"), (4, "110"), (4.5, "110"), (7, "110")])
    assert [price for price, _ in once] == [e18(text) for text in ("100", "101", "102.01", "103.0301")]
    assert all(flags == (MarkFlag.STEPPED,) for _, flags in once[1:])
    assert often[-1] == once[-1]
    assert path_of(method, [(0, "100"), (1, "100.5")])[-1] == (e18("100.5"), ())
    assert path_of(method, [(0, "100"), (1, "90")])[-1] == (e18("99"), (MarkFlag.STEPPED,))


def test_step__against_the_bound_around_the_index__the_bound_wins() -> None:
    """median3 stays within 0.5 % of the index, whatever one update may do."""
    method = Stepped(MedianOfThree(), max_step_bps=100, step_s=3)
    price, flags = path_of(method, [(0, "100"), (3, "110")])[-1]
    assert price == e18("109.45")
    assert flags[-2:] == (MarkFlag.STEPPED, MarkFlag.CLAMPED)
    wide = Stepped(MedianOfThree(max_basis_bps=2000), max_step_bps=100, step_s=3)
    price, flags = path_of(wide, [(0, "100"), (3, "110")])[-1]
    assert (price, flags[-1]) == (e18("101"), MarkFlag.STEPPED)


def test_step__after_a_gap__limits_nothing() -> None:
    method = Stepped(IndexOnly(), max_step_bps=100, step_s=1)
    assert path_of(method, [(0, "100"), (61, "110")])[-1][0] == e18(110)
    assert path_of(method, [(0, "100"), (60, "110")])[-1][0] == e18(101)


def test_step__within_the_first_update__limits_nothing() -> None:
    """There is no mark before it; and the next one is held against the last of it."""
    method = Stepped(IndexOnly(), max_step_bps=100, step_s=3)
    found = path_of(method, [(1, "100"), (2, "110"), (3.9, "108"), (4, "120")])
    assert [price for price, _ in found] == [e18("100"), e18("110"), e18("108"), e18("109.08")]


@pytest.mark.parametrize("name", WITHOUT)
@LAW
@given(
    path=st.lists(st.tuples(st.integers(1, 40), st.integers(90, 110)), min_size=2, max_size=10),
    max_step_bps=st.integers(1, 500),
)
def test_step__of_any_method_without_one__is_never_larger_unless_the_index_asks(
    name: str, path: list[tuple[int, int]], max_step_bps: int
) -> None:
    inner: Any = MARK_METHODS[name]()
    method, now, told = Stepped(inner, max_step_bps=max_step_bps, step_s=1), 0, []
    for gap, price in path:
        now += gap
        told.append((float(now), str(price)))
    found, plain = path_of(method, told), path_of(inner, told)
    bound = getattr(inner, "max_basis_bps", None)
    for (before, _), (price, flags), (unlimited, _) in zip(found, found[1:], plain[1:], strict=False):
        assert (MarkFlag.STEPPED in flags) is (price != unlimited)
        if MarkFlag.CLAMPED not in flags:
            assert abs(price - before) * 10_000 <= max_step_bps * before
    if bound is not None:
        for (price, _), (_, spot) in zip(found, told, strict=True):
            assert abs(price - e18(spot)) * 10_000 <= bound * e18(spot)


def test_state__of_another_method__begins_anew_and_of_none_it_wrote_is_refused() -> None:
    method = Stepped(MedianOfThree(), max_step_bps=100)
    state, _ = method.step(method.start(), mark_inputs(index(100), book(100)))
    other = Stepped(IndexOnly(), max_step_bps=100)
    assert other.restore(state.to_plain()) == other.start()
    assert method.restore({}) == method.start()
    with pytest.raises(KeyError):
        method.restore({"average_e18": 1})


@pytest.mark.parametrize("options", [{"max_step_bps": 0}, {"max_step_bps": 10_000}, {"max_step_bps": 10, "step_s": 0}])
def test_step__impossible__is_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="max_step_bps"):
        Stepped(IndexOnly(), **options)
