"""What a mark method is: a fold over the index and the perp's own market, with a state that can be written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

from keeper.domain.grade import Grade
from keeper.domain.ids import IndexId, MarketId, SourceId
from keeper.domain.index import IndexPrice
from keeper.domain.numbers import BPS, cdiv, clamp
from keeper.domain.quote import Depth, Trade
from keeper.domain.time import SECOND, Timestamp

Plain = Mapping[str, Any]
"""A state as a document of integers, texts and None; numbers may come back as their decimal text."""

STALE_INDEX_NS = SECOND


@dataclass(frozen=True, slots=True)
class FundingEstimate:
    """Estimated rate of the running interval (fraction of one interval, positive: longs pay), and when it ends."""

    rate_e18: int
    boundary_s: int
    interval_s: int


class Reference(NamedTuple):
    """Middle of another venue's book of the same perpetual, fresh and in the market's own unit."""

    source: SourceId
    mid_e18: int
    weight: int


@dataclass(frozen=True, slots=True)
class MarkInputs:
    """`book` and `trade` are the perp's own, not a spot venue's. `funding` is the running interval's estimate.

    `references` are other venues' perpetuals, for the few methods that look at them.
    """

    market: MarketId
    index: IndexPrice
    book: Depth | None
    trade: Trade | None
    funding: FundingEstimate | None
    now: Timestamp
    references: tuple[Reference, ...] = ()


class MarkFlag(StrEnum):
    STALE_INDEX = "stale_index"
    """The index was not computed at this tick but held from an earlier one."""
    NO_FUNDING = "no_funding"
    NO_BOOK = "no_book"
    """No basis: the book has been unusable for too long."""
    KEPT_BASIS = "kept_basis"
    """The book is unusable now; the average from before still counts."""
    COLD = "cold"
    """The average has seen too little of its window to count."""
    NO_TRADE = "no_trade"
    APART = "apart"
    """Two prices were left and were too far apart to average."""
    NO_REFERENCE = "no_reference"
    """No other venue's perpetual to look at."""
    CORRECTED = "corrected"
    """One of three prices lay too far from their median and was left out."""
    STEPPED = "stepped"
    """It moves further than one update may; the rest follows with the next ones."""
    CLAMPED = "clamped"
    """The price, or the sample of its basis, was moved to within its limit: the method's own, and no doubt."""


@dataclass(frozen=True, slots=True)
class MarkPrice:
    """`components`: the prices and the basis that it was chosen from, scaled 1e18, by name."""

    market: MarketId
    price_e18: int
    as_of: Timestamp
    index: IndexId
    index_e18: int
    method: str
    components: tuple[tuple[str, int], ...] = ()
    flags: tuple[MarkFlag, ...] = ()


Flags = tuple[MarkFlag, ...]
Components = tuple[tuple[str, int], ...]


class MarkState(Protocol):
    def to_plain(self) -> dict[str, Any]:
        """A JSON-able document from which `MarkMethod.restore` makes an equal state."""
        ...


S = TypeVar("S", bound=MarkState)


class MarkMethod(Protocol[S]):
    """A frozen dataclass whose fields are the method's options. `grade` and `source`: how far it is proven, and from where."""

    name: ClassVar[str]
    grade: ClassVar[Grade]
    source: ClassVar[str]

    def start(self) -> S: ...

    def restore(self, plain: Plain) -> S:
        """The state that `to_plain` wrote. Raises ValueError or KeyError on anything else."""
        ...

    def step(self, state: S, inputs: MarkInputs) -> tuple[S, MarkPrice]: ...


@dataclass(frozen=True, slots=True)
class NoState:
    """State of a method that remembers nothing."""

    def to_plain(self) -> dict[str, Any]:
        return {}


def within(price_e18: int, index_e18: int, max_basis_bps: int) -> int:
    """The price moved to within `max_basis_bps` of the index, exactly: |result − index| · 10⁴ ≤ limit · index."""
    low = cdiv(index_e18 * (BPS - max_basis_bps), BPS)
    return clamp(price_e18, max(1, low), index_e18 * (BPS + max_basis_bps) // BPS)


def marked(
    method: str,
    inputs: MarkInputs,
    price_e18: int,
    max_basis_bps: int,
    components: tuple[tuple[str, int], ...],
    flags: tuple[MarkFlag, ...],
) -> MarkPrice:
    """The mark after its final clamp, with the flags that every method gives."""
    index = inputs.index
    price = within(price_e18, index.price_e18, max_basis_bps)
    if price != price_e18 and MarkFlag.CLAMPED not in flags:
        flags = (*flags, MarkFlag.CLAMPED)
    if inputs.now - index.as_of > STALE_INDEX_NS:
        flags = (MarkFlag.STALE_INDEX, *flags)
    return MarkPrice(inputs.market, price, inputs.now, index.index, index.price_e18, method, components, flags)
