"""A chain in memory for one wallet and one contract. Blocks come, and go again in reorganisations."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from keeper.devnet.simulator.envelope import Envelope
from keeper.domain.chain import BlockRef, Log, Receipt
from keeper.domain.ids import Hash
from keeper.domain.time import Timestamp, from_seconds, nanos, to_seconds
from tests.model.acts import CONTRACT, DONE, Kind, kind_of, meant, round_of, topic


@dataclass(frozen=True, slots=True)
class Block:
    """`nonce` is the wallet's after it; `rivals` are intents that somebody else has fulfilled in it."""

    ref: BlockRef
    txs: tuple[Envelope, ...]
    receipts: dict[str, Receipt]
    nonce: int
    round: int = 0
    """Of the newest price."""
    rivals: tuple[str, ...] = ()


class Blocks:
    def __init__(self) -> None:
        self.forks = 0
        self.balance = 10**21
        self.effects: Counter[str] = Counter()
        self.rivals: Counter[str] = Counter()
        self.takers: dict[int, tuple[Envelope, int]] = {}
        """Who consumed a nonce, and in which block."""
        self.displaced: set[int] = set()
        """Nonces that an empty transfer has once consumed, whatever became of its block."""
        self.longest = 0
        self.round = 0
        self.ahead_ns = 0
        self.line = [Block(BlockRef(0, _hash(0, 0), _hash(0, 0), 0), (), {}, 0)]

    def now(self) -> Timestamp:
        """The chain's time, which no clock of the keeper's can set. Stamps rise with each block; who mines fast, runs ahead."""
        return Timestamp(nanos(asyncio.get_running_loop().time()) + self.ahead_ns)

    @property
    def head(self) -> Block:
        return self.line[-1]

    @property
    def nonce(self) -> int:
        return self.line[-1].nonce

    def append(self, wanted: Iterable[Envelope], base_fee: int, rivals: Sequence[str] = ()) -> Block:
        """A block of those that can be executed now."""
        above, number = self.head, len(self.line)
        self.forks += 1
        stamp_s = max(above.ref.timestamp_s + 1, to_seconds(self.now()))
        self.ahead_ns += max(0, from_seconds(stamp_s) - self.now())
        ref = BlockRef(number, _hash(number, self.forks), above.ref.hash, stamp_s, base_fee)
        done, receipts, nonce = [], {}, above.nonce
        for tx in wanted:
            if tx.nonce == nonce and tx.cap >= base_fee and self.balance >= tx.cost:
                receipts[tx.hash] = self._execute(tx, ref)
                done.append(tx)
                self.displaced |= set() if tx.data else {tx.nonce}
                nonce += 1
        self.rivals.update(rivals)
        self.line.append(Block(ref, tuple(done), receipts, nonce, self.round, tuple(rivals)))
        self.longest = max(self.longest, number)
        return self.line[-1]

    def pop(self) -> Block:
        gone = self.line.pop()
        for tx in gone.txs:
            del self.takers[tx.nonce]
            if gone.receipts[tx.hash].logs:
                self.effects[meant(tx.data)] -= 1
        self.rivals.subtract(gone.rivals)
        self.round = self.head.round
        return gone

    def reverts(self, data: bytes) -> bool:
        """Whether this call would be refused now."""
        kind = kind_of(data)
        if kind is Kind.ROUND:
            return round_of(data) <= self.round
        return kind is Kind.REVERT or (kind is Kind.ONCE and self.is_done(meant(data)))

    def is_done(self, intent: str) -> bool:
        return self.effects[intent] + self.rivals[intent] > 0

    def buried(self, nonce: int) -> int:
        """How many blocks lie on the one that consumed this nonce; -1 when none has."""
        return len(self.line) - 1 - self.takers[nonce][1] if nonce in self.takers else -1

    def was_in_vain(self, tx: Envelope) -> bool:
        """Whether it is in the chain, and without effect."""
        taker, number = self.takers.get(tx.nonce, (None, 0))
        return taker is not None and taker.hash == tx.hash and not self.line[number].receipts[tx.hash].logs

    def _execute(self, tx: Envelope, ref: BlockRef) -> Receipt:
        price = min(tx.cap, ref.base_fee_wei + tx.tip)
        used = min(tx.gas, 21_000 if not tx.data else 50_000)
        self.balance -= used * price
        self.takers[tx.nonce] = (tx, ref.number)
        called = tx.to == CONTRACT and tx.data != b""
        status = 0 if called and self.reverts(tx.data) else 1
        logs: tuple[Log, ...] = ()
        if called and status and kind_of(tx.data) is not Kind.SILENT:
            own = meant(tx.data)
            self.effects[own] += 1
            self.round = round_of(tx.data) if kind_of(tx.data) is Kind.ROUND else self.round
            logs = (Log(CONTRACT, (DONE, topic(own)), b"", ref.number, ref.hash, Hash(tx.hash), 0),)
        return Receipt(Hash(tx.hash), status, ref.number, ref.hash, used, price, logs)


def _hash(number: int, fork: int) -> Hash:
    return Hash(f"0x{number:032x}{fork:032x}")
