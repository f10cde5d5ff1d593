"""A source that sits out is screened and does not vote, is looked at all the same, and is never what the quorum lacks."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.ids import IndexId, MarketId, SourceId
from keeper.domain.index import IndexFlag, IndexPrice, IndexSpec, PegSpec, Rejected, Withheld, WithheldReason
from keeper.domain.index_methods import QuoteGroupMedian, WeightedMean
from keeper.domain.index_spec import CrossCheck
from keeper.domain.ladder import LADDERS
from keeper.domain.mark.index_only import IndexOnly
from keeper.domain.mark.method import MarkInputs
from keeper.domain.outlier_rules import Exclude
from keeper.domain.pricing import price_component
from keeper.domain.provenance import Decision, canonical_record
from keeper.domain.quarantine import looks_of
from keeper.domain.quote import Quotes
from keeper.domain.recall import recall
from keeper.domain.reference import ReferenceBand
from keeper.domain.report import MarketPrice
from keeper.domain.scorecard import Look
from tests.domain.pricing.builders import BTC, LAW, NOW, USDT, after, board, e18, quote, spec, usd

NAMES = ("a", "b", "c", "d", "e")
PLAN = usd(*NAMES)
EVERYBODY = frozenset(map(SourceId, NAMES))


def priced(
    plan: IndexSpec, quotes: Quotes, benched: frozenset[SourceId], last: dict[IndexId, int] | None = None
) -> IndexPrice | Withheld:
    return price_component((plan,), quotes, last or {}, NOW, benched={plan.id: benched} if benched else {})[plan.id]


def at(*prices: int | str | None) -> Quotes:
    return board(*[quote(name, price) for name, price in zip(NAMES, prices, strict=False) if price is not None])


def reasons(found: IndexPrice | Withheld) -> dict[str, Rejected]:
    return {str(refused.source): refused.reason for refused in found.rejected}


def test_benched__while_enough_others_vote__is_refused_with_its_price_and_counts_nothing() -> None:
    plan = replace(PLAN, method=WeightedMean())
    found = priced(plan, at(100, 100, 100, 100, "100.9"), frozenset({SourceId("e")}))
    assert isinstance(found, IndexPrice)
    assert (found.price_e18, found.flags, found.benched) == (e18(100), (), {SourceId("e")})
    (refused,) = found.rejected
    assert (refused.reason, refused.price_e18) == (Rejected.QUARANTINED, e18("100.9"))
    whole = priced(plan, at(100, 100, 100, 100, "100.9"), frozenset())
    assert isinstance(whole, IndexPrice)
    assert whole.price_e18 > found.price_e18


def test_benched__with_a_quote_that_is_wrong_by_itself__is_refused_for_that() -> None:
    quotes = {**at(100, 100, 100, 100), **board(quote("e", bid=101, ask=100))}
    assert reasons(priced(PLAN, quotes, frozenset({SourceId("e")}))) == {"e": Rejected.CROSSED}
    assert reasons(priced(PLAN, at(100, 100, 100, 100), frozenset({SourceId("e")}))) == {"e": Rejected.MISSING}


def test_benched__that_alone_are_missing__vote_and_the_index_says_so() -> None:
    benched = frozenset({SourceId("d"), SourceId("e")})
    found = priced(PLAN, at(None, None, 100, 100, 100), benched)
    assert isinstance(found, IndexPrice)
    assert (found.flags, found.benched, len(found.inputs)) == ((IndexFlag.QUARANTINE_LIFTED,), benched, 3)
    assert found.degraded


@pytest.mark.parametrize("quotes", [at(None, None, None, 100, 100), at(100, None, None, None, 120), {}])
def test_benched__where_the_quorum_lacks_more_than_them__it_is_withheld_for_that(quotes: Quotes) -> None:
    found = priced(PLAN, quotes, frozenset({SourceId("d"), SourceId("e")}))
    assert isinstance(found, Withheld)
    assert found.reason is WithheldReason.SOURCES


def test_benched__that_a_ladder_would_do_without__vote_first() -> None:
    """A price by two is worse than one with whom the quorum is met."""
    plan = replace(PLAN, ladder=LADDERS["okx"])
    found = priced(plan, at(None, None, 100, 100, 100), frozenset({SourceId("e")}))
    assert isinstance(found, IndexPrice)
    assert found.flags == (IndexFlag.QUARANTINE_LIFTED,)


def test_benched__that_would_overrule_a_doubt_of_the_others__stay_out() -> None:
    """Only a quorum lets them vote: what the groups of the others disagree on is theirs to tell."""
    plan = spec(
        {"a": "USD", "b": "USDT", "c": "USDT", "d": "USDT", "e": "USD"},
        min_quote_groups=2,
        conversions={"USDT": PegSpec(USDT, e18("0.9"), e18("1.1"))},
        cross_check=CrossCheck(20, withhold=True),
    )
    rate = IndexSpec(USDT, usd("x", "y", "z").sources, min_quote_groups=1)
    quotes = board(
        quote("a", 100), *[quote(name, 100) for name in "bcd"], quote("e", "98.7"), *[quote(n, "0.995") for n in "xyz"]
    )
    benched = {BTC: frozenset({SourceId("e")})}
    assert isinstance(price_component((rate, plan), quotes, {}, NOW)[BTC], IndexPrice)
    found = price_component((rate, plan), quotes, {}, NOW, benched=benched)[BTC]
    assert isinstance(found, Withheld)
    assert found.reason is WithheldReason.CROSS_CHECK


PLANS = [
    PLAN,
    replace(PLAN, method=WeightedMean(), outliers=Exclude(return_s=5)),
    replace(PLAN, ladder=LADDERS["okx"]),
    replace(PLAN, min_sources=2, allow_two=True),
]
PRICE = st.none() | st.integers(9_900, 10_100) | st.integers(5_000, 20_000)


@LAW
@given(st.sampled_from(PLANS), st.lists(PRICE, min_size=5, max_size=5), st.sets(st.sampled_from(sorted(EVERYBODY))))
def test_quarantine__whoever_sits_out__never_costs_an_index_that_there_would_be(
    plan: IndexSpec, prices: list[int | None], benched: set[SourceId]
) -> None:
    quotes, last = at(*(None if p is None else f"{p / 100}" for p in prices)), {BTC: e18(100)}
    without, found = priced(plan, quotes, frozenset(), last), priced(plan, quotes, frozenset(benched), last)
    if isinstance(without, IndexPrice) and len(without.inputs) >= plan.min_sources:
        assert isinstance(found, IndexPrice)
    voting = {vote.source for vote in found.inputs} & benched
    assert not voting or IndexFlag.QUARANTINE_LIFTED in (() if isinstance(found, Withheld) else found.flags)


@LAW
@given(st.sampled_from(PLANS), st.lists(PRICE, min_size=5, max_size=5), st.sets(st.sampled_from(sorted(EVERYBODY))))
def test_record__of_an_index_with_a_quarantine__computes_the_same_again(
    plan: IndexSpec, prices: list[int | None], benched: set[SourceId]
) -> None:
    quotes, last = at(*(None if p is None else f"{p / 100}" for p in prices)), {BTC: e18(100)}
    found = priced(plan, quotes, frozenset(benched), last)
    if isinstance(found, Withheld):
        return
    inputs = MarkInputs(MarketId("BTC-USD"), found, None, None, None, NOW)
    _, mark = IndexOnly().step(IndexOnly().start(), inputs)
    entry = MarketPrice(MarketId("BTC-USD"), 1, found.price_e18, mark.price_e18, 0)
    record = canonical_record(Decision(entry, "c0ffee", "1", (found,), quotes, last, inputs, mark, None))
    again = recall(json.loads(record))
    assert again.benched == ({BTC: benched} if benched else {})
    same = price_component((plan,), again.quotes, again.last, again.now, again.states, again.traded, again.benched)[BTC]
    assert isinstance(same, IndexPrice)
    assert (same.price_e18, same.flags, same.inputs) == (found.price_e18, found.flags, found.inputs)
    assert {each.source for each in same.rejected} == {each.source for each in found.rejected}


def looks(plan: IndexSpec, quotes: Quotes, benched: frozenset[SourceId] = frozenset()) -> dict[str, Look]:
    return {str(look.source): look for look in looks_of(plan, priced(plan, quotes, benched))}


def test_looks__of_an_index__tell_of_each_source_whether_it_was_fit_and_how_far_off() -> None:
    quotes = {**at(100, 100, "100.4"), **board(quote("d", bid=101, ask=100), quote("e", 150))}
    found = looks(PLAN, quotes)
    assert {name: (look.fit, look.apart_bps) for name, look in found.items()} == {
        "a": (True, 0),
        "b": (True, 0),
        "c": (True, 40),
        "d": (False, None),
        "e": (False, 5_000),
    }
    silent = {**at(100, 100, 100), **board(quote("d", 100, at=after(-60)))}
    assert {name for name, look in looks(PLAN, silent).items() if look.fit is None} == {"d", "e"}
    assert looks(PLAN, at(100, 100, 100, 100, "100.4"), frozenset({SourceId("e")}))["e"] == Look(
        SourceId("e"), True, 40, "USD"
    )


def test_looks__without_an_index_to_believe__blame_nobody_for_what_others_say() -> None:
    quotes = {**at(100, 100, 150), **board(quote("d", bid=101, ask=100))}
    assert reasons(priced(PLAN, quotes, frozenset())) == {
        "c": Rejected.OUTLIER,
        "d": Rejected.CROSSED,
        "e": Rejected.MISSING,
    }
    assert {name: look.fit for name, look in looks(PLAN, quotes).items()} == dict.fromkeys("abce") | {"d": False}
    two = replace(PLAN, min_sources=2, allow_two=True)
    assert {look.fit for look in looks_of(two, priced(two, at(100, "100.4"), frozenset(), {BTC: e18(100)}))} == {None}


def test_looks__of_groups_without_conversion__measure_each_by_its_own() -> None:
    plan = spec(
        dict(zip("abcdefgh", ("USD",) * 3 + ("USDT",) * 3 + ("USDC",) * 2, strict=True)),
        method=QuoteGroupMedian(500),
        min_quote_groups=2,
        conversions={},
    )
    quotes = board(
        *[
            quote(name, price)
            for name, price in zip("abcdefgh", (100, 100, "100.3", 101, 101, 101, 98, 98), strict=True)
        ]
    )
    found = {str(look.source): look.apart_bps for look in looks_of(plan, priced(plan, quotes, frozenset()))}
    assert found == {"a": 0, "b": 0, "c": 30, "d": 0, "e": 0, "f": 0, "g": None, "h": None}


@pytest.mark.parametrize("price", ["100", "150"])
def test_looks__of_an_index_with_a_reference__leave_the_reference_out(price: str) -> None:
    bank = SourceId("ecb:EUR/USD")
    plan = replace(PLAN, reference=ReferenceBand(bank))
    quotes = {**at(100, 100, 100, 100, 100), **board(quote(bank, last=price))}
    assert reasons(priced(plan, quotes, frozenset())) == {bank: Rejected.REFERENCE}
    assert set(looks(plan, quotes)) == set(NAMES)


def test_looks__of_a_fallback_that_is_the_reference_too__are_of_its_vote() -> None:
    bank = SourceId("ecb:EUR/USD")
    last = replace(PLAN.sources[4], source=bank, fallback=True)
    plan = replace(PLAN, sources=(*PLAN.sources[:4], last), reference=ReferenceBand(bank))
    quotes = {**at(100, 100, None, None, None), **board(quote(bank, last="100.4"))}
    found = [look for look in looks_of(plan, priced(plan, quotes, frozenset())) if look.source == bank]
    assert [look.source for look in found] == [bank]
