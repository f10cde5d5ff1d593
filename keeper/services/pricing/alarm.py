"""A source that moved far is priced at once: who listens to the quotes for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from keeper.domain.ids import SourceId
from keeper.domain.numbers import BPS
from keeper.domain.quote import Quote

_HALF_BPS = 2 * BPS
"""Halves of a basis point in one."""


@dataclass(slots=True)
class Alarm:
    """Rings when a source has moved as far as half of `limit_bps` since it was priced; never, when that is None.

    `priced` gives the quotes of the last tick.
    """

    priced: Callable[[], Mapping[SourceId, Quote]]
    limit_bps: int | None
    rung: asyncio.Event = field(default_factory=asyncio.Event)
    _far: set[SourceId] = field(default_factory=set)

    def heard(self, source: SourceId, quote: Quote) -> None:
        before = self.priced().get(source)
        if before is None or self.limit_bps is None:
            return
        old = _middle(before)
        if abs(_middle(quote) - old) * _HALF_BPS >= self.limit_bps * old:
            self._far.add(source)
            self.rung.set()

    def moved(self) -> set[SourceId]:
        """Which have, since it was asked last."""
        far, self._far = self._far, set()
        self.rung.clear()
        return far


def _middle(quote: Quote) -> int:
    """Twice what a quote says, roughly: to see whether it moved."""
    if quote.bid_e18 is None or quote.ask_e18 is None:
        return 2 * (quote.last_e18 or 0)
    return quote.bid_e18 + quote.ask_e18
