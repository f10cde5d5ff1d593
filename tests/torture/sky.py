"""The chain while a case runs: blocks that leave ours out, blocks that are taken back, a pool that forgets."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass

from eth_account.typed_transactions import TypedTransaction
from hexbytes import HexBytes

from keeper.devnet.jsonrpc import JsonRpc
from keeper.domain.ids import Address
from tests.torture.plan import CROWDED, REORGED, Weather
from tests.torture.wire import Wire

ROOMY_GAS = 30_000_000
_NO_ROOM_GAS = 20_000
"""Of a block: less than a transfer needs."""
_DEEPEST = 2
"""Blocks taken back at once: fewer than the keeper waits for until nothing comes back."""
_SEEN_S = 0.08
"""How long a block stands that is to be taken back before the keeper's eyes."""
_LONGEST_HOLD_S = 1.5
_LONGEST_WAIT_S = 8.0
"""How long bad weather lasts for the sake of a place that is only come to in it."""


@dataclass
class Sky:
    """`first`: the block before the case. `awaited`: the place where the process is to be killed, while it is not."""

    rpc: JsonRpc
    wire: Wire
    wallet: Address
    weather: Weather
    draw: random.Random
    first: int
    awaited: str = ""
    awaited_until: float = 0.0
    held_until: float = 0.0
    blocks: int = 0
    mined: int = 0
    over: bool = False

    def hold(self) -> None:
        """Often the chain is slower than a restart: what was sent before the kill is still pending after it."""
        if self.draw.random() < self.weather.held:
            self.held_until = time.monotonic() + self.draw.uniform(0.3, _LONGEST_HOLD_S)

    def await_place(self, place: str) -> None:
        self.awaited, self.awaited_until = place, time.monotonic() + _LONGEST_WAIT_S

    async def run(self) -> None:
        """Until it is `over`; what has begun ends, or the node would still be at it while it is judged."""
        while not self.over:
            await asyncio.sleep(max(self.weather.block_s, _SEEN_S if self.awaited in REORGED else 0.0))
            self.blocks += 1
            await self._block()

    async def _block(self) -> None:
        waited = self.awaited if time.monotonic() < self.awaited_until else ""
        if waited in CROWDED or time.monotonic() < self.held_until:
            await self._mine_without_us()
        elif waited in REORGED:
            await self._reorg_if_mined()
            await self._mine()
        elif self.blocks > self.weather.stormy_blocks:
            self.wire.calm = True
            await self._mine()
        else:
            await self._storm()

    async def _storm(self) -> None:
        weather, draw = self.weather, self.draw
        if draw.random() < weather.drop:
            await self.rpc.call("anvil_removePoolTransactions", self.wallet)
        if draw.random() < weather.reorg:
            await self._reorg(draw.randint(1, _DEEPEST))
        await (self._mine_without_us() if draw.random() < weather.crowd else self._mine())

    async def _mine(self) -> None:
        await self.rpc.call("evm_mine")

    async def _mine_without_us(self) -> None:
        """Ours stay in the pool. No send meanwhile: for such a block the node would refuse it for good."""
        async with self.wire.sending:
            await self.rpc.call("evm_setBlockGasLimit", hex(_NO_ROOM_GAS))
            await self.rpc.call("evm_mine")
            await self.rpc.call("evm_setBlockGasLimit", hex(ROOMY_GAS))

    async def _reorg_if_mined(self) -> None:
        mined = await self._mined()
        if mined > self.mined and self.draw.random() < 0.9:
            await self._reorg(1)
        self.mined = await self._mined()

    async def _reorg(self, depth: int) -> None:
        """Half of the time another attempt at the same nonce is mined instead, as a miner elsewhere might have it."""
        head = int(await self.rpc.call("eth_blockNumber"), 16)
        if head - depth <= self.first:
            return
        async with self.wire.sending:
            await self.rpc.call("anvil_reorg", depth, [])
            await self.rpc.call("evm_setBlockGasLimit", hex(ROOMY_GAS))  # it falls back to that of an old block
        if self.draw.random() < 0.5:
            count = await self._mined()
            rivals = [raw for raw in dict.fromkeys(self.wire.raws) if nonce_of(raw) == count]
            if rivals:
                await self._mine_instead(self.draw.choice(rivals))

    async def _mine_instead(self, raw: str) -> None:
        await self.rpc.call("anvil_removePoolTransactions", self.wallet)
        await self.rpc.batch([("eth_sendRawTransaction", [raw]), ("evm_mine", [])])

    async def _mined(self) -> int:
        return int(await self.rpc.call("eth_getTransactionCount", self.wallet, "latest"), 16)


def nonce_of(raw: str) -> int:
    return int(TypedTransaction.from_bytes(HexBytes(raw)).as_dict()["nonce"])
