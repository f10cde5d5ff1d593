"""An index held against a reference, and fallbacks that vote for want of others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.gate import Doubt, Gate, GateInputs
from keeper.domain.ids import IndexId, SourceId
from keeper.domain.index import IndexFlag, IndexPrice, IndexSpec, Withheld, WithheldReason
from keeper.domain.index_state import IndexState
from keeper.domain.ladder import LADDERS
from keeper.domain.outlier_rules import Exclude, HalveThenExclude, ZeroWeight
from keeper.domain.pricing import price_component
from keeper.domain.quote import Quote
from keeper.domain.reference import ReferenceBand
from keeper.domain.screening import Rejected
from keeper.domain.time import SECOND
from tests.domain.pricing.builders import BTC, LAW, NOW, after, board, quote, usd

BANK = SourceId("ecb:EUR/USD")


def held(**options: Any) -> IndexSpec:
    return usd("a", "b", "c", reference=ReferenceBand(BANK, 200, **options))


def priced(spec: IndexSpec, *quotes: Quote) -> IndexPrice | Withheld:
    return price_component((spec,), board(*quotes), {}, NOW)[BTC]


def three(price: str) -> list[Quote]:
    return [quote(name, price) for name in "abc"]


def bank(price: str, hours: float = 20) -> Quote:
    at = after(-hours * 3600)
    return quote(BANK, last=price, at=NOW, observed=at)


@pytest.mark.parametrize(("price", "flagged"), [("102", False), ("102.01", True), ("98", False), ("97.99", True)])
def test_index__further_than_the_band_from_the_reference__is_flagged(price: str, flagged: bool) -> None:
    found = priced(held(), *three(price), bank("100"))
    assert isinstance(found, IndexPrice)
    assert (IndexFlag.REFERENCE in found.flags) is flagged
    (named,) = found.rejected
    assert (named.source, named.reason, named.price_e18) == (BANK, Rejected.REFERENCE, 100 * 10**18)
    gate = Gate(min_sources=3)
    shut = gate.step(gate.start(), GateInputs(found, NOW // SECOND), NOW)[1]
    assert (Doubt.DEGRADED in getattr(shut, "reasons", ())) is flagged


def test_index__further_than_the_band__is_withheld_where_chosen() -> None:
    found = priced(held(withhold=True), *three("103"), bank("100"))
    assert isinstance(found, Withheld)
    assert (found.reason, found.detail) == (WithheldReason.REFERENCE, "103 is 300 bps from 100")
    assert isinstance(priced(held(withhold=True), *three("101"), bank("100")), IndexPrice)


@pytest.mark.parametrize("quotes", [[], [bank("50", hours=131)], [quote(BANK, at=NOW)]])
def test_reference__silent_or_old_or_taken_back__is_no_yardstick(quotes: list[Quote]) -> None:
    found = priced(held(withhold=True), *three("100"), *quotes)
    assert isinstance(found, IndexPrice)
    assert found.flags == ()


def test_reference__as_a_vote__is_refused() -> None:
    with pytest.raises(ValueError, match="one of its own votes"):
        usd("a", "b", BANK, reference=ReferenceBand(BANK))


def falls_back(composed: bool) -> IndexSpec:
    spec = usd("a", "b", "c", BANK, outliers=Exclude() if composed else None)
    sources = tuple(
        replace(each, fallback=each.source == BANK, max_age_ns=468_000 * SECOND if each.source == BANK else 10 * SECOND)
        for each in spec.sources
    )
    return replace(spec, sources=sources)


@pytest.mark.parametrize("composed", [False, True])
def test_fallback__while_enough_others_vote__does_not(composed: bool) -> None:
    found = priced(falls_back(composed), *three("101"), bank("100"))
    assert isinstance(found, IndexPrice)
    assert (found.price_e18, found.flags) == (101 * 10**18, ())
    assert [(each.source, each.reason) for each in found.rejected] == [(BANK, Rejected.SPARE)]


@pytest.mark.parametrize("composed", [False, True])
def test_fallback__for_want_of_others__votes_and_the_index_is_flagged(composed: bool) -> None:
    found = priced(falls_back(composed), *three("101")[:2], bank("100.5"))
    assert isinstance(found, IndexPrice)
    assert BANK in {vote.source for vote in found.inputs}
    assert found.flags == (IndexFlag.FALLBACK,)
    assert found.degraded
    assert isinstance(priced(falls_back(composed), *three("101")[:1], bank("100.5")), Withheld), "two are too few"


def test_fallback__of_nobody__is_refused() -> None:
    spec = usd("a", "b", "c")
    with pytest.raises(ValueError, match="at least two others"):
        replace(spec, sources=tuple(replace(each, fallback=each.source != "a") for each in spec.sources))


@pytest.mark.parametrize("composed", [False, True])
def test_fallback__where_an_outlier_breaks_the_quorum__votes_likewise(composed: bool) -> None:
    """Three are left, one of them is an outlier: as many too few as if it were missing."""
    rule = ZeroWeight(500, 1) if composed else None
    plan = replace(falls_back(False), outliers=rule)
    found = priced(plan, quote("a", 100), quote("b", 100), quote("c", 110), bank("100"))
    assert isinstance(found, IndexPrice)
    assert (found.price_e18, found.flags) == (100 * 10**18, (IndexFlag.FALLBACK,))
    assert [vote.source for vote in found.inputs] == ["a", "b", BANK]
    assert [(each.source, each.reason) for each in found.rejected] == [("c", Rejected.OUTLIER)]


def test_fallback__where_it_does_not_help_either__is_told_among_the_votes() -> None:
    found = priced(falls_back(False), quote("a", 100), quote("b", 90), quote("c", 110), bank("100.1"))
    assert isinstance(found, Withheld)
    assert (found.reason, found.detail) == (WithheldReason.SOURCES, "2 of 3 sources")
    assert [vote.source for vote in found.inputs] == ["a", BANK]


def test_fallback__never_takes_a_price_away() -> None:
    """Two make a price by themselves; with the fallback, four prices lie in two camps and nobody is near their middle."""
    plan = replace(falls_back(False), ladder=LADDERS["binance"])
    quotes = (quote("a", 100), quote("b", "100.5"), quote("c", 103), bank("103"))
    found = priced(plan, *quotes)
    assert isinstance(found, IndexPrice)
    assert (found.price_e18, found.flags) == (100_250 * 10**15, (IndexFlag.TWO_SOURCES,))


def test_fallback__that_is_no_more_needed__is_spare_again_whatever_voted_before() -> None:
    plan, quotes = falls_back(False), board(*three("100"), bank("100"))
    short = price_component((plan,), board(quote("a", 100), quote("b", 100), quote("c", 110), bank("100")), {}, NOW)
    again = price_component((plan,), quotes, {}, NOW, before=short)[BTC]
    assert again == price_component((plan,), quotes, {}, NOW)[BTC]
    assert [(each.source, each.reason) for each in again.rejected] == [(BANK, Rejected.SPARE)]


def test_fallback__votes_before_the_quarantined_do() -> None:
    benched = {BTC: frozenset({SourceId("b")})}
    quotes = board(quote("a", 100), quote("b", 100), quote("c", 100), quote("d", 110), bank("100"))
    plan = usd("a", "b", "c", "d", BANK)
    sources = tuple(replace(each, fallback=each.source == BANK, max_age_ns=468_000 * SECOND) for each in plan.sources)
    found = price_component((replace(plan, sources=sources),), quotes, {}, NOW, benched=benched)[BTC]
    assert isinstance(found, IndexPrice)
    assert (found.flags, found.benched) == ((IndexFlag.FALLBACK,), benched[BTC])
    assert [vote.source for vote in found.inputs] == ["a", "c", BANK]


@LAW
@given(
    prices=st.lists(st.none() | st.integers(95, 105), min_size=4, max_size=4),
    earlier=st.lists(st.none() | st.integers(95, 105), min_size=4, max_size=4),
    chosen=st.sampled_from([{}, {"allow_two": True}, {"outliers": Exclude(300)}, {"outliers": HalveThenExclude(200, 0)},
                            {"ladder": LADDERS["okx"]}, {"ladder": LADDERS["bitmex"], "outliers": ZeroWeight(300, 1)}]),
)  # fmt: skip
def test_fallback__law(prices: list[int | None], earlier: list[int | None], chosen: dict[str, Any]) -> None:
    """It votes only where fewer others than `min_sources` are left; if it does not, then enough are, or it made no price of it.
    Votes from before change nothing.
    """
    plan = replace(falls_back(False), **chosen)
    names = [source.source for source in plan.sources]

    def told(values: list[int | None]) -> dict[SourceId, Quote]:
        pairs = zip(names, values, strict=True)
        return board(*(quote(name, last=value, at=NOW) for name, value in pairs if value is not None))

    quotes = told(prices)
    before = price_component((plan,), told(earlier), {BTC: 100 * 10**18}, NOW)
    found = price_component((plan,), quotes, {BTC: 100 * 10**18}, NOW, before=before)[BTC]
    assert found == price_component((plan,), quotes, {BTC: 100 * 10**18}, NOW)[BTC]
    without = {name: each for name, each in quotes.items() if name != BANK}
    alone = price_component((plan,), without, {BTC: 100 * 10**18}, NOW)[BTC]
    if len(alone.inputs) >= plan.min_sources:
        assert (found.inputs, type(found)) == (alone.inputs, type(alone))
    elif isinstance(alone, IndexPrice):
        assert isinstance(found, IndexPrice)
    elif BANK in quotes:
        assert Rejected.SPARE not in {each.reason for each in found.rejected}


def test_index__withheld_by_the_reference__is_no_new_one_to_hold() -> None:
    """A ladder holds what was last an index, with its age: what the reference refused never was one."""
    plan = usd("a", "b", "c", reference=ReferenceBand(BANK, 200, withhold=True), ladder=LADDERS["okx"])
    states: dict[IndexId, IndexState] = {}
    for seconds, price in ((0, "100"), (5, "103")):
        now = after(seconds)
        quotes = board(*(quote(name, price, at=now) for name in "abc"), bank("100"))
        found = price_component((plan,), quotes, {BTC: 100 * 10**18}, now, states)[BTC]
        assert found.fold is not None
        states = {BTC: found.fold.after}
    assert isinstance(found, Withheld)
    for seconds, type_ in ((7, IndexPrice), (900, IndexPrice), (901, Withheld)):
        held = price_component((plan,), {}, {BTC: 100 * 10**18}, after(seconds), states)[BTC]
        assert isinstance(held, type_), seconds
        assert isinstance(held, Withheld) or (held.flags, held.as_of) == ((IndexFlag.HELD,), NOW)


def test_index__withheld_by_the_reference__still_says_who_sat_out() -> None:
    """Or its record would be computed again with the vote of somebody who had none."""
    plan, benched = (
        usd("a", "b", "c", "d", reference=ReferenceBand(BANK, 200, withhold=True)),
        frozenset({SourceId("d")}),
    )
    quotes = board(*three("103"), quote("d", "103"), bank("100"))
    found = price_component((plan,), quotes, {}, NOW, benched={BTC: benched})[BTC]
    assert isinstance(found, Withheld)
    assert (found.reason, found.benched) == (WithheldReason.REFERENCE, benched)


def test_held_index__was_made_by_no_fallback() -> None:
    plan = replace(falls_back(False), ladder=LADDERS["bitmex"])
    state = {BTC: IndexState(computed_at=after(-1))}
    found = price_component((plan,), board(bank("150")), {BTC: 100 * 10**18}, NOW, state)[BTC]
    assert isinstance(found, IndexPrice)
    assert found.flags == (IndexFlag.HELD,)


@pytest.mark.parametrize("composed", [False, True])
def test_fallback__that_speaks_once_a_day__is_not_frozen_for_it(composed: bool) -> None:
    """Its own limit lets it be days old: that it stands still says nothing. One as young as the others must move as they do."""
    plan = replace(falls_back(composed), frozen_after_ns=60 * SECOND)
    moving = [quote(name, "100", at=NOW, changed=after(-1)) for name in "ab"]
    daily = quote(BANK, last="100", at=NOW, observed=after(-3600), changed=after(-3600))
    found = priced(plan, *moving, daily)
    assert isinstance(found, IndexPrice), found
    assert (found.flags, len(found.inputs)) == ((IndexFlag.FALLBACK,), 3)
    dead = quote("c", last="100", at=NOW, changed=after(-61))
    frozen = priced(plan, *moving, dead, daily)
    assert [(each.source, each.reason) for each in frozen.rejected] == [("c", Rejected.FROZEN)]
    young = replace(plan, sources=tuple(replace(each, max_age_ns=10 * SECOND) for each in plan.sources))
    refused = priced(young, *moving, quote(BANK, last="100", at=NOW, changed=after(-61)))
    assert [(each.source, each.reason) for each in refused.rejected][-1] == (BANK, Rejected.FROZEN)
