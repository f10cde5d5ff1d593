"""The chain and the signer as one life of the keeper meets them. A dead one gets no answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from keeper.adapters.signers.key_signer import KeySigner
from keeper.devnet.simulator.envelope import Envelope, decode
from keeper.domain.chain import At, BlockRef, Call, FeeMarket, Receipt
from keeper.domain.ids import Address, Hash
from keeper.errors import Reverted, RpcError, RpcUnavailable, SignerUnavailable
from keeper.ports.signer import SignedTransaction, UnsignedTransaction
from tests.model.acts import ALREADY_DONE, CHAIN_ID, Kind, kind_of, meant
from tests.model.blocks import Block
from tests.model.laws import Laws
from tests.model.lies import CUT_OFF_S, FATAL, Lies, Read, Reply
from tests.model.network import Network

GWEI = 10**9
_BENIGN = frozenset({Kind.ONCE, Kind.ROUND})
_CHECKED_EVERY = 64
"""Of this many signed transactions one is decoded by foreign libraries and compared: that is slow."""


@dataclass(slots=True)
class Pen:
    """A TransactionSigner, and the memory of everything it ever signed."""

    key: KeySigner
    laws: Laws
    lies: Lies
    signed: dict[bytes, Envelope]
    allowed: Callable[[Envelope], None]
    writing: int = 0

    @property
    def address(self) -> Address:
        return self.key.address

    async def sign_transaction(self, transaction: UnsignedTransaction) -> SignedTransaction:
        self.writing += 1
        self.laws.require(self.writing == 1, "I2", f"nonce {transaction.nonce} is prepared beside another one")
        try:
            await self._hesitate()
            done = await self.key.sign_transaction(transaction)
        finally:
            self.writing -= 1
        envelope = self.signed[done.raw] = self._envelope(transaction, done)
        self.allowed(envelope)
        return done

    async def _hesitate(self) -> None:
        lie = self.lies.signer.pop() if self.lies.signer else None
        if lie is Read.AWAY:
            raise SignerUnavailable("the signer is away")
        await asyncio.sleep(CUT_OFF_S if lie is Read.SILENT else 0.7 if lie is Read.SLOW else 0)

    def _envelope(self, asked: UnsignedTransaction, done: SignedTransaction) -> Envelope:
        call = asked.call
        fees = {"tip": asked.tip_wei, "cap": asked.max_fee_wei, "gas": asked.gas_limit, "value": call.value_wei}
        short = Envelope(
            done.hash, self.address, asked.nonce, **fees, to=call.to, data=call.data, chain_id=CHAIN_ID, raw=done.raw
        )
        if len(self.signed) % _CHECKED_EVERY == 0:
            full = decode(done.raw, CHAIN_ID)
            names = ("hash", "sender", "nonce", "tip", "cap", "gas", "value", "to", "data", "raw")
            assert all(getattr(full, name) == getattr(short, name) for name in names)
        return short


@dataclass(slots=True)
class Node:
    """What the outbox asks of a Chain. `entered` sees every broadcast before any node does, and may raise."""

    network: Network
    lies: Lies
    signed: dict[bytes, Envelope]
    entered: Callable[[Envelope], None]
    answered: Callable[[Envelope], None]
    chance: Random
    afforded: Mapping[str, int] = field(default_factory=dict)
    """By hash the true balance when it was signed, where the keeper knew it."""
    dead: bool = False

    async def broadcast(self, raw: bytes) -> Hash:
        await self._live()
        tx = self.signed[raw]
        self.entered(tx)
        reply = self.lies.reply()
        if reply is not None and not (reply.words == FATAL and tx.hash in self.network.seen):
            return await self._mislead(tx, reply)
        refused = self.network.submit(tx)
        self.answered(tx)
        if refused is not None:
            self._require_outbid(tx, refused.message)
            self._require_funded(tx, refused.message)
            raise RpcError(refused.message, refused.code)
        return Hash(tx.hash)

    async def receipt(self, tx: Hash) -> Receipt | None:
        line = await self._line("receipt")
        if line is None:
            return None
        return next((each.receipts[tx] for each in reversed(line) if tx in each.receipts), None)

    async def is_seconded(self, found: Receipt) -> bool:
        await self._live()
        return found in [each.receipts.get(found.tx_hash) for each in self.network.blocks.line]

    async def block(self, number: int) -> BlockRef | None:
        line = await self._line("block")
        return line[number].ref if line is not None and 0 <= number < len(line) else None

    async def nonce(self, _account: Address, at: At) -> int:
        line = await self._line("nonce")
        mined = (line or self.network.blocks.line)[-1].nonce
        if line is None and at == "latest":
            return mined + 1_000  # what one endpoint makes up, once
        return self.network.pool.next_nonce(self.network.wallet, mined) if at == "pending" else mined

    async def count_of_most(self, _account: Address) -> int:
        await self._live()
        return self.network.blocks.head.nonce

    async def fees(self) -> FeeMarket:
        await self._line("fees")
        return FeeMarket(self.network.base_fee, GWEI // 10)

    async def balance(self, _account: Address, _at: At) -> int:
        await self._line("balance")
        return self.network.blocks.balance

    async def estimate_gas(self, call: Call, _sender: Address) -> int:
        await self._line("estimate_gas")
        self._refuse(call)
        return 50_000

    async def simulate(self, call: Call, _sender: Address, _at: At) -> bytes:
        await self._line("simulate")
        self._refuse(call)
        return b""

    async def _line(self, question: str) -> list[Block] | None:
        """The blocks that the answer is about; None: the node has not found what it should have."""
        await self._live()
        lie = self.lies.of(question)
        if lie is Read.AWAY:
            raise RpcUnavailable("connection refused")
        if lie in (Read.SILENT, Read.SLOW):
            await asyncio.sleep(CUT_OFF_S if lie is Read.SILENT else 0.7)
        if lie is Read.NULL:
            return None
        late = self.network.stale and (lie is Read.STALE or self.lies.lags(self.chance))
        return self.network.stale if late else self.network.blocks.line

    async def _live(self) -> None:
        if self.dead:
            await asyncio.get_running_loop().create_future()

    async def _mislead(self, tx: Envelope, reply: Reply) -> Hash:
        network = self.network
        network.misled.add(tx.nonce)
        if reply.held:
            network.delayed.append(tx)
            network.seen[tx.hash] = tx
        refused = network.submit(tx) if reply.taken else None
        self.answered(tx)
        if reply.pause_s:
            await asyncio.sleep(reply.pause_s)
        await self._live()
        if reply.words is None:
            if refused is not None:
                raise RpcError(refused.message, refused.code)
            return Hash(tx.hash)
        if reply.words:
            raise RpcError(reply.words, -32000)
        raise RpcUnavailable("the connection ended before an answer came")

    def _refuse(self, call: Call) -> None:
        if self.network.blocks.reverts(call.data):
            raise Reverted("execution reverted", ALREADY_DONE if kind_of(call.data) in _BENIGN else b"no")

    def _require_outbid(self, tx: Envelope, words: str) -> None:
        network = self.network
        told = tx.nonce not in network.misled and not any(
            each.nonce == tx.nonce and each.hash in network.foreign for each in network.seen.values()
        )
        if "replacement" in words and told:
            self.network.laws.require(False, "FEE", f"nonce {tx.nonce} for {meant(tx.data) or 'nothing'}: {words}")

    def _require_funded(self, tx: Envelope, words: str) -> None:
        """Of bytes that were signed in full knowledge of the balance, which is still the same."""
        network = self.network
        surprises = network.foreign or any(nonce >= network.blocks.nonce for nonce in network.misled)
        if "insufficient funds" in words and not surprises and network.blocks.balance == self.afforded.get(tx.hash):
            network.laws.require(False, "FUNDS", f"nonce {tx.nonce} with {network.blocks.balance} wei: {words}")
