"""Logs of many blocks in pages that fit the node: halved when refused, grown by half when they pass."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from keeper.domain.chain import Log, LogFilter
from keeper.errors import ChainInconsistent, RateLimited, RpcError, RpcUnavailable
from keeper.ports.chain import ChainReader


@dataclass(frozen=True, slots=True)
class LogPage:
    """All matching logs of blocks first…last, in order."""

    first: int
    last: int
    logs: tuple[Log, ...]


async def pages(
    chain: ChainReader, where: LogFilter, first: int, last: int, *, span: int = 1_000, max_span: int = 100_000
) -> AsyncIterator[LogPage]:
    """Pages of blocks first…last without gap or overlap; `span` is the first page's size in blocks.

    Raises what the node says about a single block, RateLimited at once, ChainInconsistent for a log outside its page.
    """
    while first <= last:
        until = min(first + span - 1, last)
        try:
            logs = await chain.logs(where, first, until)
        except RateLimited:
            raise
        except (RpcError, RpcUnavailable):
            if until == first:
                raise
            span = (until - first + 1) // 2
            continue
        if any(not first <= log.block_number <= until for log in logs):
            raise ChainInconsistent(f"asked for logs of blocks {first}…{until}, was given one outside of them")
        yield LogPage(first, until, logs)
        first = until + 1
        span = min(span + span // 2 + 1, max_span)
