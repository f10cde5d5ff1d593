"""Whatever a market went through, its record alone gives its price again, and no other."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.evidence import canonical_json
from keeper.domain.guard import Guard
from keeper.domain.ids import SourceId
from keeper.domain.index import IndexPrice, SourceSpec
from keeper.domain.mark import MARK_METHODS
from keeper.domain.mark.stepped import Stepped
from keeper.domain.market import MarketFold, MarketPlan, PricedMarket, Seen, step
from keeper.domain.premium import CarriedPremium
from keeper.domain.pricing import price_component
from keeper.domain.provenance import Occasion
from keeper.domain.recall import recall
from keeper.domain.recompute import recompute
from keeper.domain.time import MILLISECOND, Timestamp
from keeper.services.publishing import PublishingService
from tests.domain.pricing.builders import LAW, book, e18, quote, trade
from tests.services.fakes import BTC, START_S
from tests.services.markets import chain_state, plan_of
from tests.services.test_publishing import Stage

CHAIN = chain_state({1: 100, 2: 100})
NOTIONAL = e18(1_000)


def plan(mark: str) -> MarketPlan:
    found = plan_of(BTC, mark=MARK_METHODS[mark](), impact_notional_e18=NOTIONAL, config_hash="c0ffee")
    return replace(found, guard=Guard(200, found.guard.confirmation), book=SourceId("perp:x"))


Tick = tuple[int, int | None, int | None, int]
"""Price of the index in hundredths, of book and trade, and milliseconds since the tick before."""
PRICES = st.integers(9_700, 10_300)
TICKS = st.lists(
    st.tuples(PRICES, st.none() | PRICES, st.none() | PRICES, st.integers(1, 3_000)), min_size=1, max_size=12
)


def hundredth(number: int) -> str:
    return str(Decimal(number) / 100)


def walked(chosen: MarketPlan, ticks: list[Tick]) -> list[PricedMarket]:
    fold, found, last, now = MarketFold(chosen.mark.start()), [], {}, Timestamp(START_S * 10**9)
    for price, own, traded, gap in ticks:
        now = Timestamp(now + gap * MILLISECOND)
        sources = [spec.source for spec in chosen.spec.sources]
        quotes = {source: quote(source, hundredth(price + n), at=now) for n, source in enumerate(sources)}
        indices = price_component((chosen.spec,), quotes, last, now)
        depth = None if own is None else replace(book(hundredth(own)), received_at=now, observed_at=None)
        done = None if traded is None else replace(trade(hundredth(traded)), received_at=now, observed_at=None)
        fold, priced = step(chosen, fold, Seen(quotes, indices, dict(last), depth, done, CHAIN, False), now)
        if isinstance(priced.index, IndexPrice):
            last[chosen.spec.id] = priced.index.price_e18
        found.append(priced)
    return found


def service() -> PublishingService:
    return Stage().service


def record(priced: PricedMarket, by: PublishingService) -> dict[str, Any]:
    assert priced.marked is not None
    written = by._record(priced, priced.marked, Occasion(1, "deviation", 10, 5, 7), {}).canonical_json
    document: dict[str, Any] = json.loads(written)
    assert canonical_json(document) == written
    return document


@pytest.mark.parametrize("mark", ["median3", "ema_basis", "index"])
@LAW
@given(ticks=TICKS)
def test_recompute__from_its_record__gives_what_was_published(mark: str, ticks: list[Tick]) -> None:
    chosen, by = plan(mark), service()
    for priced in walked(chosen, ticks):
        if priced.marked is None:
            continue
        given_ = recall(record(priced, by))
        found = recompute(given_, chosen, (chosen.spec,))
        assert bool(found.held) == (priced.publishable is None)
        assert replace(found, held="").differences(given_) == ()


def with_references() -> tuple[MarketPlan, dict[str, Any]]:
    perps = tuple(SourceSpec(SourceId(f"perp{n}:BTC"), "USD") for n in range(2))
    chosen = replace(plan("hyperliquid"), references=perps)
    now = Timestamp(START_S * 10**9)
    quotes = {source.source: quote(source.source, 100, at=now) for source in chosen.spec.sources}
    quotes |= {perp.source: quote(perp.source, "100.5", at=now) for perp in perps}
    indices = price_component((chosen.spec,), quotes, {}, now)
    seen = Seen(quotes, indices, {}, None, None, CHAIN, False)
    _, priced = step(chosen, MarketFold(chosen.mark.start()), seen, now)
    return chosen, record(priced, service())


def test_recompute__references__are_made_of_their_quotes_again() -> None:
    chosen, document = with_references()
    assert recompute(recall(document), chosen, (chosen.spec,)).differences(recall(document)) == ()
    told = [dict(each, price=str(e18(101))) for each in document["references"]]
    forged = recall(document | {"references": told, "entry": document["entry"] | {"mark": str(e18(101))}})
    assert [each.split()[0] for each in recompute(forged, chosen, (chosen.spec,)).differences(forged)] == ["mark"]


def test_recompute__book_that_was_too_old_to_be_read__gives_no_premium() -> None:
    chosen, by = plan("index"), service()
    priced = walked(chosen, [(10_000, 10_200, None, 1_000)])[-1]
    given_ = recall(record(priced, by))
    assert given_.premium_e18 > 0
    assert recompute(given_, chosen, (chosen.spec,)).differences(given_) == ()
    old = replace(given_, book=replace(given_.book, received_at=Timestamp(given_.now - chosen.book_max_age_ns - 1)))
    assert [each.split()[0] for each in recompute(old, chosen, (chosen.spec,)).differences(old)] == ["premium"]


@pytest.mark.parametrize("mark", ["median3", "index"])
@LAW
@given(ticks=TICKS)
def test_recompute__of_a_mark_that_moves_by_steps__starts_from_the_state_before(mark: str, ticks: list[Tick]) -> None:
    chosen, by = plan(mark), service()
    chosen = replace(chosen, mark=Stepped(chosen.mark, max_step_bps=20, step_s=1))
    for priced in walked(chosen, ticks):
        if priced.marked is not None:
            given_ = recall(record(priced, by))
            found = recompute(given_, chosen, (chosen.spec,))
            assert replace(found, held="").differences(given_) == ()


def test_recompute__any_number_that_counts_is_another__says_which() -> None:
    chosen, by = plan("median3"), service()
    ticks: list[Tick] = [*[(10_000, 10_030, 10_005, 1_000)] * 30, (10_000, 10_020, 10_025, 500)]
    priced = walked(chosen, ticks)[-1]
    given_ = recall(record(priced, by))

    def found(**change: Any) -> tuple[str, ...]:
        altered = replace(given_, **change)
        return recompute(altered, chosen, (chosen.spec,)).differences(altered)

    assert found() == ()
    assert [each.split()[0] for each in found(index_e18=given_.index_e18 + 1)] == ["index"]
    assert [each.split()[0] for each in found(mark_e18=given_.mark_e18 - 1)] == ["mark"]
    assert [each.split()[0] for each in found(premium_e18=given_.premium_e18 + 1)] == ["premium"]
    middle = sorted(given_.quotes.values(), key=lambda each: each.last_e18 or each.bid_e18 or 0)[1]
    moved = replace(
        middle,
        **{
            name: value + 2
            for name in ("bid_e18", "ask_e18", "last_e18")
            if (value := getattr(middle, name)) is not None
        },
    )
    assert "index" in found(quotes={**given_.quotes, moved.source: moved})[0]
    assert found(quotes={}) == ("the index is withheld (sources: 0 of 3 sources)",)
    assert "mark" in " ".join(found(mark_state=chosen.mark.start().to_plain()))
    level = given_.index_e18 // 2
    jumped = given_.guard_before._replace(passed_e18=level, anchor_e18=level)
    assert "the guard holds it" in found(guard_before=jumped)[-1]
    assert found(guard_before=None) == ("its record tells nothing of the guard",)
    assert found(condition_before=None) == ("its record tells nothing of the market's condition",)
    assert found(book=None, carried=CarriedPremium(5, given_.now), mark_e18=0)[-1].startswith("premium")
