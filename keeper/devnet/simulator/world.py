"""Everything together: an anvil, the mempool before it, so many endpoints, and a block every now and then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp

from keeper.devnet.jsonrpc import JsonRpc
from keeper.devnet.node import AnvilNode, NodeOptions
from keeper.devnet.simulator.chain import Chain, Mined
from keeper.devnet.simulator.endpoint import Endpoint
from keeper.devnet.simulator.envelope import Envelope
from keeper.devnet.simulator.fees import Walk
from keeper.devnet.simulator.methods import Methods
from keeper.devnet.simulator.pool import Pool
from keeper.devnet.simulator.record import Record
from keeper.devnet.simulator.reorg import Fate, reorg
from keeper.devnet.simulator.rules import PoolRules


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """`block_time_s` None mines on request only; `automine` after each accepted transaction.

    The node's own mining is off whatever its options say, and it mines in the order in which it is handed transactions.
    """

    endpoints: int = 3
    block_time_s: float | None = None
    automine: bool = False
    rules: PoolRules = field(default_factory=PoolRules)
    walk: Walk | None = None
    node: NodeOptions = field(default_factory=NodeOptions)


@dataclass(slots=True, eq=False)
class Simulator:
    """What a test or the demo holds in its hands."""

    node: AnvilNode
    rpc: JsonRpc
    """Straight to anvil, past the mempool and the faults. After changing balances or nonces there: `refresh`."""
    chain: Chain
    endpoints: list[Endpoint]
    record: Record
    going: asyncio.Event = field(default_factory=asyncio.Event)
    """Unset while the interval is halted."""

    @property
    def pool(self) -> Pool:
        return self.chain.pool

    @property
    def urls(self) -> list[str]:
        return [each.url for each in self.endpoints]

    async def mine(self, count: int = 1, timestamp_s: int | None = None) -> Mined:
        """Blocks now, whatever the interval does; the last one."""
        return await self.chain.mine(count, timestamp_s)

    async def set_base_fee(self, wei: int) -> None:
        """Of the next block."""
        await self.chain.set_base_fee(wei)

    async def drop(self, tx_hash: str) -> bool:
        """Evicts a pooled transaction. False: there is none."""
        return await self.chain.drop(tx_hash)

    async def reorg(self, depth: int, fate: Fate = Fate.POOLED, fates: Mapping[str, Fate] | None = None) -> None:
        """Replaces the last blocks; see `Fate` for what becomes of their transactions."""
        await reorg(self.chain, depth, fate, fates)

    async def refresh(self) -> None:
        """The pool looks at the head again."""
        await self.chain.refresh()

    async def fund(self, account: str, wei: int) -> None:
        """Sets a balance; the pool drops what can no longer be paid."""
        await self.rpc.call("anvil_setBalance", account, hex(wei))
        await self.refresh()

    def halt(self) -> None:
        """No more blocks on the interval."""
        self.going.clear()

    def resume(self) -> None:
        """Blocks on the interval again."""
        self.going.set()

    def find(self, tx_hash: str) -> Envelope | None:
        """Any transaction that was ever accepted."""
        return self.chain.known.get(tx_hash)

    async def mine_on_interval(self, every_s: float) -> None:
        """A block every `every_s` seconds while it is not halted; ends with its task."""
        while True:
            await asyncio.sleep(every_s)
            await self.going.wait()
            await self.chain.mine()


@asynccontextmanager
async def simulated(
    session: aiohttp.ClientSession, options: SimulatorOptions | None = None
) -> AsyncIterator[Simulator]:
    """A running simulator. The caller's session reaches anvil; everything else is started and stopped here."""
    chosen = options or SimulatorOptions()
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(AnvilNode(_sorted_by_us(chosen.node)))
        simulator = await _around(node, session, chosen)
        for endpoint in simulator.endpoints:
            await endpoint.start()
            stack.push_async_callback(endpoint.stop)
        if chosen.block_time_s is not None:
            ticking = asyncio.create_task(simulator.mine_on_interval(chosen.block_time_s), name="interval")
            stack.push_async_callback(_end, ticking)
        yield simulator


def _sorted_by_us(node: NodeOptions) -> NodeOptions:
    return replace(node, mining=False, block_time_s=None, order="fifo")


async def _around(node: AnvilNode, session: aiohttp.ClientSession, options: SimulatorOptions) -> Simulator:
    rpc = JsonRpc(session, node.url)
    chain = Chain(rpc, Pool(options.rules), node.options.chain_id, options.automine, options.walk)
    await chain.start()
    methods, record = Methods(chain, session, node.url), Record()
    endpoints = [Endpoint(f"node-{place}", methods, record) for place in range(1, options.endpoints + 1)]
    simulator = Simulator(node, rpc, chain, endpoints, record)
    simulator.resume()
    return simulator


async def _end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
