"""A chain in memory that takes every transaction and mines when told: what is left to time is the keeper's own.

Each question lets the event loop go round once, as a network would at least.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from keeper.adapters.encoding.keccak import keccak
from keeper.domain.chain import At, BlockRef, Call, FeeMarket, Receipt
from keeper.domain.heads import Head
from keeper.domain.ids import Address, Hash
from keeper.domain.time import Timestamp

GWEI = 10**9
_KEPT_BLOCKS, _KEPT_RECEIPTS = 100, 5_000
_BALANCE_WEI = 10**24


def _hash(words: str) -> Hash:
    return Hash("0x" + keccak(words.encode()).hex())


@dataclass(slots=True)
class InstantChain:
    """For one wallet whose transactions come in the order of their nonces and are never replaced."""

    number: int = 1
    mined: int = 0
    sent: int = 0
    waiting: list[Hash] = field(default_factory=list)
    receipts: dict[Hash, Receipt] = field(default_factory=dict)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def broadcast(self, raw: bytes) -> Hash:
        await asyncio.sleep(0)
        tx = Hash("0x" + keccak(raw).hex())
        self.waiting.append(tx)
        self.sent += 1
        self.came.set()
        return tx

    async def holds(self, count: int) -> None:
        """Until it was sent so many."""
        while self.sent < count:
            self.came.clear()
            await self.came.wait()

    def mine(self) -> Head:
        """A block of all that wait."""
        self.number += 1
        block = self._block(self.number)
        for tx in self.waiting:
            self.receipts[tx] = Receipt(tx, 1, self.number, block.hash, 21_000, GWEI, ())
        self.mined += len(self.waiting)
        self.waiting.clear()
        self._forget()
        return Head(block, None, Timestamp(self.number), time.monotonic_ns())

    async def receipt(self, tx: Hash) -> Receipt | None:
        await asyncio.sleep(0)
        return self.receipts.get(tx)

    async def block(self, number: int) -> BlockRef | None:
        await asyncio.sleep(0)
        return self._block(number) if number <= self.number else None

    async def nonce(self, account: Address, at: At) -> int:  # noqa: ARG002 - there is one account
        await asyncio.sleep(0)
        return self.mined if at == "latest" else self.mined + len(self.waiting)

    async def balance(self, account: Address, at: At) -> int:  # noqa: ARG002
        await asyncio.sleep(0)
        return _BALANCE_WEI

    async def is_seconded(self, found: Receipt) -> bool:
        return self.receipts.get(found.tx_hash) == found

    async def count_of_most(self, account: Address) -> int:
        return await self.nonce(account, "latest")

    async def fees(self) -> FeeMarket:
        await asyncio.sleep(0)
        return FeeMarket(GWEI, GWEI // 10)

    async def estimate_gas(self, call: Call, sender: Address) -> int:  # noqa: ARG002
        return 21_000

    def _block(self, number: int) -> BlockRef:
        return BlockRef(number, _hash(f"block {number}"), _hash(f"block {number - 1}"), number, GWEI)

    def _forget(self) -> None:
        """What lies far below is asked for no more: the benchmark's own memory must not grow."""
        if len(self.receipts) > _KEPT_RECEIPTS:
            oldest = self.number - _KEPT_BLOCKS
            self.receipts = {tx: each for tx, each in self.receipts.items() if each.block_number > oldest}
