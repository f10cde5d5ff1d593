"""A venue that has no ticker to ask is listened to, until each symbol has spoken or the time is over."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from keeper.adapters.clock import SystemClock
from keeper.adapters.feeds import feed_of
from keeper.domain.ids import SourceId, source_id
from keeper.domain.quote import Depth, Observation, Quote
from keeper.ports.feed import FeedNotice
from keeper.ports.venue import StreamVenue

LISTEN_S = 10.0
Said = Quote | Depth | str
"""The first that was heard, or why there is nothing; `~` in front where the venue was away or silent."""


async def listen(venue: StreamVenue[Any], symbols: Sequence[str], within_s: float = LISTEN_S) -> dict[SourceId, Said]:
    """By the feed of `keeper run` itself, so that what is heard here is heard there too."""
    ear = _Ear(venue, dict.fromkeys((source_id(venue.name, symbol) for symbol in symbols), None))
    feed = feed_of(venue, symbols, SystemClock(), random.Random())  # noqa: S311  (jitter)
    async with asyncio.TaskGroup() as tasks:
        listening = tasks.create_task(feed.run(ear.hear, ear.note))
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await ear.complete.wait()
        listening.cancel()
    silence = f"~{ear.misheard or f'nothing within {within_s:g} s'}"
    return {source: said or silence for source, said in ear.said.items()}


@dataclass(slots=True)
class _Ear:
    venue: StreamVenue[Any]
    said: dict[SourceId, Said | None]
    misheard: str = ""
    complete: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, observation: Observation) -> None:
        if isinstance(observation, Quote | Depth):
            self._settle(observation.source, observation)

    def note(self, notice: FeedNotice) -> None:
        if notice.kind == "frame_dropped":
            self.misheard = self.misheard or f"nothing that could be understood: {notice.detail or notice.reason}"
        for source in notice.sources:
            if notice.kind == "symbol_refused":
                self._settle(source, f"not listed: {notice.detail}")
            elif notice.kind == "disconnected":
                self._settle(source, f"~{self._lost(notice)}")

    def _lost(self, notice: FeedNotice) -> str:
        why = notice.detail if notice.reason == "connect_failed" else f"{notice.reason} {notice.detail}".strip()
        return f"{why} at {urlsplit(self.venue.endpoints[0]).netloc}, the address in venues.{self.venue.name}.url"

    def _settle(self, source: SourceId, said: Said) -> None:
        if self.said.get(source, said) is None:
            self.said[source] = said
        if None not in self.said.values():
            self.complete.set()
