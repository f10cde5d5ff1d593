"""Reads a decision's record back: what a co-signer, or `keeper verify`, needs to compute the same prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from keeper.domain.condition import ConditionState, restored_condition
from keeper.domain.confirmation import ConfirmationState
from keeper.domain.guard import GuardState
from keeper.domain.ids import IndexId, MarketId, SourceId
from keeper.domain.index_state import IndexState, Traded, restored_state
from keeper.domain.mark.method import FundingEstimate, Plain, Reference
from keeper.domain.premium import CarriedPremium
from keeper.domain.provenance import FORMAT
from keeper.domain.quote import Depth, Level, Quote, Quotes, Trade
from keeper.domain.time import Timestamp


@dataclass(frozen=True, slots=True)
class Recalled:
    """What a record says went in: arguments for `price_component` and for the mark's step.

    The mark's index is what `price_component` gives for `market`. `flags` of an index and its price before rounding come out
    of it again; they are in the record to be read, and are not recalled.
    """

    market: MarketId
    now: Timestamp
    quotes: Quotes
    last: Mapping[IndexId, int]
    states: Mapping[IndexId, IndexState]
    """Of the indices that remember: before the step."""
    traded: Mapping[IndexId, Mapping[SourceId, Traded]]
    mark_state: Plain
    carried: CarriedPremium
    book: Depth | None
    trade: Trade | None
    funding: FundingEstimate | None
    index_e18: int
    mark_e18: int
    premium_e18: int
    references: tuple[Reference, ...] = ()
    rate_state: Plain | None = None
    """State of the funding method before the step; None without a method, or at its first look."""
    rate_e18: int | None = None
    guard_before: GuardState | None = None
    """None in a record that tells nothing of the guard."""
    benched: Mapping[IndexId, frozenset[SourceId]] = field(default_factory=dict)
    """Of each index that has such: its sources that were to sit out."""
    condition_before: ConditionState | None = None
    """None in a record that tells nothing of it."""
    session: Mapping[str, Any] | None = None
    """Of a market with sessions: hours, rules and state that made its index of what its sources said."""


def recall(document: Mapping[str, Any]) -> Recalled:
    """Reads a record, parsed from its canonical JSON. Raises KeyError or ValueError on anything else."""
    if int(document["format"]) != FORMAT:
        raise ValueError(f"record format {document['format']} is not {FORMAT}")
    indices = document["indices"]
    found = [vote for index in indices for vote in index["inputs"]]
    found += [refused["quote"] for index in indices for refused in index["rejected"] if refused["quote"] is not None]
    found += [each["quote"] for each in document.get("references", ()) if each["quote"] is not None]
    quotes = {quote.source: quote for quote in map(_quote_of, found)}
    last = {IndexId(index["id"]): int(index["last"]) for index in indices if index["last"] is not None}
    states = {
        IndexId(index["id"]): restored_state(index["state_before"])
        for index in indices
        if index["state_before"] is not None
    }
    traded = {IndexId(index["id"]): _traded_of(index["traded"]) for index in indices if index["traded"]}
    entry, rates, condition = document["entry"], document.get("rates"), document.get("condition")
    return Recalled(
        MarketId(document["market"]),
        Timestamp(int(document["now"])),
        quotes,
        last,
        states,
        traded,
        document["mark"]["state_before"],
        CarriedPremium(int(document["carried"]["value"]), _instant(document["carried"]["sampled"])),
        _depth_of(document["book"]),
        _trade_of(document["trade"]),
        _funding_of(document["funding"]),
        int(entry["index"]),
        int(entry["mark"]),
        int(entry["premium"]),
        tuple(map(_reference_of, document.get("references", ()))),
        None if rates is None else rates["state_before"],
        None if rates is None else int(rates["rate"]),
        _guard_of(document["guard"]),
        {IndexId(index["id"]): frozenset(map(SourceId, index["benched"])) for index in indices if index.get("benched")},
        None if condition is None else restored_condition(condition["state_before"]),
        document.get("session"),
    )


def _number(text: Any) -> int | None:
    return None if text is None else int(text)


def _instant(text: Any) -> Timestamp | None:
    return None if text is None else Timestamp(int(text))


def _traded_of(document: Mapping[str, Any]) -> Mapping[SourceId, Traded]:
    return {SourceId(source): Traded(int(found["price"]), int(found["volume"])) for source, found in document.items()}


def _quote_of(document: Mapping[str, Any]) -> Quote:
    return Quote(
        SourceId(document["source"]),
        Timestamp(int(document["received"])),
        Timestamp(int(document["changed"])),
        _instant(document["observed"]),
        bid_e18=_number(document["bid"]),
        ask_e18=_number(document["ask"]),
        last_e18=_number(document["last"]),
        sequence=_number(document["sequence"]),
        frame_hash=document["frame"],
    )


def _depth_of(document: Mapping[str, Any] | None) -> Depth | None:
    return (
        None
        if document is None
        else Depth(
            SourceId(document["source"]),
            Timestamp(int(document["received"])),
            _instant(document["observed"]),
            _levels(document["bids"]),
            _levels(document["asks"]),
            _number(document["sequence"]),
            document["frame"],
        )
    )


def _levels(side: Sequence[Sequence[Any]]) -> tuple[Level, ...]:
    return tuple(Level(int(price), int(size)) for price, size in side)


def _trade_of(document: Mapping[str, Any] | None) -> Trade | None:
    return (
        None
        if document is None
        else Trade(
            SourceId(document["source"]),
            Timestamp(int(document["received"])),
            _instant(document["observed"]),
            int(document["price"]),
            int(document["size"]),
            document["id"],
            document.get("frame"),  # older records do not tell it
        )
    )


def _reference_of(document: Mapping[str, Any]) -> Reference:
    return Reference(SourceId(document["source"]), int(document["price"]), int(document["weight"]))


def _funding_of(document: Mapping[str, Any] | None) -> FundingEstimate | None:
    return (
        None
        if document is None
        else FundingEstimate(int(document["rate"]), int(document["boundary"]), int(document["interval"]))
    )


def _guard_of(document: Mapping[str, Any] | None) -> GuardState | None:
    if document is None:
        return None
    before = document["state_before"]
    return GuardState(
        _number(before["passed"]),
        _number(before["anchor"]),
        _instant(before["anchored"]),
        _instant(before["held_since"]),
        _confirmation_of(before["confirmation"]),
    )


def _confirmation_of(document: Mapping[str, Any] | None) -> ConfirmationState:
    if document is None:
        return ConfirmationState()
    return ConfirmationState(
        int(document["direction"]),
        int(document["agreed_ns"]),
        _instant(document["agreed"]),
        int(document["trusted"]),
        _instant(document["trusted_until"]),
    )
