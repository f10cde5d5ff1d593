"""The method in a market's tick: folded, shown, recorded with its state; and nothing at all where none was chosen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from keeper.app.rates import shown_rate, traced_rate
from keeper.domain.ids import SourceId
from keeper.domain.market import MarketFold, MarketPlan, PricedMarket, Seen, step
from keeper.domain.pricing import price_component
from keeper.domain.provenance import Decision, canonical_record
from keeper.domain.rates import FUNDING_METHODS, presets
from keeper.domain.rates.fold import RatePlan
from keeper.domain.rates.method import RateInputs
from keeper.domain.rates.versions import Versions
from keeper.domain.recall import recall
from keeper.domain.time import SECOND, Timestamp
from tests.domain.pricing.builders import book, e18
from tests.services.fakes import BTC
from tests.services.markets import chain_state, plan_of, quotes_of

NOTIONAL = e18(1_000)
HOUR_S = 1_700_002_800
"""A boundary, so that the first look is the interval's first sample."""


def ticks(plan: MarketPlan, mids: Sequence[str | None], every_s: int = 1) -> tuple[MarketFold, list[PricedMarket]]:
    """The index stands at 100; the own book at these mids, a cent wide, or nowhere."""
    fold, seen = MarketFold(plan.mark.start()), []
    for number, mid in enumerate(mids):
        now = Timestamp((HOUR_S + number * every_s) * SECOND)
        quotes = quotes_of(plan.market, 100, now)
        indices = price_component((plan.spec,), quotes, {}, now)
        own = None if mid is None else book(mid, "0.01", now)
        chain = chain_state({1: 100, 2: 100}, at_s=HOUR_S)
        fold, priced = step(plan, fold, Seen(quotes, indices, {}, own, None, chain, False), now)
        seen.append(priced)
    return fold, seen


def chosen(name: str) -> MarketPlan:
    rates = RatePlan(Versions.always(FUNDING_METHODS[name]()), NOTIONAL)
    return plan_of(BTC, rates=rates, book=SourceId("perp:BTC"), impact_notional_e18=NOTIONAL)


def record_of(priced: PricedMarket) -> str:
    marked = priced.marked
    assert marked is not None
    return canonical_record(
        Decision(
            marked.entry,
            "c0ffee",
            "1.2.3",
            (priced.index, *priced.conversions()),
            priced.seen.quotes,
            priced.seen.last,
            marked.inputs,
            marked.mark,
            marked.state_before,
            marked.impact,
            marked.carried_before,
            rated=marked.rated,
        )
    )


def test_tick__without_a_method__folds_shows_and_records_nothing_of_it() -> None:
    fold, seen = ticks(replace(chosen("binance"), rates=None), ["100.1", "100.2"])
    marked = seen[-1].marked
    assert marked is not None
    assert fold.rates is None
    assert marked.rated is None
    assert shown_rate(marked) is traced_rate(marked) is None
    assert '"rates"' not in record_of(seen[-1])


def test_tick__with_a_method__shows_its_estimate_beside_the_chains() -> None:
    _, seen = ticks(chosen("hyperliquid"), ["100.11"] * 12, every_s=5)
    shown = traced_rate(seen[-1].marked)
    assert shown is not None
    assert shown["premium"] == "0.001"
    assert shown["rate"] == "0.0000625", "(0.1 % − 0.05 %) / 8"
    assert shown["interval_s"] == 3_600
    assert shown["flags"] == []
    assert shown["chain_boundary_s"] == shown["boundary_s"]
    assert shown["chain_rate"] is not None
    assert shown["state_before"]["method"] == "hyperliquid"
    assert shown_rate(None) is None


def test_tick__without_a_book__has_no_sample_and_says_so() -> None:
    _, seen = ticks(chosen("hyperliquid"), [None] * 3)
    shown = shown_rate(seen[-1].marked)
    assert shown is not None
    assert (shown["seen_bps"], shown["flags"], shown["rate"]) == (0, ["thin"], "0.0000125")


@pytest.mark.parametrize("name", sorted(FUNDING_METHODS))
def test_record__of_a_tick__computes_the_same_rate_again(name: str) -> None:
    """From the record and the configuration alone, in any state of any method."""
    plan = chosen(name)
    assert plan.rates is not None
    _, seen = ticks(plan, [None, "100.02", "100.3", None, "99.6", "99.7", "100.1"], every_s=37)
    for priced in seen:
        found = recall(json.loads(record_of(priced)))
        state = None if found.rate_state is None else plan.rates.restore(found.rate_state)
        inputs = RateInputs(found.now, found.index_e18, found.mark_e18, found.book, NOTIONAL)
        estimate = plan.rates.estimate(plan.rates.step(state, inputs), found.now)
        assert priced.marked is not None
        assert priced.marked.rated is not None
        assert estimate == priced.marked.rated.estimate
        assert estimate.charge.rate_e18 == found.rate_e18


def test_plan__of_a_method__has_its_name() -> None:
    assert RatePlan(Versions.always(presets.Okx())).name == "okx"
