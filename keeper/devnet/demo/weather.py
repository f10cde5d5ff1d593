"""The storm, carried out: what `keeper.devnet.storm` drew, done to chain, endpoints and keeper, and written down."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from keeper.devnet.demo import liar
from keeper.devnet.demo.process import KeeperProcess
from keeper.devnet.recorder import Recorder
from keeper.devnet.simulator import Fate, Simulator
from keeper.devnet.simulator.catalogue import hang
from keeper.devnet.storm import Kind, Trouble
from keeper.domain.time import SECOND, Timestamp
from keeper.ports.clock import Clock

BASE_FEE_FACTOR = 20
LIAR, DEAD, HONEST, OWN = range(4)
"""The simulator's endpoints: three for the keeper in its order of preference, and one for the world's own people."""


@dataclass(slots=True)
class Befallen:
    """Something that befell; `until` is None while it lasts. Times in ns."""

    kind: Kind
    words: str
    since: Timestamp
    until: Timestamp | None = None

    def line(self, opened: int, now: int) -> str:
        """For people: what, when, and for how long."""
        lasted_s = ((self.until or now) - self.since) / SECOND
        at_s = (self.since - opened) / SECOND
        return f"{self.words} at {at_s:.1f} s" + (f" for {lasted_s:.1f} s" if lasted_s >= 0.05 else "")


@dataclass(slots=True)
class Weather:
    """`befell` has all that began, in that order."""

    simulator: Simulator
    session: aiohttp.ClientSession
    recorder: Recorder
    clock: Clock
    sender: str
    seed: int
    befell: list[Befallen] = field(default_factory=list)

    async def carry_out(self, trouble: Trouble, keeper: KeeperProcess) -> None:
        """From its beginning to its end. Raises KeeperFailedError when the keeper does not come back from a kill."""
        if trouble.kind is Kind.KILL:
            async with self._noted(trouble.kind, "the keeper killed"):
                await keeper.restart_after_kill(self.session)
        elif trouble.kind is Kind.REORG:
            await self._reorg(trouble)
        elif trouble.kind is Kind.FEES:
            async with self._noted(trouble.kind, f"base fee ×{BASE_FEE_FACTOR}"):
                await self.simulator.set_base_fee(BASE_FEE_FACTOR * self.simulator.pool.block.base_fee)
        else:
            await self._for_a_while(trouble)

    async def _for_a_while(self, trouble: Trouble) -> None:
        """What is switched on and off again, also when the run is over in between."""
        words = {
            Kind.HALT: "no blocks",
            Kind.HANG: "the honest endpoint hangs",
            Kind.DEAD: "an endpoint dead",
            Kind.LIE: f"the liar: {trouble.lie}",
        }[trouble.kind]
        async with self._noted(trouble.kind, words):
            await self._begin(trouble)
            try:
                await asyncio.sleep(trouble.for_s)
            finally:
                await self._end(trouble.kind)

    async def _begin(self, trouble: Trouble) -> None:
        endpoints = self.simulator.endpoints
        if trouble.kind is Kind.HALT:
            self.simulator.halt()
        elif trouble.kind is Kind.HANG:
            endpoints[HONEST].faults.add(hang())
        elif trouble.kind is Kind.DEAD:
            await endpoints[DEAD].die()
        else:
            liar.tell(endpoints[LIAR].faults, trouble.lie, trouble.depth)

    async def _end(self, kind: Kind) -> None:
        endpoints = self.simulator.endpoints
        if kind is Kind.HALT:
            self.simulator.resume()
        elif kind is Kind.DEAD:
            await endpoints[DEAD].revive()
        else:
            endpoints[HONEST if kind is Kind.HANG else LIAR].faults.clear()

    async def _reorg(self, trouble: Trouble) -> None:
        """The world's own transactions always go back to the pool: only the keeper must cope with a loss."""
        own = await self._own_of_the_last(trouble.depth)
        chance = random.Random(f"{self.seed}/lost/{trouble.depth}")  # noqa: S311 - a storm that can be repeated
        lost = {tx: Fate.LOST for tx in own if trouble.lost and chance.random() < 0.5}
        words = f"reorg of depth {trouble.depth}, {len(own)} of the keeper's transactions taken back, {len(lost)} lost"
        await self.recorder.look(self.simulator.rpc)  # what was mined a moment ago is taken back too
        async with self._noted(trouble.kind, words):
            await self.simulator.reorg(trouble.depth, Fate.POOLED, lost)

    async def _own_of_the_last(self, depth: int) -> Sequence[str]:
        head = int(await self.simulator.rpc.call("eth_blockNumber"), 16)
        blocks = [await self.simulator.rpc.call("eth_getBlockByNumber", hex(head - n), False) for n in range(depth)]
        known = self.simulator.chain.known
        return [
            tx for block in blocks for tx in block["transactions"] if tx in known and known[tx].sender == self.sender
        ]

    @asynccontextmanager
    async def _noted(self, kind: Kind, words: str) -> AsyncIterator[None]:
        self.recorder.note("phases", phase=f"trouble: {words}")
        befallen = Befallen(kind, words, self.clock.now())
        self.befell.append(befallen)
        try:
            yield
        finally:
            befallen.until = self.clock.now()
            self.recorder.note("phases", phase=f"over: {words}")
