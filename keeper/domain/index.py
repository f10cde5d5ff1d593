"""One index: screened votes, a quorum counted after rejection, one aggregate. Below the quorum it is withheld.

This is the plain way, which nearly every index goes. What rules with a memory, ladders, caps and rounding add is in
`keeper.domain.composition`; with none of them chosen both give the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from keeper.domain.aggregation import Vote
from keeper.domain.ids import IndexId, SourceId
from keeper.domain.index_methods import INDEX_METHODS, limits
from keeper.domain.index_spec import IndexSpec, PegSpec, SourceSpec
from keeper.domain.index_state import IndexFold
from keeper.domain.numbers import BPS, MAX_PRICE_E18, exceeds_bps, text_of
from keeper.domain.outliers import unanimous, without_outliers
from keeper.domain.quote import Quotes
from keeper.domain.screening import PricedQuote, Rates, Rejected, Rejection, screen
from keeper.domain.time import Timestamp

__all__ = [
    "INDEX_METHODS",
    "NOBODY",
    "IndexFlag",
    "IndexPrice",
    "IndexSpec",
    "PegSpec",
    "PricedQuote",
    "Rejected",
    "Rejection",
    "SourceSpec",
    "Withheld",
    "WithheldReason",
    "index_price",
]

NOBODY: frozenset[SourceId] = frozenset()


class WithheldReason(StrEnum):
    SOURCES = "sources"
    """Fewer sources than the quorum."""
    QUOTE_GROUPS = "quote_groups"
    """Sources of too few quote currencies: their errors may be one and the same."""
    OPERATORS = "operators"
    """Sources of too few companies."""
    PAIR = "pair"
    """Two sources are left and they do not confirm each other, or not the last index."""
    CAPS = "caps"
    """No weights of the sources that are left keep the caps."""
    DEPEG = "depeg"
    """A rate is withheld or outside its band, and its conversion fails closed."""
    GROUPS_APART = "groups_apart"
    """The quote groups disagree, and none of them is in the index's own currency to decide."""
    CROSS_CHECK = "cross_check"
    """The converted index is too far from the quote groups' median."""
    CLOSED = "closed"
    """The underlying's market is closed, or its calendar does not say whether."""
    OPENING = "opening"
    """Just opened, with fewer sources than the opening needs."""
    REFERENCE = "reference"
    """Too far from the reference rate."""
    UNREPRESENTABLE = "unrepresentable"
    """A price that no report can carry."""


class IndexFlag(StrEnum):
    TWO_SOURCES = "two_sources"
    ONE_SOURCE = "one_source"
    HELD = "held"
    """The last index, for want of sources. Its `as_of` is when it was computed."""
    MEDIAN = "median"
    """More sources deviate than the outlier rule allows: the median of all in place of the method."""
    GROUPS_APART = "groups_apart"
    """The quote groups disagree; the index's own currency decided."""
    CROSS_CHECK = "cross_check"
    """The converted index is too far from the quote groups' median."""
    CLOSED = "closed"
    """The last index of the session, or one that drifts with the market's own book. Its `inputs` are none."""
    OPENING = "opening"
    """Of the first minutes of a session."""
    REFERENCE = "reference"
    """Too far from the reference rate."""
    FALLBACK = "fallback"
    """A source voted that does so only for want of others."""
    DEGRADED_RATE = "degraded_rate"
    """A rate that converts for it is itself degraded."""
    QUARANTINE_LIFTED = "quarantine_lifted"
    """Without the sources that sit out it would be below its quorum: they vote."""
    PEG_ALERT = "peg_alert"
    """A rate is further from par than its alert. Not a doubt by itself: the rate is what converts."""
    LIMITED = "limited"
    """A vote was moved or halved by the outlier rule or the method. Not a doubt by itself: that is how it makes its price."""


_TOLD_ONLY = frozenset({IndexFlag.PEG_ALERT, IndexFlag.LIMITED})
"""Flags that are no doubt."""


@dataclass(frozen=True, slots=True)
class IndexPrice:
    """An index with everything behind it. `as_of` is the instant of the computation.

    `raw_e18` is the price before it was rounded, None where it was not. `fold` is what an index with a memory, or with
    trades, was computed from besides. `benched` are the sources that were to sit out. `weights`: what `inputs` counted with, in
    their order, where that is not as configured (caps, halved votes, volumes).
    """

    index: IndexId
    price_e18: int
    as_of: Timestamp
    inputs: tuple[PricedQuote, ...]
    rejected: tuple[Rejection, ...] = ()
    flags: tuple[IndexFlag, ...] = ()
    raw_e18: int | None = None
    fold: IndexFold | None = None
    benched: frozenset[SourceId] = NOBODY
    weights: tuple[int, ...] = ()

    def oldest(self) -> Timestamp:
        """The oldest time among its inputs: the venue's own where it gives one, else ours of receipt.

        Of a held index its own: the inputs did not make it.
        """
        if IndexFlag.HELD in self.flags:
            return self.as_of
        times = [vote.quote.observed_at or vote.quote.received_at for vote in self.inputs]
        return min(times, default=self.as_of)

    @property
    def exact_e18(self) -> int:
        """What the next steps go on from: the price before rounding."""
        return self.price_e18 if self.raw_e18 is None else self.raw_e18

    @property
    def degraded(self) -> bool:
        """A price to show, perhaps to publish, and not to liquidate by."""
        return any(flag not in _TOLD_ONLY for flag in self.flags)


