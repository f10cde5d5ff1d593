"""How often the head service looks is the operator's to say, and looking seldom is not hanging."""

from __future__ import annotations

import asyncio

from keeper.domain.chain import BlockRef
from keeper.domain.heads import Head
from keeper.runtime.board import Board
from keeper.services.heads import HeadService, Pace
from tests.services.fakes import Desk, play, running


class Still:
    """A chain that stays at one block."""

    def __init__(self, tip: BlockRef) -> None:
        self.tip = tip

    async def head(self) -> BlockRef:
        return self.tip

    async def head_number(self) -> int:
        return self.tip.number

    async def block(self, number: int) -> BlockRef | None:
        return self.tip if number == self.tip.number else None


def test_run__asked_to_look_every_five_minutes__is_not_late_between() -> None:
    async def scenario() -> None:
        desk = Desk()
        heads: Board[str, Head] = Board()
        blocks: Board[str, BlockRef] = Board()
        pace = Pace(poll_min_s=300.0, poll_max_s=300.0)
        chain = Still(desk.chain.mine())
        service = HeadService(31_337, chain, heads, blocks, desk.clock, desk.log, desk.meter, desk.pulse, pace)
        async with running(service):
            for _ in range(60):
                await asyncio.sleep(17)
                assert not desk.pulse.late()

    play(scenario)
