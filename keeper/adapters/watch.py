"""Watching one connection for silence, per source: a heartbeat on the line says nothing about the data of one symbol."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from keeper.adapters.intake import Intake, Order
from keeper.adapters.liveness import judge_silence
from keeper.adapters.polling import RestClient
from keeper.adapters.tuning import FeedTuning
from keeper.domain.ids import SourceId
from keeper.domain.quote import Quote
from keeper.errors import FeedDisconnected, FeedProtocolError, RateLimited
from keeper.ports.venue import VenueEvent


class Watched(Protocol):
    """What a watch may ask of its connection, and do to it."""

    current: bool
    down: bool
    refused: set[SourceId]

    def end(self, reason: str, detail: str = "") -> None: ...

    def leave(self, reason: str) -> None: ...

    def refuse(self, sources: Iterable[SourceId], reason: str) -> None: ...


@dataclass(slots=True, eq=False)
class SilenceWatch:
    """Probes a silent source by REST, and acts when REST knows what the stream should have told."""

    connection: Watched
    rest: RestClient
    intake: Intake
    order: Order
    symbols: Mapping[SourceId, str]
    tuning: FeedTuning
    heard_at: dict[SourceId, float] = field(default_factory=dict)
    """Loop time of the last data of each source."""
    stalled: set[SourceId] = field(default_factory=set)
    """Sources that move by REST while their stream is silent."""
    _checked_at: dict[SourceId, float] = field(default_factory=dict)
    _unanswered: dict[SourceId, int] = field(default_factory=dict)

    def hear(self, source: SourceId, at: float) -> None:
        """Data of `source` came."""
        self.heard_at[source] = at
        if self._unanswered:
            self._unanswered.pop(source, None)
        if source in self.stalled:
            self.stalled.discard(source)
            if self.connection.current:
                self.intake.tell("connected", (source,), self.rest.clock.now(), reason="data_resumed")

    def excuse(self, sources: Iterable[SourceId], at: float) -> None:
        """A frame came that was not understood: no data, but no silence either."""
        for source in sources:
            self._checked_at[source] = at
            if source in self.heard_at:
                self.heard_at[source] = at

    async def run(self) -> None:
        quiet_s, loop = self.tuning.quiet_of(self.rest.venue), asyncio.get_running_loop()
        self._checked_at = dict.fromkeys(self.symbols, loop.time())
        while True:
            await asyncio.sleep(max(0.02, quiet_s / 5))
            for source, symbol in self.symbols.items():
                spoke_at = max(self.heard_at.get(source, 0.0), self._checked_at[source])
                silent = loop.time() - spoke_at >= quiet_s
                if silent and source not in self.connection.refused and not self.connection.down:
                    await self._probe(symbol, source)
                    self._checked_at[source] = loop.time()

    async def _probe(self, symbol: str, source: SourceId) -> None:
        heard, asked_at = self.intake.last.get(source), asyncio.get_running_loop().time()
        try:
            answer = await self.rest.fetch(symbol)
        except RateLimited:
            return
        except (FeedDisconnected, FeedProtocolError) as error:
            self._no_answer(source, str(error))
            return
        if answer is None:
            self._no_answer(source, "no REST to ask")
        elif isinstance(answer, VenueEvent):
            self.connection.refuse((source,), answer.reason)
        elif self.heard_at.get(source, 0.0) < asked_at:
            self._unanswered.pop(source, None)
            await self._compare(source, heard, answer)

    async def _compare(self, source: SourceId, heard: Quote | None, answer: Quote) -> None:
        asked_at = asyncio.get_running_loop().time()
        verdict = judge_silence(heard, answer, self.rest.venue.trade_driven)
        self.intake.tell("probed", (source,), answer.received_at, reason=verdict)
        admitted = self.connection.current and self.intake.admit(answer, self.order)
        if self.connection.current and not admitted and heard is not None and verdict == "quiet":
            # REST's own time may be coarser than the stream's, and so look older.
            self.intake.confirm(replace(heard, received_at=answer.received_at), self.order)
        if verdict == "stalled":
            await asyncio.sleep(self.tuning.confirm_s)
            if self.heard_at.get(source, 0.0) < asked_at:
                self._stall(source, f"{source} moved while its stream was silent")

    def _no_answer(self, source: SourceId, reason: str) -> None:
        """Silence that nobody can explain ends the connection: a new one costs little."""
        self._unanswered[source] = self._unanswered.get(source, 0) + 1
        if self._unanswered[source] >= self.tuning.unanswered_probes:
            self._stall(source, f"{source} is silent and cannot be checked: {reason}")

    def _stall(self, source: SourceId, detail: str) -> None:
        """A line that is wholly silent is cut; one that still carries other symbols is replaced while it goes on."""
        now, quiet_s = asyncio.get_running_loop().time(), self.tuning.quiet_of(self.rest.venue)
        if all(now - at >= quiet_s for at in self.heard_at.values()):
            self.connection.end("stalled", detail)
            return
        if source not in self.stalled and self.connection.current:
            self.intake.tell("disconnected", (source,), self.rest.clock.now(), "stalled", detail, retry_in_s=0.0)
        self.stalled.add(source)
        self.connection.leave("stalled")
