"""Trades of one source over the last seconds, and their volume-weighted average. Written by one owner."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from keeper.domain.ids import IndexId, SourceId
from keeper.domain.index_methods import Vwap
from keeper.domain.index_spec import IndexSpec
from keeper.domain.index_state import Traded
from keeper.domain.quote import Trade
from keeper.domain.time import SECOND, Timestamp, nanos

LONGEST_TAPE = 100_000
"""Trades kept at most; beyond, the oldest leave early and the window is shorter."""


@dataclass(slots=True)
class Tape:
    """Counts a trade from when we received it until `window_ns` later, with sums that are exact at each instant.

    A trade that the venue observed longer ago than the window, as it tells them after a reconnect, does not count, and one
    told twice counts once. Nor does one from before the clock was set back by more than the window.
    """

    window_ns: int = 60 * SECOND
    _trades: deque[Trade] = field(default_factory=deque)
    _ids: set[str] = field(default_factory=set)
    _value_e36: int = 0
    _volume_e18: int = 0

    def add(self, trade: Trade) -> None:
        """Trades come in the order of their receipt."""
        old = trade.observed_at is not None and trade.received_at - trade.observed_at > self.window_ns
        if old or trade.price_e18 <= 0 or trade.size_e18 <= 0 or trade.trade_id in self._ids:
            return
        self._trades.append(trade)
        if trade.trade_id is not None:
            self._ids.add(trade.trade_id)
        self._value_e36 += trade.price_e18 * trade.size_e18
        self._volume_e18 += trade.size_e18
        if len(self._trades) > LONGEST_TAPE:
            self._drop()

    def traded(self, now: Timestamp) -> Traded | None:
        """The average over the window that ends `now`; None without trades in it."""
        while self._trades and abs(now - self._trades[0].received_at) > self.window_ns:
            self._drop()
        return Traded(self._value_e36 // self._volume_e18, self._volume_e18) if self._volume_e18 else None

    def _drop(self) -> None:
        trade = self._trades.popleft()
        if trade.trade_id is not None:
            self._ids.discard(trade.trade_id)
        self._value_e36 -= trade.price_e18 * trade.size_e18
        self._volume_e18 -= trade.size_e18


@dataclass(slots=True)
class Tapes:
    """One tape for each source of each index that goes by trades."""

    by_index: dict[IndexId, dict[SourceId, Tape]] = field(default_factory=dict)

    @staticmethod
    def of(specs: Iterable[IndexSpec]) -> Tapes:
        found = {}
        for spec in specs:
            if isinstance(spec.method, Vwap):
                window_ns = nanos(spec.method.window_s)
                found[spec.id] = {source.source: Tape(window_ns) for source in spec.sources}
        return Tapes(found)

    def heard(self, source: SourceId, trade: Trade) -> None:
        for tapes in self.by_index.values():
            if source in tapes:
                tapes[source].add(trade)

    def traded(self, now: Timestamp) -> Mapping[IndexId, Mapping[SourceId, Traded]]:
        """What each source traded in the window that ends `now`; sources without trades are left out."""
        return {
            index: {source: found for source, tape in tapes.items() if (found := tape.traded(now)) is not None}
            for index, tapes in self.by_index.items()
        }
