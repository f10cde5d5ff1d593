"""How often the head service looks is the operator's to say, and looking seldom is not hanging. A slow node is caught up with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from keeper.domain.chain import BlockRef
from keeper.domain.heads import Head
from keeper.domain.ids import Hash
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


def test_blocks_of_one_second__are_noticed_within_a_tenth() -> None:
    async def scenario() -> None:
        desk = Desk()
        heads: Board[str, Head] = Board()
        chain = Still(desk.chain.mine())
        service = HeadService(31_337, chain, heads, Board(), desk.clock, desk.log, desk.meter, desk.pulse)
        async with running(service):
            for turn in range(12):
                await asyncio.sleep(0.9 + 0.017 * turn)
                chain.tip = desk.chain.mine()
                await asyncio.sleep(0.101)
                head = heads.get("head")
                assert head is not None
                assert head.ref == chain.tip

    play(scenario)


class Slow:
    """A chain whose node takes a tenth of a second for each header. `fork` tells apart what is mined from then on."""

    def __init__(self) -> None:
        self.line: list[BlockRef] = []
        self.fork = 0
        self.mine(200)

    def mine(self, count: int) -> None:
        for number in range(len(self.line), len(self.line) + count):
            parent = self.line[-1].hash if self.line else _hash(0, 9)
            self.line.append(BlockRef(number, _hash(number, self.fork), parent, 12 * number))

    async def head(self) -> BlockRef:
        return self.line[-1]

    async def head_number(self) -> int:
        return self.line[-1].number

    async def block(self, number: int) -> BlockRef | None:
        await asyncio.sleep(0.1)
        return self.line[number] if number < len(self.line) else None


def _hash(number: int, fork: int) -> Hash:
    return Hash(f"0x{number:032x}{fork:032x}")


def reached(chain: Slow, happen: Callable[[], None]) -> Head:
    """The head that is known ten seconds after something has happened."""
    heads: Board[str, Head] = Board()

    async def scenario() -> None:
        desk = Desk()
        blocks: Board[str, BlockRef] = Board()
        service = HeadService(31_337, chain, heads, blocks, desk.clock, desk.log, desk.meter, desk.pulse)
        async with running(service):
            await asyncio.sleep(1)
            happen()
            await asyncio.sleep(10)

    play(scenario)
    found = heads.get("head")
    assert found is not None
    return found


def test_outage__of_more_blocks_than_can_be_read_in_time__is_caught_up_with() -> None:
    chain = Slow()
    head = reached(chain, lambda: chain.mine(100))
    assert (head.ref, head.reorgs) == (chain.line[-1], 0)


def test_reorganisation__below_everything_that_is_known__is_caught_up_with() -> None:
    """It went down for 128 headers, of which none could join, and never came to the end in time."""
    chain = Slow()

    def reorganise() -> None:
        del chain.line[-1]
        chain.fork = 1
        chain.mine(2)

    head = reached(chain, reorganise)
    assert (head.ref, head.reorgs) == (chain.line[-1], 1)
