"""A record holds enough to compute its prices again, bit for bit."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.confirmation import ConfirmationState
from keeper.domain.evidence import canonical_json
from keeper.domain.gate import Doubt, Open, Shut
from keeper.domain.guard import GuardState, Held, HeldReason, Pass
from keeper.domain.ids import IndexId, MarketId, SourceId
from keeper.domain.index import IndexPrice, IndexSpec, PegSpec, SourceSpec
from keeper.domain.index_methods import ClampedWeightedMean
from keeper.domain.mark import MARK_METHODS
from keeper.domain.mark.method import FundingEstimate, MarkInputs
from keeper.domain.premium import CarriedPremium, ImpactPrices, impact_prices, premium_of
from keeper.domain.pricing import price_component
from keeper.domain.provenance import Decision, Occasion, canonical_record
from keeper.domain.publishing import OnChain
from keeper.domain.quote import Depth, Quote, Trade
from keeper.domain.recall import Recalled, recall
from keeper.domain.report import MarketPrice
from keeper.domain.time import SECOND, Timestamp
from tests.domain.pricing.builders import BTC, LAW, NOW, USDT, after, book, e18, trade

RATE = IndexSpec(
    USDT, tuple(SourceSpec(SourceId(f"rate{n}"), "USD") for n in range(3)), min_quote_groups=1, allow_two=True
)
COIN = IndexSpec(
    BTC,
    (
        *(SourceSpec(SourceId(f"usd{n}"), "USD", weight=n + 1) for n in range(3)),
        *(SourceSpec(SourceId(f"usdt{n}"), "USDT") for n in range(4)),
    ),
    method=ClampedWeightedMean(),
    conversions={"USDT": PegSpec(USDT)},
)
MARK = MARK_METHODS["median3"]()
NOTIONAL = e18(1000)
GUARDED = GuardState(
    e18(19_990), e18(19_980), after(-2), after(-1), ConfirmationState(1, 2 * SECOND, after(-1), -1, after(4))
)


def decide(
    quotes: dict[SourceId, Quote],
    state: Any,
    own: Depth | None,
    last_trade: Trade | None,
    funding: FundingEstimate | None,
) -> Decision | None:
    last = {BTC: e18(20_000), USDT: e18(1)}
    priced = price_component((RATE, COIN), quotes, last, NOW)
    spot = priced[BTC]
    if not isinstance(spot, IndexPrice):
        return None
    inputs = MarkInputs(MarketId("BTC-USD"), spot, own, last_trade, funding, NOW)
    _, mark = MARK.step(state, inputs)
    impact = None if own is None else impact_prices(own, NOTIONAL)
    carried, premium = CarriedPremium(7, after(-5)).step(
        None if impact is None else premium_of(impact, spot.price_e18), NOW, 15 * SECOND
    )
    assert carried.sampled_at is not None
    entry = MarketPrice(MarketId("BTC-USD"), 1, spot.price_e18, mark.price_e18, premium)
    indices = (spot, priced[USDT])
    return Decision(
        entry,
        "c0ffee",
        "1.2.3",
        indices,
        quotes,
        last,
        inputs,
        mark,
        state.to_plain(),
        impact,
        CarriedPremium(7, after(-5)),
    )


def again(recalled: Recalled) -> tuple[int, int, int]:
    """Index, mark and premium from nothing but the record and the configuration."""
    spot = price_component((RATE, COIN), recalled.quotes, recalled.last, recalled.now)[BTC]
    assert isinstance(spot, IndexPrice)
    inputs = MarkInputs(recalled.market, spot, recalled.book, recalled.trade, recalled.funding, recalled.now)
    _, mark = MARK.step(MARK.restore(recalled.mark_state), inputs)
    impact = None if recalled.book is None else impact_prices(recalled.book, NOTIONAL)
    sample = None if impact is None else premium_of(impact, spot.price_e18)
    return spot.price_e18, mark.price_e18, recalled.carried.step(sample, recalled.now, 15 * SECOND)[1]


PRICES = st.integers(199 * 10**20, 201 * 10**20) | st.integers(1, 10**24)
AGES = st.integers(-3 * SECOND, 12 * SECOND)


@st.composite
def quotes(draw: st.DrawFn, source: str, prices: st.SearchStrategy[int]) -> Quote:
    bid, received = draw(prices), Timestamp(NOW - draw(AGES))
    return Quote(
        SourceId(source),
        received,
        received,
        draw(st.none() | AGES.map(lambda age: Timestamp(NOW - age))),
        bid_e18=draw(st.none() | st.just(bid)),
        ask_e18=draw(st.none() | st.integers(0, 10**20).map(lambda more: bid + more)),
        last_e18=draw(st.none() | prices),
        sequence=draw(st.none() | st.integers(0, 2**63)),
        frame_hash=draw(st.none() | st.just("0123456789abcdef")),
    )


@st.composite
def boards(draw: st.DrawFn) -> dict[SourceId, Quote]:
    """Most quotes good, some missing or faulty in any way."""
    found = {}
    for spec in (RATE, COIN):
        plain = e18(1) if spec is RATE else e18(20_000)
        for source in spec.sources:
            good = Quote(source.source, NOW, NOW, last_e18=plain, frame_hash="f" * 16)
            faulty = quotes(source.source, st.integers(98 * 10**16, 102 * 10**16) if spec is RATE else PRICES)
            quote = draw(st.just(good) | st.just(good) | st.none() | faulty)
            if quote is not None:
                found[source.source] = quote
    return found


@LAW
@given(
    told=boards(),
    warm=st.booleans(),
    own=st.none() | st.integers(19_900, 20_100).map(book),
    last=st.none() | st.integers(19_900, 20_100).map(trade),
    rate=st.none() | st.integers(-(10**16), 10**16),
)
def test_record__read_back__computes_the_same_prices(
    told: dict[SourceId, Quote], warm: bool, own: Depth | None, last: Trade | None, rate: int | None
) -> None:
    state = MARK.start()
    if warm:
        state = MARK.restore(
            {
                "average_e18": 10**15,
                "standing_e18": 10**14,
                "at": NOW - 1,
                "seen_at": NOW - 1,
                "covered_ns": 30 * SECOND,
            }
        )
    funding = None if rate is None else FundingEstimate(rate, 1_700_003_600, 3600)
    decision = decide(told, state, own, last, funding)
    if decision is None:
        return
    written = canonical_record(decision)
    document = json.loads(written)
    recalled = recall(document)
    entry = decision.entry
    assert again(recalled) == (entry.index_e18, entry.mark_e18, entry.premium_e18)
    assert (recalled.index_e18, recalled.mark_e18, recalled.premium_e18) == again(recalled)
    assert (recalled.book, recalled.trade, recalled.funding) == (own, last, funding)
    assert canonical_json(document) == written


def full() -> Decision:
    told = {
        source.source: Quote(
            source.source, NOW, NOW, NOW, last_e18=e18(1) if spec is RATE else e18(20_000), frame_hash="ab" * 8
        )
        for spec in (RATE, COIN)
        for source in spec.sources
    }
    told[SourceId("usd0")] = replace(told[SourceId("usd0")], last_e18=e18(200_000), frame_hash="cd" * 8)
    del told[SourceId("usdt0")]
    decision = decide(
        told,
        MARK.start(),
        book(20_010),
        replace(trade(20_005), frame_hash="ef" * 8),
        FundingEstimate(10**14, 1_700_003_600, 3600),
    )
    assert decision is not None
    return replace(
        decision,
        notes={"trigger": "deviation"},
        guard_before=GUARDED,
        guard=Pass(e18(20_000), 12, confirmed=True),
        gate=Shut((Doubt.SOURCES, Doubt.STALE_MARK), after(-3)),
        due=Occasion(
            1_700_000_000_123, "deviation", 11, 2_500, 77, OnChain(e18(19_980), e18(19_981), 1_699_999_998, 9)
        ),
    )


def test_record__shape() -> None:
    document = json.loads(canonical_record(full()))
    assert list(document) == sorted(document)
    assert document["config"] == "c0ffee"
    assert document["code"] == "1.2.3"
    assert document["market"] == "BTC-USD"
    assert document["now"] == str(NOW)
    assert document["notes"] == {"trigger": "deviation"}
    assert document["accepted"] == {}
    assert document["guard"]["jump_bps"] == "12"
    assert (document["guard"]["confirmed"], document["guard"]["held"]) == (True, None)
    assert document["guard"]["state_before"]["anchor"] == str(e18(19_980))
    assert document["gate"] == {"doubts": ["sources", "stale_mark"], "since": str(after(-3))}
    assert document["due"] == {
        "age_ms": "2500",
        "block": "77",
        "deviation_bps": "11",
        "held": {"index": str(e18(19_980)), "mark": str(e18(19_981)), "observed_s": "1699999998", "round": "9"},
        "round": "1700000000123",
        "trigger": "deviation",
    }
    assert document["funding"] == {"boundary": "1700003600", "interval": "3600", "rate": str(10**14)}
    assert document["carried"] == {"sampled": str(after(-5)), "value": "7"}
    assert document["impact"] == {"ask": str(e18("20010.5")), "bid": str(e18("20009.5"))}
    assert document["mark"]["method"] == "median3"
    assert document["mark"]["state_before"]["average_e18"] is None
    coin, rate = document["indices"]
    assert (coin["id"], rate["id"]) == ("BTC-USD", "USDT-USD")
    assert coin["price"] == str(e18(20_000))
    refused = {each["source"]: each for each in coin["rejected"]}
    assert refused["usdt0"]["reason"] == "missing"
    assert refused["usdt0"]["quote"] is None
    assert refused["usd0"]["reason"] == "outlier"
    assert refused["usd0"]["quote"]["last"] == str(e18(200_000))
    assert refused["usd0"]["quote"]["frame"] == "cd" * 8
    votes = {vote["source"]: vote for vote in coin["inputs"]}
    assert votes["usdt1"]["rate"] == str(e18(1))
    assert votes["usd1"]["rate"] is None
    assert votes["usd1"]["weight"] == "2"
    assert document["trade"]["frame"] == "ef" * 8
    assert votes["usd1"]["observed"] == votes["usd1"]["received"] == str(NOW)


def test_record__every_number_is_a_text() -> None:
    def numbers(value: Any) -> list[Any]:
        if isinstance(value, dict):
            return [found for item in value.values() for found in numbers(item)]
        if isinstance(value, list):
            return [found for item in value for found in numbers(item)]
        return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []

    assert numbers(json.loads(canonical_record(full()))) == []


@pytest.mark.parametrize(
    "change",
    [
        {"config_hash": "c0ffef"},
        {"code_version": "1.2.4"},
        {"mark_state": {}},
        {"impact": ImpactPrices(1, 2)},
        {"carried": CarriedPremium()},
        {"last": {}},
        {"notes": {}},
        {"accepted": {BTC: 1}},
        {"guard_before": GuardState()},
        {"guard": Held(HeldReason.BACKING, NOW, "", 1, 12)},
        {"gate": Open(NOW)},
        {"due": None},
        {"entry": MarketPrice(MarketId("BTC-USD"), 2, 1, 1, 1)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_record__anything_else_decided_from__is_another_record(change: dict[str, Any]) -> None:
    assert canonical_record(replace(full(), **change)) != canonical_record(full())


def test_record__of_a_batch__spells_shared_indices_once_and_the_same() -> None:
    told, spelled = full(), dict[tuple[int, int, int], str]()
    other = replace(told, entry=replace(told.entry, market=MarketId("ETH-USD")))
    assert [canonical_record(each, spelled) for each in (told, other)] == [
        canonical_record(each) for each in (told, other)
    ]
    assert len(spelled) == len(told.indices)
    elsewhere = replace(told, last={})
    assert canonical_record(elsewhere, spelled) == canonical_record(elsewhere)


def test_record__names_with_quotes_and_other_scripts__are_escaped() -> None:
    told = full()
    odd = replace(told, code_version='1.0"\\\n', entry=replace(told.entry, market=MarketId("ΔX-USD")))
    document = json.loads(canonical_record(odd))
    assert (document["code"], document["market"]) == ('1.0"\\\n', "ΔX-USD")
    assert canonical_json(document) == canonical_record(odd)


def test_recall__of_a_record_that_tells_no_frame_of_its_trade__is_that_trade_without_it() -> None:
    document = json.loads(canonical_record(full()))
    assert recall(document).trade == replace(trade(20_005), frame_hash="ef" * 8)
    del document["trade"]["frame"]
    assert recall(document).trade == trade(20_005)


def test_recall__another_format__is_refused() -> None:
    document = json.loads(canonical_record(full()))
    with pytest.raises(ValueError, match="format 1"):
        recall(document | {"format": "1"})
    with pytest.raises(KeyError):
        recall({"format": "2"})


def test_record__of_anything__is_in_its_one_spelling() -> None:
    for change in ({}, {"guard": None}, {"gate": Open(NOW)}, {"accepted": {BTC: e18(1), USDT: 2}}, {"due": None}):
        written = canonical_record(replace(full(), **change))
        assert canonical_json(json.loads(written)) == written


def test_recall__guard__is_its_state_before() -> None:
    assert recall(json.loads(canonical_record(full()))).guard_before == GUARDED
    assert recall(json.loads(canonical_record(replace(full(), guard=None)))).guard_before is None


def test_recall__last_indices__are_those_given() -> None:
    assert recall(json.loads(canonical_record(full()))).last == {IndexId("BTC-USD"): e18(20_000), USDT: e18(1)}
