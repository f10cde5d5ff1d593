"""What a venue said. Prices and sizes are scaled by 1e18."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from keeper.domain.ids import SourceId
from keeper.domain.time import Timestamp


@dataclass(frozen=True, slots=True)
class Quote:
    """Best bid, best ask and last trade of one source, as far as the venue states them.

    `observed_at` is the venue's own time and None where it gives none: it is never invented.
    `received_at` is our time when the frame arrived. `changed_at` is our time when content or sequence last changed:
    the age of a quote without a venue time.
    """

    source: SourceId
    received_at: Timestamp
    changed_at: Timestamp
    observed_at: Timestamp | None = None
    bid_e18: int | None = None
    ask_e18: int | None = None
    bid_size_e18: int | None = None
    ask_size_e18: int | None = None
    last_e18: int | None = None
    sequence: int | None = None
    frame_hash: str | None = None
    """First 16 hexadecimal digits of the SHA-256 of the raw frame."""

    def content(self) -> tuple[int | None, ...]:
        """What must differ for the quote to count as changed."""
        return (self.bid_e18, self.ask_e18, self.bid_size_e18, self.ask_size_e18, self.last_e18, self.sequence)


class Level(NamedTuple):
    """A tuple, because a book has dozens and each is made anew with every frame."""

    price_e18: int
    size_e18: int


@dataclass(frozen=True, slots=True)
class Depth:
    """Visible book of one source, best level first."""

    source: SourceId
    received_at: Timestamp
    observed_at: Timestamp | None
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    sequence: int | None = None
    frame_hash: str | None = None


@dataclass(frozen=True, slots=True)
class Trade:
    """One trade at one source."""

    source: SourceId
    received_at: Timestamp
    observed_at: Timestamp | None
    price_e18: int
    size_e18: int
    trade_id: str | None = None
    frame_hash: str | None = None


Observation = Quote | Depth | Trade
Quotes = Mapping[SourceId, Quote]
