"""A publisher of rates that changes now and then: asked by REST, described without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from keeper.domain.time import Timestamp


@dataclass(frozen=True, slots=True)
class Fix:
    """What was published together, at the publisher's own time. `rates_e18` in its own terms, by currency."""

    at: Timestamp
    rates_e18: Mapping[str, int]
    frame_hash: str | None = None
    """As of a quote: of the answer that it was read from."""


class Reference(Protocol):
    """`every_s`: how often it is polite to ask."""

    @property
    def name(self) -> str: ...

    @property
    def rest_url(self) -> str: ...

    @property
    def every_s(self) -> float: ...

    @property
    def max_bytes(self) -> int: ...

    def read(self, body: bytes) -> Fix:
        """Raises FeedProtocolError."""
        ...

    @staticmethod
    def currencies(symbol: str) -> tuple[str, str]:
        """Base and quote of its pair. Raises FeedProtocolError for what is no symbol of its own."""
        ...

    def price_e18(self, symbol: str, fix: Fix) -> int | None:
        """None where it does not publish one. Raises FeedProtocolError for what is no symbol of its own."""
        ...
