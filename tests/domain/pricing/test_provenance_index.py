"""An index with a memory, from nothing but its record: state before the step, trades and last price are in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.caps import Caps
from keeper.domain.evidence import canonical_json
from keeper.domain.ids import IndexId, MarketId, SourceId
from keeper.domain.index import IndexPrice, IndexSpec, PegSpec, SourceSpec, Withheld
from keeper.domain.index_methods import QuoteGroupMedian, Vwap, WeightedMean
from keeper.domain.index_spec import CrossCheck
from keeper.domain.index_state import IndexState, Traded
from keeper.domain.ladder import LADDERS
from keeper.domain.mark.index_only import IndexOnly
from keeper.domain.mark.method import MarkInputs
from keeper.domain.outlier_rules import Exclude, HalveThenExclude
from keeper.domain.pricing import price_component
from keeper.domain.provenance import Decision, canonical_record
from keeper.domain.quote import Quote
from keeper.domain.recall import recall
from keeper.domain.report import MarketPrice
from keeper.domain.rounding import Rounding, RoundingMode
from tests.domain.pricing.builders import BTC, LAW, NOW, USDT, after, e18, spec, usd

MARK = IndexOnly()
NAMES = ("a", "b", "c", "d")
RATE = IndexSpec(USDT, tuple(SourceSpec(SourceId(f"r{n}"), "USD") for n in range(3)), min_quote_groups=1)
CENT = Rounding(RoundingMode.HALF_EVEN, e18("0.01"))
PLANS = [
    usd(*NAMES, method=WeightedMean(), outliers=Exclude(return_s=5), ladder=LADDERS["okx"], rounding=CENT),
    usd(*NAMES, method=WeightedMean(), outliers=HalveThenExclude(300, 2), caps=Caps(5000)),
    usd(*NAMES, ladder=LADDERS["bitmex"]),
    usd(*NAMES, method=Vwap(), outliers=Exclude(return_s=5)),
    spec(dict(zip(NAMES, ("USD", "USDT", "USDT", "USDC"), strict=True)), method=QuoteGroupMedian(500), min_quote_groups=2,
         conversions={}, outliers=Exclude(return_s=5)),
    spec(dict(zip(NAMES, ("USD", "USD", "USDT", "USDT"), strict=True)), cross_check=CrossCheck(20), rounding=CENT,
         conversions={"USDT": PegSpec(USDT, alert_bps=10)}),
]  # fmt: skip


def decision(
    found: IndexPrice, others: tuple[IndexPrice | Withheld, ...], quotes: Mapping[SourceId, Quote], last: dict[IndexId, int]
) -> Decision:  # fmt: skip
    inputs = MarkInputs(MarketId("BTC-USD"), found, None, None, None, found.as_of)
    _, mark = MARK.step(MARK.start(), inputs)
    entry = MarketPrice(MarketId("BTC-USD"), 1, found.price_e18, mark.price_e18, 0)
    return Decision(entry, "c0ffee", "1", (found, *others), quotes, last, inputs, mark, MARK.start().to_plain())


PRICES = st.integers(9_900, 10_100) | st.integers(7_000, 13_000)
TICKS = st.lists(
    st.tuples(st.lists(st.none() | PRICES, min_size=4, max_size=4), st.integers(9_960, 10_040), st.integers(1, 9)),
    min_size=1,
    max_size=8,
)


@LAW
@given(plan=st.sampled_from(PLANS), ticks=TICKS)
def test_record__of_an_index_with_a_memory__computes_the_same_again(
    plan: IndexSpec, ticks: list[tuple[list[int | None], int, int]]
) -> None:
    specs = (RATE, plan) if plan.conversions else (plan,)
    states, last = dict[IndexId, IndexState](), dict[IndexId, int]()
    for second, (prices, rate, volume) in enumerate(ticks):
        now = after(second)
        told = dict(zip(NAMES, prices, strict=True)) | {f"r{n}": rate for n in range(3)}
        quotes = {
            SourceId(name): Quote(SourceId(name), now, now, last_e18=price * 10**14)
            for name, price in told.items()
            if price is not None
        }
        traded = {BTC: {name: Traded(each.last_e18 or 0, e18(volume)) for name, each in quotes.items()}}
        priced = price_component(specs, quotes, dict(last), now, dict(states), traded)
        found = priced[BTC]
        if isinstance(found, IndexPrice):
            others = tuple(priced[each.id] for each in specs if each.id != BTC)
            # A held index is of an earlier instant; what is recorded is the instant of the decision.
            record = canonical_record(replace(decision(found, others, quotes, dict(last)), inputs=MarkInputs(
                MarketId("BTC-USD"), found, None, None, None, now)))  # fmt: skip
            again = recall(json.loads(record))
            same = price_component(specs, again.quotes, again.last, again.now, again.states, again.traded)[BTC]
            assert isinstance(same, IndexPrice)
            assert (same.price_e18, same.raw_e18, same.flags) == (found.price_e18, found.raw_e18, found.flags)
            assert same.as_of == found.as_of
            if found.fold is not None:
                assert same.fold is not None
                assert (same.fold.before, same.fold.after) == (found.fold.before, found.fold.after)
            assert canonical_json(json.loads(record)) == record
        for index, each in priced.items():
            if each.fold is not None:
                states[index] = each.fold.after
            if isinstance(each, IndexPrice):
                last[index] = each.exact_e18


def test_record__of_an_index_with_a_memory__spells_state_flags_and_the_exact_price() -> None:
    plan = PLANS[0]
    quotes = {SourceId(name): Quote(SourceId(name), NOW, NOW, last_e18=e18("10.006")) for name in NAMES[:2]}
    state = IndexState({SourceId("d"): after(-1)}, after(-9), after(-1))
    found = price_component((plan,), quotes, {BTC: e18(10)}, NOW, {BTC: state})[BTC]
    assert isinstance(found, IndexPrice)
    (index,) = json.loads(canonical_record(decision(found, (), quotes, {BTC: e18(10)})))["indices"]
    assert index["flags"] == ["two_sources"]
    assert (index["price"], index["raw"]) == (str(e18("10.01")), str(e18("10.006")))
    assert index["state_before"] == {
        "computed_at": str(after(-9)),
        "stepped_at": str(after(-1)),
        "watched": {"d": str(after(-1))},
    }
    assert index["traded"] == {}


def test_record__of_an_index_by_trades__spells_what_was_traded() -> None:
    quotes = {SourceId(name): Quote(SourceId(name), NOW, NOW, last_e18=e18(10)) for name in NAMES}
    traded = {SourceId(name): Traded(e18(10), e18(2)) for name in NAMES[:3]}
    found = price_component((PLANS[3],), quotes, {}, NOW, {}, {BTC: traded})[BTC]
    assert isinstance(found, IndexPrice)
    document = json.loads(canonical_record(decision(found, (), quotes, {})))
    assert document["indices"][0]["traded"]["a"] == {"price": str(e18(10)), "volume": str(e18(2))}
    assert recall(document).traded == {BTC: traded}


def test_record__of_a_plain_index__has_no_state() -> None:
    quotes = {SourceId(name): Quote(SourceId(name), NOW, NOW, last_e18=e18(10)) for name in NAMES}
    found = price_component((usd(*NAMES),), quotes, {}, NOW)[BTC]
    assert isinstance(found, IndexPrice)
    document = json.loads(canonical_record(decision(found, (), quotes, {})))
    assert (document["indices"][0]["state_before"], document["indices"][0]["raw"]) == (None, None)
    assert recall(document).states == {}
