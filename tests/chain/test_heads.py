"""The head service on a real chain: soon, once, and with every reorganisation noticed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from keeper.adapters.clock import SystemClock
from keeper.adapters.rpc import RpcChain
from keeper.adapters.rpc_http import RpcEndpoint
from keeper.domain.chain import BlockRef
from keeper.domain.heads import Head
from keeper.runtime.board import Board
from keeper.runtime.pulse import Pulse
from keeper.services.heads import HeadService, Pace
from tests.chain.stage import CHAIN_ID, Log, Stage, Tally


class Follower:
    """A running head service and every head it published."""

    def __init__(self, stage: Stage, pace: Pace) -> None:
        self.log = Log()
        self.heads: Board[str, Head] = Board()
        blocks: Board[str, BlockRef] = Board()
        clock = SystemClock()
        self.chain = RpcChain([RpcEndpoint(stage.node.url)], CHAIN_ID, meter=Tally(), log=self.log)
        self.service = HeadService(
            CHAIN_ID, self.chain, self.heads, blocks, clock, self.log, Tally(), Pulse(clock), pace
        )
        self.seen: list[Head] = []

    async def told(self, event: str) -> None:
        async with asyncio.timeout(30):
            while not self.log.named(event):  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.02)

    async def next(self, at_least: int) -> Head:
        async with asyncio.timeout(30):
            while True:
                version = self.heads.version
                head = self.heads.get("head")
                if head is not None and head.ref.number >= at_least and head not in self.seen:
                    self.seen.append(head)
                    return head
                await self.heads.changed(version)


@asynccontextmanager
async def following(stage: Stage, pace: Pace | None = None) -> AsyncIterator[Follower]:
    follower = Follower(stage, pace or Pace(poll_min_s=0.02, poll_max_s=0.05, recheck_s=0.05))
    async with follower.chain:
        task = asyncio.create_task(follower.service.run())
        try:
            yield follower
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_new_blocks__one_by_one__extend_each_other(automine: Stage) -> None:
    async with following(automine) as follower:
        first = await follower.next(1)
        await automine.mine()
        second = await follower.next(first.ref.number + 1)
        assert second.ref.parent_hash == first.ref.hash
        assert (second.reorged_from, second.reorgs) == (None, 0)


async def test_many_blocks_at_once__is_no_reorganisation(automine: Stage) -> None:
    async with following(automine) as follower:
        first = await follower.next(1)
        await automine.rpc.call("anvil_mine", hex(400))
        head = await follower.next(first.ref.number + 400)
        assert (head.reorged_from, head.reorgs) == (None, 0)


@pytest.mark.parametrize("depth", [1, 3])
async def test_reorganised__at_the_same_height__is_noticed_with_its_depth(automine: Stage, depth: int) -> None:
    async with following(automine) as follower:
        for number in range(1, 7):  # blocks with something in them: an empty one can come back just as it was
            await automine.record_as_other(number)
        first = await follower.next(9)
        await automine.rpc.call("anvil_reorg", depth, [])
        second = await follower.next(first.ref.number)
        assert second.ref.number == first.ref.number
        assert second.ref.hash != first.ref.hash
        assert second.reorgs >= 1
        # anvil rewinds and mines again block by block: the poll may fall in between and see it in two steps
        noticed = [keys["reorged_from"] for keys in follower.log.named("chain.reorged")]
        assert min(noticed) == first.ref.number - depth + 1
        assert len(noticed) == second.reorgs


async def test_reorganised__while_nobody_looked__is_counted(automine: Stage) -> None:
    async with following(automine) as follower:
        await automine.rpc.call("anvil_mine", hex(4))
        first = await follower.next(6)
        await automine.rpc.call("anvil_reorg", 2, [])
        await automine.rpc.call("anvil_mine", hex(3))
        head = await follower.next(first.ref.number + 3)
        assert head.reorgs >= 1


async def test_silence__is_called_lagging_once_until_it_ends(automine: Stage) -> None:
    async with following(automine, Pace(0.02, 0.05, 0.05, lag_after_s=0.2)) as follower:
        first = await follower.next(1)
        await follower.told("chain.lagged")
        await asyncio.sleep(0.4)
        assert len(follower.log.named("chain.lagged")) == 1
        await automine.mine()
        await follower.next(first.ref.number + 1)
        assert len(follower.log.named("chain.caught_up")) == 1


async def test_node__away_and_back__is_told_once_each(automine: Stage) -> None:
    async with following(automine) as follower:
        first = await follower.next(1)
        assert automine.node.pid is not None
        await automine.node.stop()
        await follower.told("chain.unreachable")
        await asyncio.sleep(0.4)
        assert len(follower.log.named("chain.unreachable")) == 1
        assert follower.heads.get("head") == first
