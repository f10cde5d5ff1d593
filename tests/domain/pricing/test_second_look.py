"""An index held against a reference, and fallbacks that vote for want of others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keeper.domain.gate import Doubt, Gate, GateInputs
from keeper.domain.ids import SourceId
from keeper.domain.index import IndexFlag, IndexPrice, IndexSpec, Withheld, WithheldReason
from keeper.domain.outlier_rules import Exclude
from keeper.domain.pricing import price_component
from keeper.domain.quote import Quote
from keeper.domain.reference import ReferenceBand
from keeper.domain.screening import Rejected
from keeper.domain.time import SECOND
from tests.domain.pricing.builders import BTC, NOW, after, board, quote, usd

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
