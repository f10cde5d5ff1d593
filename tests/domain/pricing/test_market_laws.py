"""Laws of a market's whole tick, from quotes to gate: order and scale do not matter, a rate is of its own tick, liars stay out.

Prices are multiples of 1e15 and rates of 1e12, so that no rounding of a conversion decides.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.domain.confirmation import Confirmation
from keeper.domain.gate import Gate
from keeper.domain.guard import Guard, Held
from keeper.domain.ids import IndexId, MarketId, SourceId
from keeper.domain.index import INDEX_METHODS, IndexPrice, IndexSpec, PegSpec, SourceSpec, Withheld
from keeper.domain.index_methods import ClampedWeightedMean, IndexMethod, QuoteGroupMedian, TrimmedMean, WeightedMean
from keeper.domain.index_state import IndexState, Traded, restored_state
from keeper.domain.ladder import LADDERS
from keeper.domain.mark import MARK_METHODS
from keeper.domain.market import MarketFold, MarketPlan, PricedMarket, Seen, step
from keeper.domain.numbers import BPS, E18
from keeper.domain.outlier_rules import Exclude, HalveThenExclude, KeepAll
from keeper.domain.pricing import price_component
from keeper.domain.publishing import PublishPolicy
from keeper.domain.quote import Depth, Level, Quote
from keeper.domain.time import SECOND, Timestamp
from tests.domain.pricing.builders import BTC, LAW, NOW, OWN, USDT
from tests.services.fakes import SITE
from tests.services.markets import chain_state

UNIT = 10**15
"""A thousandth of a dollar."""
RATE = SourceId("r0:USDT-USD")
NAMES = (("a", "USD"), ("b", "USD"), ("c", "USDT"), ("d", "USDT"), ("e", "USD"))
MARKS = ("index", "ema_basis", "median3", "binance", "hyperliquid", "spot_twap")
FEW = settings(LAW, max_examples=20)


class Tick(NamedTuple):
    """Prices of the five sources in thousandths (of USD, of USDT), the rate in millionths, the own book's middle."""

    prices: tuple[int, ...]
    rate: int
    middle: int


TICKS = st.lists(
    st.builds(
        Tick,
        st.tuples(*[st.integers(95_000, 105_000)] * 5) | st.integers(95_000, 105_000).map(lambda price: (price,) * 5),
        st.integers(970_000, 1_030_000),
        st.integers(94_000, 106_000),
    ),
    min_size=1,
    max_size=6,
)


