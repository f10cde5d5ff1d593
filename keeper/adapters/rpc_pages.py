"""Logs of many blocks in pages that fit the node: halved when refused, grown by half while they are short.

While a page is worked on, the next one is already on its way: never more than two are in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from keeper.domain.chain import Log, LogFilter
from keeper.errors import ChainInconsistent, RateLimited, RpcError, RpcUnavailable
from keeper.ports.chain import ChainReader

_ENOUGH_LOGS = 4_000
"""A page of so many is not grown: many nodes refuse from 10,000 on, and decoding a page holds up the event loop."""
_PAGES_REMEMBERED = 16
"""For so many pages nothing near a refused size is asked for: a node may do all of the work before it refuses."""
_HEAD_START_S = 0.001
"""For the next request to leave before the work on this page holds up the event loop."""


@dataclass(frozen=True, slots=True)
class LogPage:
    """All matching logs of blocks first…last, in order."""

    first: int
    last: int
    logs: tuple[Log, ...]


@dataclass(slots=True)
class _Span:
    """How many blocks to ask for at once."""

    blocks: int
    most: int
    ceiling: int = 0
    remembered: int = 0

    def passed(self, logs: int) -> None:
        limit = min(self.ceiling, self.most) if self.remembered else self.most
        self.remembered = max(0, self.remembered - 1)
        if logs < _ENOUGH_LOGS:
            self.blocks = min(self._grown(), limit)

    def refused(self, asked: int) -> None:
        self.blocks = asked // 2
        self.ceiling = self._grown()
        self.remembered = _PAGES_REMEMBERED

    def _grown(self) -> int:
        return self.blocks + self.blocks // 2 + 1


async def pages(
    chain: ChainReader, where: LogFilter, first: int, last: int, *, span: int = 32, max_span: int = 100_000
) -> AsyncIterator[LogPage]:
    """Pages of blocks first…last without gap or overlap; `span` is the first page's size in blocks.

    It is small because a page too small costs a round trip, and one too large all that the node did in vain.
    Raises what the node says about a single block, RateLimited at once, ChainInconsistent for a log outside its page:
    each where the page would have stood, after those before it.
    """
    if first > last:
        return
    size = _Span(span, max_span)
    page = await _page(chain, where, first, last, size)
    while page.last < last:
        coming = asyncio.ensure_future(_page(chain, where, page.last + 1, last, size))
        try:
            await asyncio.wait([coming], timeout=_HEAD_START_S)
            yield page
            page = await coming
        finally:  # whoever stops halfway leaves no request behind, and no error that nobody has seen
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
    yield page


async def _page(chain: ChainReader, where: LogFilter, first: int, last: int, size: _Span) -> LogPage:
    """The page that begins with `first`, as large as the node lets it be."""
    while True:
        until = min(first + size.blocks - 1, last)
        try:
            logs = await chain.logs(where, first, until)
        except RateLimited:
            raise
        except (RpcError, RpcUnavailable):
            if until == first:
                raise
            size.refused(until - first + 1)
            continue
        if any(not first <= log.block_number <= until for log in logs):
            raise ChainInconsistent(f"asked for logs of blocks {first}…{until}, was given one outside of them")
        size.passed(len(logs))
        return LogPage(first, until, logs)
