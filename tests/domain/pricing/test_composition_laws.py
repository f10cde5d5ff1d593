"""Laws of the composed index: order and scale do not matter, and the hostile stay where the method's promise puts them."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.caps import Caps
from keeper.domain.composition import Given, composed_price
from keeper.domain.ids import SourceId
from keeper.domain.index import IndexPrice, IndexSpec, SourceSpec, Withheld
from keeper.domain.index_methods import (
    ClampedWeightedMean,
    TrimmedMean,
    Vwap,
    WeightedMean,
    WeightedMedian,
)
from keeper.domain.index_state import START, IndexState, Traded
from keeper.domain.ladder import LADDERS, Ladder, Rung
from keeper.domain.outlier_rules import Clamp, Exclude, HalveThenExclude, KeepAll, ZeroWeight
from keeper.domain.quote import Quote
from tests.domain.pricing.builders import LAW, NOW, after, usd

FINE = 10**9
"""Prices are multiples of it, so that no rounding decides."""
THREE = ("a", "b", "c")
PLANS = [
    usd(*THREE, outliers=Clamp()),
    usd(*THREE, method=WeightedMean(), outliers=Exclude(return_s=5), ladder=LADDERS["okx"]),
    usd(*THREE, method=WeightedMedian("lower"), outliers=KeepAll(), caps=Caps(4000)),
    usd(*THREE, method=ClampedWeightedMean(), outliers=HalveThenExclude(300, 5), caps=Caps(5000)),
    usd(*THREE, method=TrimmedMean(), outliers=ZeroWeight(), ladder=LADDERS["bitmex"]),
    usd(*THREE, method=Vwap(), caps=Caps(4000), ladder=Ladder(Rung.WITHHOLD)),
]
WATCHED = IndexState({SourceId("v0:X"): after(-3)}, after(-1), after(-1))
"""The outlier rule has had an eye on the first for a while."""
PRICES = st.lists(st.integers(9_700, 10_300) | st.integers(1, 10**6), min_size=1, max_size=9)
WEIGHTS = st.lists(st.integers(1, 20), min_size=9, max_size=9)


def priced(
    plan: IndexSpec,
    prices: list[int],
    weights: list[int],
    order: list[int],
    scale: int = FINE,
    state: IndexState = WATCHED,
) -> IndexPrice | Withheld:
    """Vote number n at `prices[n]`, spelled in `order`."""
    sources = tuple(
        SourceSpec(SourceId(f"v{n}:X"), "USD" if n % 3 else plan.quote, weights[n]) for n in order if n < len(prices)
    )
    quotes = {
        source.source: Quote(source.source, NOW, NOW, last_e18=prices[n] * scale)
        for source, n in zip(sources, order, strict=True)
    }
    traded = {name: Traded(each.last_e18 or 0, 10**18 * (len(name) + 1)) for name, each in quotes.items()}
    short = len(prices) < 3
    spec = replace(plan, sources=sources if not short else (*sources, *usd("x", "y", "z").sources))
    return composed_price(spec, quotes, {}, Given(10_000 * scale, state, traded), NOW)


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.method.name)
@LAW
@given(prices=PRICES, weights=WEIGHTS, seed=st.integers(0, 2**32))
def test_composed__any_order_of_sources__same_outcome(
    plan: IndexSpec, prices: list[int], weights: list[int], seed: int
) -> None:
    order = list(range(len(prices)))
    shuffled = order[:]
    random.Random(seed).shuffle(shuffled)
    one, other = priced(plan, prices, weights, order), priced(plan, prices, weights, shuffled)
    assert type(one) is type(other)
    if isinstance(one, IndexPrice) and isinstance(other, IndexPrice):
        assert (one.price_e18, one.flags) == (other.price_e18, other.flags)
        low, high = min(*prices, 10_000), max(*prices, 10_000)
        assert low * FINE <= one.price_e18 <= high * FINE
    if one.fold is not None and other.fold is not None:
        assert one.fold.after == other.fold.after


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.method.name)
@LAW
@given(prices=PRICES, weights=WEIGHTS, scale=st.integers(1, 10**6))
def test_composed__scaled_market__same_votes_and_the_price_scaled(
    plan: IndexSpec, prices: list[int], weights: list[int], scale: int
) -> None:
    order = list(range(len(prices)))
    one, other = priced(plan, prices, weights, order), priced(plan, prices, weights, order, FINE * scale)
    assert [vote.source for vote in one.inputs] == [vote.source for vote in other.inputs]
    if isinstance(one, IndexPrice) and isinstance(other, IndexPrice):
        assert abs(other.price_e18 - one.price_e18 * scale) <= 3 * scale
    else:
        assert isinstance(one, Withheld)
        assert isinstance(other, Withheld)
        assert one.reason is other.reason


@pytest.mark.parametrize("rule", [None, KeepAll(), Clamp(), Exclude(), HalveThenExclude()], ids=str)
@LAW
@given(
    honest=st.lists(st.tuples(st.integers(99_800, 100_200), st.integers(1, 20)), min_size=3, max_size=6),
    hostile=st.lists(st.tuples(st.integers(1, 10**7), st.integers(1, 20)), max_size=5),
)
def test_weighted_median__hostile_below_half_of_the_weight__stays_in_the_honest_range_under_every_rule(
    rule: Clamp | None, honest: list[tuple[int, int]], hostile: list[tuple[int, int]]
) -> None:
    budget, told = sum(weight for _, weight in honest) - 1, list(honest)
    for price, weight in hostile:
        if weight <= budget:
            budget -= weight
            told.append((price, weight))
    plan = replace(usd(*THREE, method=WeightedMedian()), outliers=rule)
    prices, weights = [price for price, _ in told], [weight for _, weight in told]
    found = priced(plan, prices, weights, list(range(len(told))), state=START)
    if isinstance(found, IndexPrice):
        low, high = min(price for price, _ in honest), max(price for price, _ in honest)
        assert low * FINE <= found.price_e18 <= high * FINE


@LAW
@given(
    honest=st.lists(st.integers(99_900, 100_100), min_size=3, max_size=6),
    hostile=st.integers(1, 10**7),
    weight=st.integers(1, 10**6),
)
def test_capped_mean__one_hostile_venue__moves_it_by_no_more_than_its_share_of_the_clamp(
    honest: list[int], hostile: int, weight: int
) -> None:
    """However much weight it claims: a cap of 35 % and a clamp of 300 bps leave 105, beyond the spread of the honest.

    The cap binds its say about the centre too: with half of the weight it would be the centre, and the honest outliers.
    """
    plan = usd(*THREE, method=WeightedMean(), outliers=Clamp(300), caps=Caps(3500))
    sources = tuple(SourceSpec(SourceId(f"h{n}:X"), "USD") for n in range(len(honest)))
    prices = [*honest, hostile]
    spec = replace(plan, sources=(*sources, SourceSpec(SourceId("bad:X"), "USD", weight)))
    quotes = {
        source.source: Quote(source.source, NOW, NOW, last_e18=price * FINE)
        for source, price in zip(spec.sources, prices, strict=True)
    }
    found = composed_price(spec, quotes, {}, Given(None, IndexState(), {}), NOW)
    assert isinstance(found, IndexPrice)
    low, high = min(honest), max(honest)
    assert low - high * 106 / 10_000 <= found.price_e18 / FINE <= high + high * 106 / 10_000