def specs(order: Sequence[int] = range(5)) -> tuple[IndexSpec, IndexSpec]:
    rate = IndexSpec(USDT, tuple(SourceSpec(SourceId(f"r{n}:USDT-USD"), "USD") for n in range(3)), min_quote_groups=1)
    sources = tuple(SourceSpec(SourceId(f"{NAMES[n][0]}:X"), NAMES[n][1], weight=n + 1) for n in order)
    peg = PegSpec(USDT, 98 * E18 // 100, 102 * E18 // 100)
    return rate, IndexSpec(BTC, sources, method=ClampedWeightedMean(), conversions={"USDT": peg})


def plan(mark: str, spec: IndexSpec, scale: int) -> MarketPlan:
    asked = Confirmation(confirm_ns=SECOND, quote_groups=2)
    return MarketPlan(
        MarketId("BTC-PERP"), 1, SITE, spec, MARK_METHODS[mark](), PublishPolicy(), Guard(200, asked),
        Gate(confirmation=asked), OWN, impact_notional_e18=10_000 * E18 * scale,
    )  # fmt: skip


def run(ticks: Sequence[Tick], mark: str, order: Sequence[int] = range(5), scale: int = 1) -> list[PricedMarket]:
    """A second between ticks. `scale` times every price of the asset, on chain too, and the depth asked for with it."""
    rate, spec = specs(order)
    wanted, last = plan(mark, spec, scale), dict[IndexId, int]()
    fold, chain, said = MarketFold(wanted.mark.start()), chain_state({1: str(100 * scale)}), []
    for number, tick in enumerate(ticks):
        now = Timestamp(NOW + number * SECOND)
        quotes = {SourceId(f"{NAMES[n][0]}:X"): _quote(f"{NAMES[n][0]}:X", tick.prices[n] * scale, now) for n in order}
        quotes |= {name: _quote(name, 0, now, tick.rate * 10**12) for name in (each.source for each in rate.sources)}
        middle, size = tick.middle * UNIT * scale, 10**9 * E18
        book = Depth(OWN, now, now, (Level(middle - scale, size),), (Level(middle + scale, size),))
        found = price_component((rate, spec), quotes, last, now)
        last |= {index: price.price_e18 for index, price in found.items() if isinstance(price, IndexPrice)}
        fold, priced = step(wanted, fold, Seen(quotes, found, dict(last), book, None, chain, False, (USDT,)), now)
        said.append(priced)
    return said


def _quote(source: str, thousandths: int, now: Timestamp, exact_e18: int | None = None) -> Quote:
    return Quote(SourceId(source), now, now, now, last_e18=thousandths * UNIT if exact_e18 is None else exact_e18)


def outcome(priced: PricedMarket) -> tuple[object, ...]:
    """What was decided, without prices."""
    index, guard = priced.index, priced.guard
    verdict = guard.reason if isinstance(guard, Held) else type(guard)
    why = index.reason if isinstance(index, Withheld) else index.flags
    refused = {each.source: each.reason for each in index.rejected}
    return why, refused, {vote.source for vote in index.inputs}, verdict, getattr(priced.gate, "reasons", ())


@pytest.mark.parametrize("mark", MARKS)
@FEW
@given(ticks=TICKS, seed=st.integers(0, 2**32))
def test_tick__sources_in_any_order__the_same_index_mark_premium_and_decisions(
    mark: str, ticks: list[Tick], seed: int
) -> None:
    order = list(range(5))
    random.Random(seed).shuffle(order)
    for one, other in zip(run(ticks, mark), run(ticks, mark, order), strict=True):
        assert outcome(one) == outcome(other)
        assert (one.marked and one.marked.entry) == (other.marked and other.marked.entry)


@pytest.mark.parametrize("mark", MARKS)
@FEW
@given(ticks=TICKS, scale=st.integers(2, 10**6))
def test_tick__all_prices_times_a_factor__index_and_mark_times_it_and_premium_and_decisions_the_same(
    mark: str, ticks: list[Tick], scale: int
) -> None:
    for one, other in zip(run(ticks, mark), run(ticks, mark, scale=scale), strict=True):
        assert outcome(one) == outcome(other)
        if one.marked is not None and other.marked is not None:
            small, large = one.marked.entry, other.marked.entry
            assert abs(large.index_e18 - small.index_e18 * scale) <= 10 * scale
            assert abs(large.mark_e18 - small.mark_e18 * scale) <= 1000 * scale
            assert abs(large.premium_e18 - small.premium_e18) <= 2


@FEW
@given(ticks=TICKS)
def test_conversion__at_every_tick__is_by_the_rate_of_that_tick_or_not_at_all(ticks: list[Tick]) -> None:
    for tick, priced in zip(ticks, run(ticks, "index"), strict=True):
        inside = 980_000 <= tick.rate <= 1_020_000
        converted = [vote for vote in priced.index.inputs if vote.spec.quote == "USDT"]
        assert inside or not converted
        for vote in converted:
            assert vote.rate_e18 == tick.rate * 10**12
            assert vote.price_e18 == vote.stated_e18 * tick.rate // 10**6
        (rate,) = priced.conversions()
        assert isinstance(rate, IndexPrice)
        assert (rate.price_e18, rate.as_of) == (tick.rate * 10**12, priced.as_of)


def test_conversion__rate_gone__is_not_by_the_rate_of_before() -> None:
    """Withheld in this tick: what is quoted in it has no price, however good the last rate was."""
    rate, spec = specs()
    quotes = {each.source: _quote(each.source, 100_000, NOW) for each in spec.sources}
    quotes |= {each.source: _quote(each.source, 0, NOW, E18) for each in rate.sources}
    before = price_component((rate, spec), quotes, {}, NOW)
    assert isinstance(before[BTC], IndexPrice)
    del quotes[RATE]
    found = price_component((rate, spec), quotes, {USDT: E18, BTC: 100 * E18}, NOW)
    assert isinstance(found[USDT], Withheld)
    assert isinstance(found[BTC], Withheld)
    assert {each.source: each.reason.value for each in found[BTC].rejected} == {
        "c:X": "unconverted",
        "d:X": "unconverted",
    }


# What each method promises of the honest range, through all of price_component

PROMISES: Mapping[str, int | None] = {
    "median": 0,
    "weighted_median": 0,
    "trimmed_mean": 0,
    "vwap": 0,
    "quote_group_median": 0,
    "clamped_weighted_mean": ClampedWeightedMean().clamp_bps,
    "weighted_mean": None,
}
"""By how much the honest range widens, in basis points; None: nothing is promised."""


def test_promises__every_method__has_one_or_says_that_it_has_none() -> None:
    assert set(PROMISES) == set(INDEX_METHODS)


@st.composite
def crowds(draw: st.DrawFn, method: IndexMethod) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Honest and hostile votes as price and weight; as many hostile as the method stands."""
    weights = st.just(1) if method.by_number else st.integers(1, 20)
    honest = draw(st.lists(st.tuples(st.integers(99_800, 100_200), weights), min_size=3, max_size=6))
    hostile = draw(st.lists(st.tuples(st.integers(1, 10**7), weights), max_size=6))
    number = method.trim if isinstance(method, TrimmedMean) else len(honest) - 1
    budget, kept = sum(weight for _, weight in honest) - 1, list[tuple[int, int]]()
    for price, weight in hostile[:number]:
        if weight <= budget:
            budget -= weight
            kept.append((price, weight))
    return honest, kept


@pytest.mark.parametrize("keep_all", [False, True], ids=("default rule", "nobody refused"))
@pytest.mark.parametrize("name", sorted(PROMISES))
@settings(LAW, max_examples=60)
@given(data=st.data())
def test_index__hostile_below_the_half__keeps_what_its_method_promises(
    name: str, keep_all: bool, data: st.DataObject
) -> None:
    """Whatever they say, with the default rule against outliers and with none at all: the promise is the method's."""
    method, widening = INDEX_METHODS[name](), PROMISES[name]
    honest, hostile = data.draw(crowds(method))
    told = data.draw(st.permutations([*honest, *hostile]))
    groups = ("USD", "USDT") if name == QuoteGroupMedian.name else ("USD",)
    sources = tuple(
        SourceSpec(SourceId(f"{group}{n}:X"), group, weight) for group in groups for n, (_, weight) in enumerate(told)
    )
    prices = {source.source: price * UNIT for source, (price, _) in zip(sources, told * len(groups), strict=True)}
    spec = IndexSpec(
        BTC, sources, method=method, min_quote_groups=len(groups), outliers=KeepAll() if keep_all else None
    )
    quotes = {source: Quote(source, NOW, NOW, NOW, last_e18=price) for source, price in prices.items()}
    traded = {each.source: Traded(prices[each.source], each.weight * E18) for each in sources}
    found = price_component((spec,), quotes, {}, NOW, {}, {BTC: traded})[BTC]
    assert isinstance(found, IndexPrice) or not keep_all, "nobody was refused"
    if isinstance(found, IndexPrice) and widening is not None:
        low, high = min(honest)[0] * UNIT, max(honest)[0] * UNIT
        assert low * (BPS - widening) // BPS <= found.price_e18 <= -(-high * (BPS + widening) // BPS)


# Indices with a memory

REMEMBERING: tuple[dict[str, Any], ...] = (
    {"outliers": Exclude(return_s=2), "method": WeightedMean()},
    {"outliers": HalveThenExclude(300, 2)},
    {"ladder": LADDERS["bitmex"], "outliers": Exclude(500, 200, 3)},
    {"ladder": LADDERS["okx"]},
)


@pytest.mark.parametrize("options", REMEMBERING, ids=("exclude", "halve", "both", "hold"))
@LAW
@given(
    ticks=st.lists(
        st.tuples(st.lists(st.none() | st.integers(60_000, 140_000), min_size=5, max_size=5), st.integers(1, 90)),
        min_size=2,
        max_size=8,
    ),
    cut=st.integers(0, 7),
)
def test_index_with_a_memory__restarted_on_the_way__gives_the_prices_of_an_uninterrupted_run(
    options: dict[str, Any], ticks: list[tuple[list[int | None], int]], cut: int
) -> None:
    spec = replace(
        IndexSpec(BTC, tuple(SourceSpec(SourceId(f"{n}:X"), "USD") for n in range(5)), min_quote_groups=1), **options
    )
    assert spec.remembers
    states: list[dict[IndexId, IndexState]] = [{}, {}]
    lasts: list[dict[IndexId, int]] = [{}, {}]
    now = NOW
    for number, (prices, wait_s) in enumerate(ticks):
        now = Timestamp(now + wait_s * SECOND)
        quotes = {
            SourceId(f"{n}:X"): _quote(f"{n}:X", price, now) for n, price in enumerate(prices) if price is not None
        }
        if number == cut and BTC in states[1]:
            states[1] = {BTC: restored_state(states[1][BTC].to_plain())}
        found = [
            price_component((spec,), quotes, last, now, state)[BTC] for last, state in zip(lasts, states, strict=True)
        ]
        assert found[0] == found[1]
        for price, last, state in zip(found, lasts, states, strict=True):
            assert price.fold is not None
            state[BTC] = price.fold.after
            if isinstance(price, IndexPrice):
                last[BTC] = price.price_e18
