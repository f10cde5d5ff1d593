"""Asks at each head whether the rollup's sequencer works, and keeps the answer for pricing, publishing and the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from keeper.domain.chain import BlockRef, Query
from keeper.domain.sequencer import UNREAD, Sequencer, SequencerState
from keeper.errors import DataError, Reverted, TransientError
from keeper.ports.chain import ChainReader
from keeper.ports.log import EventLog
from keeper.ports.meter import Meter
from keeper.runtime.board import Board

KEY = "sequencer"


@dataclass(frozen=True, slots=True)
class SequencerService:
    """`query` asks at a block. What cannot be read is not known, and what is not known is not trusted."""

    query: Callable[[BlockRef], Query[Sequencer]]
    chain: ChainReader
    blocks: Board[str, BlockRef]
    words: Board[str, Sequencer]
    meter: Meter
    log: EventLog

    @property
    def name(self) -> str:
        return "sequencer"

    async def run(self) -> None:
        while True:
            version, head = self.blocks.version, self.blocks.get("head")
            if head is not None:
                await self.look(head)
            await self.blocks.changed(version)

    async def look(self, head: BlockRef) -> None:
        try:
            found = await self.chain.ask(self.query(head), head)
        except (TransientError, DataError, Reverted) as error:
            found = Sequencer(SequencerState.UNKNOWN, f"cannot be read: {error}"[:200])
        before = self.words.get(KEY) or UNREAD
        self.words.put(KEY, found)
        self.meter.gauge("keeper_sequencer_up", 1 if found.trusted else 0)
        if found.state is before.state:
            return
        if found.trusted:
            self.log.info("sequencer.trusted", detail=found.detail)
        else:
            self.log.error(
                "sequencer.distrusted",
                state=found.state.value,
                detail=found.detail,
                advice="nothing is priced or liquidated until the sequencer has been up for chain.sequencer_grace_s",
            )
