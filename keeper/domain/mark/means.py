"""Three means by the names that descriptions of perpetuals give them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keeper.domain.mark.twap import Of, Twap


@dataclass(frozen=True, slots=True)
class BookTwap(Twap):
    """Time-weighted mean of the own book's mid."""

    name: ClassVar[str] = "book_twap"


@dataclass(frozen=True, slots=True)
class LastTwap(Twap):
    """Time-weighted mean of the own last trade."""

    of: Of = "last"

    name: ClassVar[str] = "last_twap"


@dataclass(frozen=True, slots=True)
class SpotTwap(Twap):
    """Time-weighted mean of the spot index."""

    of: Of = "index"

    name: ClassVar[str] = "spot_twap"
