"""Other venues' perpetuals: judged, converted, weighted, seen by the mark and kept in the record."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from keeper.domain.ids import SourceId
from keeper.domain.index import IndexPrice, SourceSpec
from keeper.domain.mark import MARK_METHODS
from keeper.domain.mark.method import MarkFlag, Reference
from keeper.domain.mark.references import references_of
from keeper.domain.mark.three_markets import middle_of
from keeper.domain.market import Marked, MarketFold, Seen, step
from keeper.domain.pricing import price_component
from keeper.domain.provenance import Decision, canonical_record
from keeper.domain.quote import Quote
from keeper.domain.recall import recall
from keeper.domain.screening import Refusal, Rejected
from keeper.domain.time import SECOND
from tests.domain.pricing.builders import NOW, after, board, e18, quote, usd
from tests.services.fakes import BTC
from tests.services.markets import plan_of, quotes_of

PERPS = (
    SourceSpec(SourceId("okx:BTC-USDT-SWAP"), "USDT", weight=2, max_age_ns=10 * SECOND),
    SourceSpec(SourceId("bybit:BTCUSDT"), "USD", weight=1, max_age_ns=10 * SECOND),
)
SPEC = usd("a", "b", "c")


def seen(*quotes: Quote, rate: int | Refusal = 99 * 10**16) -> tuple[Reference, ...]:
    return references_of(PERPS, board(*quotes), SPEC, {"USDT": rate}, NOW)


def test_references__are_converted_and_weighted() -> None:
    found = seen(quote("okx:BTC-USDT-SWAP", 100), quote("bybit:BTCUSDT", bid=100, ask="100.2"))
    assert found == (Reference(PERPS[0].source, e18(99), 2), Reference(PERPS[1].source, e18("100.1"), 1))
    assert middle_of(found) == e18(99)
    assert middle_of(()) is None


def test_references__old_crossed_wide_or_without_a_rate__are_left_out() -> None:
    good = quote("bybit:BTCUSDT", 100)
    for bad in (
        quote("okx:BTC-USDT-SWAP", 100, at=after(-10.001)),
        quote("okx:BTC-USDT-SWAP", bid=101, ask=100),
        quote("okx:BTC-USDT-SWAP", bid=90, ask=110),
        quote("okx:BTC-USDT-SWAP", 0),
    ):
        assert [each.source for each in seen(bad, good)] == ["bybit:BTCUSDT"]
    refused = Refusal(Rejected.PEG, "de-pegged")
    assert [each.source for each in seen(quote("okx:BTC-USDT-SWAP", 100), good, rate=refused)] == ["bybit:BTCUSDT"]
    assert seen() == ()


def marked(*perps: Quote, references: tuple[SourceSpec, ...] = PERPS[1:]) -> tuple[Any, Marked]:
    plan = plan_of(BTC, mark=MARK_METHODS["hyperliquid"](), references=references)
    quotes = quotes_of(BTC, 100, NOW) | board(*perps)
    indices = price_component((plan.spec,), quotes, {}, NOW)
    _, priced = step(plan, MarketFold(plan.mark.start()), Seen(quotes, indices, {}, None, None, None, False), NOW)
    assert priced.marked is not None
    return plan, priced.marked


def test_market__with_references__marks_by_them() -> None:
    _, found = marked(quote("bybit:BTCUSDT", 101))
    assert found.inputs.references == (Reference(PERPS[1].source, e18(101), 1),)
    assert found.mark.price_e18 == e18(101)
    assert MarkFlag.NO_REFERENCE not in found.mark.flags
    _, none = marked(references=())
    assert none.mark.price_e18 == e18(100)
    assert MarkFlag.NO_REFERENCE in none.mark.flags


def test_record__holds_the_references_with_their_quotes_and_reads_back_to_the_same_mark() -> None:
    plan, found = marked(quote("bybit:BTCUSDT", 101, observed=after(-1)))
    index = found.inputs.index
    assert isinstance(index, IndexPrice)
    quotes = quotes_of(BTC, 100, NOW) | board(quote("bybit:BTCUSDT", 101, observed=after(-1)))
    decision = Decision(found.entry, "c", "1", (index,), quotes, {}, found.inputs, found.mark, found.state_before)
    document = json.loads(canonical_record(decision))
    assert list(document) == sorted(document)
    (told,) = document["references"]
    assert (told["source"], told["price"], told["weight"]) == ("bybit:BTCUSDT", str(e18(101)), "1")
    assert told["quote"]["observed"] == str(after(-1))
    recalled = recall(document)
    assert recalled.references == found.inputs.references
    inputs = replace(found.inputs, references=recalled.references)
    assert plan.mark.step(plan.mark.restore(recalled.mark_state), inputs)[1] == found.mark
    del document["references"]
    assert recall(document).references == ()
