"""What the keeper hears and decides, noted on a tape: always on, in a ring of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from keeper import __version__
from keeper.adapters.onchain import ONCHAIN_SOURCES
from keeper.adapters.references import REFERENCES
from keeper.adapters.tape.documents import document
from keeper.adapters.tape.lines import FORMAT, PROLOGUE, line
from keeper.adapters.tape.sessions import Heard, RecordingSession
from keeper.adapters.tape.writer import TapeWriter
from keeper.adapters.websocket import SessionFactory, open_session
from keeper.app.boards import Boards
from keeper.domain.ahead import UnderWay
from keeper.domain.exchange import ChainState
from keeper.domain.ids import Address, DeploymentId, MarketId, SourceId
from keeper.domain.operators import venue_of
from keeper.domain.pricing_snapshot import where_of
from keeper.domain.quote import Quote
from keeper.ports.clock import Clock
from keeper.ports.journal import StateStore
from keeper.ports.log import EventLog
from keeper.ports.meter import Meter
from keeper.settings.models import Settings

_HELD = {*ONCHAIN_SOURCES, *REFERENCES}
"""Kinds of sources whose quotes are kept as they were read."""


class Taping:
    """`sessions` makes the sessions that feeds listen with; `service` writes; `attach` follows the boards."""

    def __init__(
        self,
        directory: Path,
        max_mb: int | None,
        settings: Settings,
        store: StateStore,
        clock: Clock,
        log: EventLog,
        meter: Meter,
    ) -> None:
        max_bytes = None if max_mb is None else max_mb << 20
        self.service = TapeWriter(directory, clock, log, meter, max_bytes=max_bytes)
        self.service.prologue = self._prologue
        self._heard = Heard(clock, self.service.put)
        self._settings, self._store, self._clock = settings, store, clock
        self._boards: Boards | None = None
        self.signers: tuple[Address, ...] = ()
        self.snapshots: tuple[str, ...] = ()

    def sessions(self, venue: str) -> SessionFactory:
        return lambda: RecordingSession(venue, open_session(), self._heard)  # type: ignore[return-value]

    def attach(self, boards: Boards, signers: Sequence[Address]) -> None:
        self._boards, self.signers = boards, tuple(signers)
        boards.states.follow(self._state)
        boards.underway.follow(self._said)
        boards.paused.follow(lambda market, why: self._put("paused", market, why))
        boards.paused.follow_drops(lambda market: self._put("paused", market, None))
        boards.quotes.follow(self._held)
        boards.sequencer.follow(lambda _key, word: self._put("sequencer", document(word)))

    def ordered(self, word: str, market: MarketId) -> None:
        """What the operator's `resume` has meant to the market's prices (`keeper.app.operator`)."""
        self._put(word, market)

    def _put(self, kind: str, *words: Any) -> None:
        self.service.put(line(self._clock.now(), kind, *words))

    def _state(self, deployment: DeploymentId, state: ChainState) -> None:
        self._put("state", deployment, document(state))

    def _held(self, source: SourceId, quote: Quote) -> None:
        """What a contract holds came over no venue's connection; a fix counts long after it was heard."""
        if venue_of(source) in _HELD:
            self._put("held", document(quote))

    def _said(self, deployment: DeploymentId, way: UnderWay) -> None:
        prices = {
            each.market: [str(n) for n in (each.index_e18, each.mark_e18, each.premium_e18)]
            for each in way.report.prices
        }
        self._put("said", deployment, way.report.round_id, "0x" + way.report.evidence.hex(), prices)

    def _prologue(self) -> Iterator[bytes]:
        now = self._clock.now()
        about = {
            "format": FORMAT,
            "keeper": __version__,
            "config": self._settings.hash,
            "chain": self._settings.chain.id,
            "signers": self.signers,
        }
        yield line(now, "head", about)
        # And what is said to be found by another name.
        places = [(name, where_of(self._store.load(name))) for name in self.snapshots]
        for name in dict.fromkeys(each for pair in places for each in pair if each is not None):
            if (saved := self._store.load(name)) is not None:
                yield line(now, PROLOGUE + "saved", name, saved)
        yield from self._heard.prologue()
        if self._boards is not None:
            for deployment, state in self._boards.states.snapshot().items():
                yield line(now, PROLOGUE + "state", deployment, document(state))
            for source, quote in self._boards.quotes.snapshot().items():
                if venue_of(source) in _HELD:
                    yield line(now, PROLOGUE + "held", document(quote))
            for market, why in self._boards.paused.snapshot().items():
                yield line(now, PROLOGUE + "paused", MarketId(market), why)
            for word in self._boards.sequencer.snapshot().values():
                yield line(now, PROLOGUE + "sequencer", document(word))
