"""Follows one chain's head: a cheap question often, the header when it moved, the parents when they do not fit."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from keeper.domain.chain import BlockRef
from keeper.domain.heads import Head, Ring, block_at, block_time_s, extended, joins
from keeper.domain.time import MILLISECOND, SECOND, Timestamp, nanos
from keeper.errors import DataError, TransientError, WrongChain
from keeper.ports.clock import Clock
from keeper.ports.log import EventLog
from keeper.ports.meter import Meter
from keeper.runtime.board import Board, first_change
from keeper.runtime.pulse import Pulse

KEY = "head"
_SOON = frozenset({1, 2, 3})
"""So many blocks ahead of what the pool shows a stream is believed: its node is quicker, and the others are about to have it."""

_READ_AT_MOST = 16
"""Headers that we missed are read one after another, and all of them within `read_timeout_s`; where more are missing, none is."""


class HeadReader(Protocol):
    """The part of a ChainReader that is needed here, and the cheapest question about progress."""

    async def head_number(self) -> int: ...

    async def head(self) -> BlockRef: ...

    async def block(self, number: int) -> BlockRef | None: ...


@dataclass(frozen=True, slots=True)
class Pace:
    """Polls ten times per block within [poll_min_s, poll_max_s]; reads the header at least every `recheck_s`, because
    a reorganisation may leave the number as it is; calls the chain lagging after `lag_after_s` without a new head.
    Every `streamed_s` while a stream has announced just the head that we have: the next one it will announce.
    """

    poll_min_s: float = 0.1
    poll_max_s: float = 1.0
    recheck_s: float = 1.0
    streamed_s: float = 2.0
    lag_after_s: float = 60.0
    read_timeout_s: float = 5.0


@dataclass(slots=True)
class _Watch:
    ring: Ring = ()
    reorgs: int = 0
    read_ns: int = 0
    seen: int = 0
    moved_ns: int | None = None
    lagging: bool = False
    unreachable: bool = False


@dataclass(frozen=True, slots=True)
class HeadService:
    """Publishes each new Head on `heads` and its block on `blocks`, both under the key `head`.

    `streams`: the numbers of heads that nodes announce by themselves. A number there makes us look, and proves nothing.
    """

    chain_id: int
    chain: HeadReader
    heads: Board[str, Head]
    blocks: Board[str, BlockRef]
    clock: Clock
    log: EventLog
    meter: Meter
    pulse: Pulse
    pace: Pace = Pace()
    depth: int = 128
    streams: Board[str, int] = field(default_factory=Board)
    _watch: _Watch = field(default_factory=_Watch)

    @property
    def name(self) -> str:
        return f"heads:{self.chain_id}"

    async def run(self) -> None:
        """Heals whatever the node does; ends only with WrongChain."""
        longest_pause_s = max(self.pace.poll_max_s, self.pace.streamed_s)
        self.pulse.expect(self.name, 10 * self.pace.read_timeout_s + longest_pause_s)
        while True:
            await self._poll()
            self._judge_lag()
            self.pulse.beat(self.name)
            await self._pause()

    async def _poll(self) -> None:
        try:
            async with asyncio.timeout(self.pace.read_timeout_s):
                if await self._is_due():
                    await self._read()
        except WrongChain:
            raise
        except (TransientError, TimeoutError, DataError) as error:
            if not self._watch.unreachable:
                self.log.warning("chain.unreachable", chain=self.chain_id, error=str(error) or "timed out")
            self._watch.unreachable = True
            return
        if self._watch.unreachable:
            self.log.info("chain.reachable", chain=self.chain_id)
        self._watch.unreachable = False

    async def _is_due(self) -> bool:
        ring, due_ns = self._watch.ring, self._watch.read_ns + nanos(self.pace.recheck_s)
        announced, self._watch.seen = self.streams.version != self._watch.seen, self.streams.version
        if announced or not ring or _now_ns() >= due_ns:
            return True
        return await self.chain.head_number() != ring[-1].number

    async def _read(self) -> None:
        ref = await self.chain.head()
        received_at, self._watch.read_ns = self.clock.now(), _now_ns()
        seen = block_at(self._watch.ring, ref.number)
        if seen is not None and seen.hash == ref.hash:
            return  # nothing new, or an endpoint that lags behind another
        fresh = await self._linked(ref)
        if fresh is not None:
            self._publish(fresh, received_at)

    async def _linked(self, ref: BlockRef) -> Ring | None:
        """`ref` and its ancestors down to one whose parent we know, or to the oldest that we know: below that nothing can
        join. None when the chain moved while we read.
        """
        fresh = [ref]
        ring = self._watch.ring
        while ring and not joins(ring, fresh[0]) and len(fresh) < self.depth and fresh[0].number > ring[0].number:
            if fresh[0].number > ring[-1].number + _READ_AT_MOST:
                return await self._skipped(ref)
            parent = await self.chain.block(fresh[0].number - 1)
            if parent is None or parent.hash != fresh[0].parent_hash:
                return None
            fresh.insert(0, parent)
        return tuple(fresh)

    async def _skipped(self, ref: BlockRef) -> Ring:
        """Too far behind to read every header: the old tip alone tells whether what we knew still holds."""
        tip = self._watch.ring[-1]
        same = await self.chain.block(tip.number)
        if same is not None and same.hash == tip.hash:
            self._watch.ring = ()
        return (ref,)

    def _publish(self, fresh: Ring, received_at: Timestamp) -> None:
        watch = self._watch
        watch.ring, reorged_from = extended(watch.ring, fresh, self.depth)
        ref = watch.ring[-1]
        if reorged_from is not None:
            watch.reorgs += 1
            self.meter.count("keeper_chain_reorgs_total", chain=str(self.chain_id))
            self.log.warning("chain.reorged", chain=self.chain_id, block=ref.number, reorged_from=reorged_from)
        if watch.lagging:
            self.log.info("chain.caught_up", chain=self.chain_id, block=ref.number)
        watch.moved_ns, watch.lagging = watch.read_ns, False
        self.meter.gauge("keeper_chain_head_block", ref.number, chain=str(self.chain_id))
        self.meter.gauge("keeper_chain_head_timestamp_seconds", ref.timestamp_s, chain=str(self.chain_id))
        self.blocks.put(KEY, ref)
        self.heads.put(KEY, Head(ref, reorged_from, received_at, watch.read_ns, watch.reorgs))

    def _judge_lag(self) -> None:
        watch, now_ns = self._watch, _now_ns()
        if watch.moved_ns is None:
            watch.moved_ns = now_ns
        silent_ns = now_ns - watch.moved_ns
        if silent_ns >= self.pace.lag_after_s * SECOND and not watch.lagging:
            watch.lagging = True
            block = watch.ring[-1].number if watch.ring else None
            self.log.warning("chain.lagged", chain=self.chain_id, block=block, age_ms=silent_ns // MILLISECOND)

    async def _pause(self) -> None:
        """Until it is time to look again, or a stream announces something; one that babbles is not followed closer."""
        pause_s = self._pause_s()
        least_s = pause_s if self._watch.unreachable else min(pause_s, self.pace.poll_min_s)
        await asyncio.sleep(least_s)
        await first_change((self.streams, self._watch.seen), timeout_s=pause_s - least_s)

    def _pause_s(self) -> float:
        pace, ring = self.pace, self._watch.ring
        if self._watch.unreachable:
            return pace.poll_max_s
        leads = {number - ring[-1].number for number in self.streams.snapshot().values()} if ring else set()
        if leads & _SOON:
            return pace.poll_min_s
        if 0 in leads:
            return max(pace.streamed_s, pace.poll_max_s)
        between_s = block_time_s(ring)
        return pace.poll_min_s if between_s is None else min(max(between_s / 10, pace.poll_min_s), pace.poll_max_s)


def _now_ns() -> int:
    """Of a clock that nobody sets."""
    return nanos(asyncio.get_running_loop().time())
