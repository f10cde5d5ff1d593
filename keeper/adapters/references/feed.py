"""Asks a reference now and then. Implements QuoteFeed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import aiohttp

from keeper.adapters.backoff import full_jitter_s
from keeper.adapters.budget import LIMITING
from keeper.adapters.causes import cause, shortened
from keeper.adapters.references.reference import Fix, Reference
from keeper.adapters.sources.wire import frame_hash
from keeper.adapters.websocket import SessionFactory, open_session
from keeper.domain.ids import SourceId, source_id
from keeper.domain.quote import Quote
from keeper.domain.time import SECOND
from keeper.errors import FeedDisconnected, FeedProtocolError
from keeper.ports.clock import Clock
from keeper.ports.feed import Emit, FeedNotice, NoticeKind, Notify

_TIMEOUT_S = 10.0
_OK = 200
_FIRST_RETRY_S = 30.0
_MAX_AHEAD_NS = 600 * SECOND
"""A fix may be out a little before the hour that it is dated by."""


async def fetch_fix(reference: Reference, session: aiohttp.ClientSession) -> Fix:
    """One request, bounded in time and size, without redirects. Raises FeedDisconnected or FeedProtocolError."""
    try:
        async with (
            asyncio.timeout(_TIMEOUT_S),
            session.request("GET", reference.rest_url, allow_redirects=False) as response,
        ):
            if response.status != _OK:
                limited = "asked us to wait: " if response.status in LIMITING else ""
                raise FeedDisconnected(f"{reference.name} {limited}HTTP {response.status}")
            body = b""
            async for chunk in response.content.iter_chunked(16_384):
                body += chunk
                if len(body) > reference.max_bytes:
                    raise FeedProtocolError(f"an answer of more than {reference.max_bytes} bytes")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise FeedDisconnected(f"{reference.name}: {cause(error)}") from None
    return replace(reference.read(body), frame_hash=frame_hash(body))


@dataclass(frozen=True, slots=True)
class ReferenceFeed:
    """`symbols` of one reference. A failure is told and tried again, soon at first; what was said last stands until it is old."""

    reference: Reference
    symbols: Sequence[str]
    clock: Clock
    rng: random.Random
    sessions: SessionFactory = open_session
    first_retry_s: float = _FIRST_RETRY_S
    told: dict[SourceId, str] = field(default_factory=dict)
    last: dict[SourceId, Quote] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.reference.name

    async def run(self, emit: Emit, notify: Notify) -> None:
        failures = 0
        self.told.clear()  # after a defect everything is told anew
        async with self.sessions() as session:
            while True:
                failures = 0 if await self.look(session, emit, notify) else failures + 1
                await asyncio.sleep(self._pause_s(failures))

    def _pause_s(self, failures: int) -> float:
        every_s, draw = self.reference.every_s, self.rng.random()
        if not failures:
            return every_s * (1.0 - 0.1 * draw)
        return self.first_retry_s + full_jitter_s(failures - 1, draw, self.first_retry_s, every_s)

    async def look(self, session: aiohttp.ClientSession, emit: Emit, notify: Notify) -> bool:
        """False when it did not answer as it should."""
        try:
            fix = await fetch_fix(self.reference, session)
        except FeedDisconnected as error:
            return self._failed("disconnected", "rest", str(error), notify)
        except FeedProtocolError as error:
            return self._failed("reading_refused", "protocol", str(error), notify)
        if fix.at > self.clock.now() + _MAX_AHEAD_NS:
            return self._failed("reading_refused", "future", "a fix of a day to come", notify)
        for symbol in self.symbols:
            self._said(source_id(self.name, symbol), self._price(symbol, fix), fix, emit, notify)
        return True

    def _price(self, symbol: str, fix: Fix) -> int | None:
        try:
            return self.reference.price_e18(symbol, fix)
        except FeedProtocolError:
            return None

    def _failed(self, kind: NoticeKind, reason: str, detail: str, notify: Notify) -> bool:
        for symbol in self.symbols:
            self._tell(source_id(self.name, symbol), kind, reason, detail, notify)
        return False

    def _said(self, source: SourceId, price_e18: int | None, fix: Fix, emit: Emit, notify: Notify) -> None:
        if not price_e18:
            self._tell(source, "symbol_refused", "unlisted", "it publishes no rate of this pair", notify)
            return
        now, before = self.clock.now(), self.last.get(source)
        if before is not None and before.observed_at is not None and fix.at < before.observed_at:
            self._tell(source, "reading_refused", "older", "an older fix than the one before", notify)
            return
        same = before is not None and (before.last_e18, before.observed_at) == (price_e18, fix.at)
        changed_at = before.changed_at if before and same else now
        quote = Quote(source, now, changed_at, fix.at, last_e18=price_e18, frame_hash=fix.frame_hash)
        self.last[source] = quote
        self._tell(source, "connected", "", "", notify)
        emit(quote)

    def _tell(self, source: SourceId, kind: NoticeKind, reason: str, detail: str, notify: Notify) -> None:
        """Changes alone."""
        word = f"{kind}:{reason}"
        if self.told.get(source) != word:
            self.told[source] = word
            notify(FeedNotice(kind, self.name, (source,), self.clock.now(), reason, shortened(detail)))
