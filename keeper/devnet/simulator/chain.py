"""One chain: the simulated mempool in front of an anvil that mines only when it is told.

anvil's own pool holds nothing but what the next block gets, because it throws out what the base fee has overtaken and
replaces for one wei: https://github.com/foundry-rs/foundry/blob/master/crates/anvil/src/eth/pool/transactions.rs
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from keeper.devnet.jsonrpc import JsonRpc
from keeper.devnet.simulator.envelope import Envelope, Undecodable, decode
from keeper.devnet.simulator.fees import Walk
from keeper.devnet.simulator.pool import Pool
from keeper.devnet.simulator.rules import Account, Block, Refused, rpc_fault
from keeper.errors import RpcError


@dataclass(frozen=True, slots=True)
class Mined:
    """A block by number and what it holds. `left_out` was chosen by the miner, but the chain would not have it."""

    number: int
    hashes: tuple[str, ...]
    left_out: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class Chain:
    """Sends, blocks and reorgs come one after the other. `automine` makes a block of every accepted transaction."""

    rpc: JsonRpc
    pool: Pool
    chain_id: int
    automine: bool = False
    walk: Walk | None = None
    known: dict[str, Envelope] = field(default_factory=dict)
    """Every transaction that was ever pooled, by hash."""
    blocks: int = 0
    """Mined so far."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    mined: asyncio.Condition = field(default_factory=asyncio.Condition)
    """Notified after every block."""

    async def start(self) -> None:
        """Reads the head."""
        async with self.turn:
            await self._reset()

    async def submit(self, raw: bytes) -> str | Refused:
        """The hash, or the pool's no."""
        try:
            tx = decode(raw, self.chain_id)
        except Undecodable as error:
            return Refused(str(error))
        async with self.turn:
            fault = rpc_fault(tx, self.pool.rules)
            accounts = {} if tx.sender_fault else await self._accounts([tx.sender])
            refused = Refused(fault) if fault else self.pool.add(tx, accounts.get(tx.sender, Account()))
            if refused is not None:
                return refused
            self.known[tx.hash] = tx
            if self.automine:
                await self._mine(None)
            return tx.hash

    async def mine(self, count: int = 1, timestamp_s: int | None = None) -> Mined:
        """The last of `count` blocks. Only the first can be given a timestamp."""
        async with self.turn:
            mined = await self._mine(timestamp_s)
            for _ in range(count - 1):
                mined = await self._mine(None)
            return mined

    async def set_base_fee(self, wei: int) -> None:
        """Of the next block; those after it follow the chain's formula, or the walk."""
        async with self.turn:
            await self.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(wei))
            self.pool.block = await self._next_block()

    async def drop(self, tx_hash: str) -> bool:
        """Evicts it from every mempool. False: it is in none."""
        async with self.turn:
            return self.pool.drop(tx_hash)

    async def refresh(self) -> None:
        """The pool looks at the head again: after balances, nonces or blocks were changed behind its back."""
        async with self.turn:
            await self._reset()

    async def replace(self, depth: int, kept: Collection[tuple[str, int]], freed: Iterable[Envelope]) -> None:
        """Other blocks instead of the last `depth`. `kept`: raw transactions with the index of their new block.

        `freed` goes back to the pool, as go-ethereum does with what the new branch lacks. The caller has the turn.
        """
        ahead_s = await self.rpc.call("evm_increaseTime", 0)
        await self.rpc.call("anvil_reorg", depth, [list(each) for each in kept])
        # It turns anvil's clock back as well, and every later block would carry a time that has long passed.
        turned_s = ahead_s - await self.rpc.call("evm_increaseTime", 0)
        await self.rpc.call("evm_increaseTime", max(0, turned_s))
        await self._reset(list(freed))

    async def _mine(self, timestamp_s: int | None) -> Mined:
        handed = [tx for tx in self.pool.choose() if await self._hand_over(tx)]
        await self.rpc.call("evm_mine", *([] if timestamp_s is None else [hex(timestamp_s)]))
        block = await self.rpc.call("eth_getBlockByNumber", "latest", False)
        hashes = tuple(block["transactions"])
        left_out = tuple(tx.hash for tx in handed if tx.hash not in set(hashes))
        for tx_hash in left_out:
            await self.rpc.call("anvil_dropTransaction", tx_hash)
        self.blocks += 1
        if self.walk is not None:
            await self.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(self.walk(int(block["baseFeePerGas"], 16))))
        await self._reset()
        async with self.mined:
            self.mined.notify_all()
        return Mined(int(block["number"], 16), hashes, left_out)

    async def _hand_over(self, tx: Envelope) -> bool:
        try:
            await self.rpc.call("eth_sendRawTransaction", "0x" + tx.raw.hex())
        except RpcError:
            return False  # what anvil will not have waits on, as what a miner cannot execute does
        return True

    async def _reset(self, reinject: Collection[Envelope] = ()) -> None:
        senders = self.pool.pending().keys() | self.pool.queued().keys() | {tx.sender for tx in reinject}
        self.pool.reset(await self._next_block(), await self._accounts(sorted(senders)), reinject)

    async def _next_block(self) -> Block:
        block = await self.rpc.call("eth_getBlockByNumber", "pending", False)
        return Block(int(block["baseFeePerGas"], 16), int(block["gasLimit"], 16))

    async def _accounts(self, senders: list[str]) -> dict[str, Account]:
        asked: list[tuple[str, Any]] = [("eth_getTransactionCount", (each, "latest")) for each in senders]
        asked += [("eth_getBalance", (each, "latest")) for each in senders]
        told = [_number(each) for each in await self.rpc.batch(asked)]
        pairs = zip(told[: len(senders)], told[len(senders) :], strict=True)
        return {sender: Account(*each) for sender, each in zip(senders, pairs, strict=True)}


def _number(told: Any) -> int:
    if isinstance(told, RpcError):
        raise told
    return int(told, 16)
