"""Blocks and the mempool that all nodes share, and what the world does to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from keeper.devnet.simulator.envelope import Envelope
from keeper.devnet.simulator.pool import Pool
from keeper.devnet.simulator.rules import Account, Refused
from keeper.devnet.simulator.rules import Block as Coming
from keeper.domain.ids import Address
from tests.model.blocks import Block, Blocks
from tests.model.laws import Laws

GWEI = 10**9
LONGEST_LAG = 6
DEEPEST = 4
"""More blocks than these no reorganisation takes away."""


@dataclass(slots=True)
class Network:
    wallet: Address
    laws: Laws
    blocks: Blocks = field(default_factory=Blocks)
    pool: Pool = field(default_factory=lambda: Pool(block=Coming(GWEI)))
    seen: dict[str, Envelope] = field(default_factory=dict)
    """Everything that a mempool ever took, or that is on its way to one: these may still be mined."""
    delayed: list[Envelope] = field(default_factory=list)
    foreign: set[str] = field(default_factory=set)
    misled: set[int] = field(default_factory=set)
    """Nonces about which the keeper was lied to: what it does not know of it cannot outbid."""
    reorgs: int = 0
    stale: list[Block] = field(default_factory=list)
    """What a node that lags still takes for the chain."""

    @property
    def base_fee(self) -> int:
        return self.pool.block.base_fee

    def account(self) -> Account:
        return Account(self.blocks.nonce, self.blocks.balance)

    def submit(self, tx: Envelope) -> Refused | None:
        refused = self.pool.add(tx, self.account())
        if refused is None:
            self.seen[tx.hash] = tx
        return refused

    def mine(self, txs: Sequence[Envelope], rivals: Sequence[str] = ()) -> None:
        self.blocks.append(txs, self.base_fee, rivals)
        self.look_again()
        self._catch_up()
        self._require_once()

    def insist(self) -> None:
        """A stranger whose transaction was lost sends it again: what he wants is not ours to lose."""
        for each in self.foreign:
            self.submit(self.seen[each])

    def look_again(self, freed: Sequence[Envelope] = ()) -> None:
        """The pool at the head as it is now."""
        self.pool.reset(self.pool.block, {self.wallet: self.account()}, freed)

    def walk(self, base_fee: int) -> None:
        self.pool.block = Coming(base_fee)

    def deliver(self) -> None:
        """What was held up in the network arrives."""
        for tx in self.delayed:
            self.submit(tx)
        self.delayed.clear()

    def reorganise(self, depth: int, chance: Random) -> None:
        """Other blocks instead of the last `depth`; a transaction comes again, waits again or is lost."""
        blocks = self.blocks
        before = list(blocks.line)
        gone = [blocks.pop() for _ in range(min(depth, len(blocks.line) - 1))][::-1]
        if not gone:
            return
        freed: list[Envelope] = []
        for each in gone:
            blocks.append(self._again(each, freed, chance), each.ref.base_fee_wei, each.rivals)
        if chance.random() < 0.5:
            blocks.append((), self.base_fee)
        elif len(gone) > 1 and blocks.longest == len(before) - 1 and chance.random() < 0.3:
            freed += blocks.pop().txs  # shorter, and heavier before proof of stake: nodes were seen to go back
        if chance.random() < 0.5:
            self.stale = before
        self.reorgs += 1
        self.look_again(freed)
        self._require_once()

    def _again(self, block: Block, freed: list[Envelope], chance: Random) -> list[Envelope]:
        kept = []
        for tx in block.txs:
            fate = chance.random()
            if fate < 0.4:
                kept.append(self.other_form(tx, chance))
            elif fate < 0.7 or tx.hash in self.foreign:
                freed.append(tx)
        return kept

    def other_form(self, tx: Envelope, chance: Random) -> Envelope:
        """Another attempt at the same nonce may reach the miner first."""
        forms = [each for each in self.seen.values() if each.nonce == tx.nonce]
        return chance.choice(forms) if chance.random() < 0.3 and forms else tx

    def may_win(self, tx_hash: str) -> bool:
        """Whether these bytes can still be mined, or taken for mined."""
        tx = self.seen.get(tx_hash)
        if tx is None:
            return False
        taker, _ = self.blocks.takers.get(tx.nonce, (None, 0))
        if taker is None or self.blocks.buried(tx.nonce) <= DEEPEST:
            return True
        return taker.hash == tx_hash and not self.blocks.was_in_vain(tx)

    def _catch_up(self) -> None:
        """A node that lags for longer would be taken out; and it must not outlast what counts as final."""
        if self.stale and self.blocks.head.ref.number - self.stale[-1].ref.number > LONGEST_LAG:
            self.stale = []

    def _require_once(self) -> None:
        for tx in self.blocks.head.txs[-1:]:
            assert tx.nonce < self.blocks.nonce
        twice = [own for own, count in self.blocks.effects.items() if count > 1]
        self.laws.require(not twice, "I6", f"intents {twice} took effect twice")