@dataclass(frozen=True, slots=True)
class Withheld:
    """Why there is no index at `as_of`. `inputs` are the votes that were left after rejection."""

    index: IndexId
    reason: WithheldReason
    detail: str
    as_of: Timestamp
    inputs: tuple[PricedQuote, ...] = ()
    rejected: tuple[Rejection, ...] = ()
    fold: IndexFold | None = None
    benched: frozenset[SourceId] = NOBODY


def index_price(
    spec: IndexSpec,
    quotes: Quotes,
    rates: Rates,
    last_e18: int | None,
    now: Timestamp,
    benched: frozenset[SourceId] = NOBODY,
    before: Sequence[PricedQuote] = (),
    spares: bool = False,
) -> IndexPrice | Withheld:
    """Screen, convert, drop outliers, count the quorum, aggregate. `last_e18` is asked only when two sources are left.

    `before` are the inputs of an earlier result of the same spec: they save work and change nothing. `spares`: fallbacks vote
    however many others do.
    """
    inputs, rejected = screen(spec, quotes, rates, now, benched, before, spares)
    kept, price = inputs, unanimous(spec, inputs)
    if price is None:
        kept = without_outliers(spec, inputs, _votes(inputs), rejected)
    missing = shortfall(spec, kept, last_e18)
    if missing is not None:
        return Withheld(spec.id, *missing, now, tuple(kept), tuple(rejected))
    flags: tuple[IndexFlag, ...] = ()
    if price is None:
        votes = _votes(kept)
        price = spec.method.combine(votes)
        flags = (IndexFlag.LIMITED,) if limits(spec.method, votes) else ()
    if price > MAX_PRICE_E18:
        return Withheld(spec.id, *unrepresentable(price), now, tuple(kept), tuple(rejected))
    return IndexPrice(spec.id, price, now, tuple(kept), tuple(rejected), flags)


def _votes(inputs: Sequence[PricedQuote]) -> list[Vote]:
    return sorted([(vote.price_e18, vote.spec.weight) for vote in inputs])


def unrepresentable(price_e18: int) -> tuple[WithheldReason, str]:
    return WithheldReason.UNREPRESENTABLE, f"{text_of(price_e18)} cannot be told as a price"


def shortfall(spec: IndexSpec, votes: Sequence[PricedQuote], last_e18: int | None) -> tuple[WithheldReason, str] | None:
    """What the quorum misses. Two votes are never simply averaged: they must confirm each other and the last index."""
    have = len(votes)
    if have < spec.min_sources and not (have == 2 and spec.allow_two):
        return WithheldReason.SOURCES, f"{have} of {spec.min_sources} sources"
    groups = _groups(votes, spec.min_quote_groups)
    if groups < spec.min_quote_groups:
        return WithheldReason.QUOTE_GROUPS, f"{groups} of {spec.min_quote_groups} quote groups"
    return _pair_fault(spec, votes, last_e18) if have == 2 else None


def _groups(votes: Sequence[PricedQuote], enough: int) -> int:
    """Number of quote groups, counted up to `enough`."""
    seen: set[str] = set()
    for vote in votes:
        seen.add(vote.spec.quote)
        if len(seen) >= enough:
            break
    return len(seen)


def _pair_fault(
    spec: IndexSpec, votes: Sequence[PricedQuote], last_e18: int | None
) -> tuple[WithheldReason, str] | None:
    low, high = sorted(vote.price_e18 for vote in votes)
    if exceeds_bps(high, low, spec.pair_bps):
        return WithheldReason.PAIR, f"{text_of(low)} and {text_of(high)} differ by more than {spec.pair_bps} bps"
    if last_e18 is None:
        return WithheldReason.PAIR, "two sources and no last index to compare them with"
    if max(abs(low - last_e18), abs(high - last_e18)) * BPS > spec.pair_last_bps * last_e18:
        return WithheldReason.PAIR, f"two sources more than {spec.pair_last_bps} bps from the last index"
    return None
