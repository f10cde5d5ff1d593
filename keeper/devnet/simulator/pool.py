"""The mempool that all endpoints share: go-ethereum's legacypool as a pure class.

https://github.com/ethereum/go-ethereum/blob/master/core/txpool/legacypool/legacypool.go. The head's state is given with
every call, the queue has no lifetime (no clock), and what go-ethereum promotes a moment later is promoted at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from keeper.devnet.simulator.choice import cheapest, in_miners_order
from keeper.devnet.simulator.envelope import Envelope
from keeper.devnet.simulator.rules import Account, Block, PoolRules, Refused, account_fault, basic_fault
from keeper.devnet.simulator.shelves import Shelves

FULL = "txpool is full"


class Pool:
    """`block` is the one to come. While `full` is set every newcomer is refused, replacements are not."""

    def __init__(self, rules: PoolRules | None = None, block: Block | None = None) -> None:
        self.rules = rules or PoolRules()
        self.block = block or Block()
        self.full = False
        self._shelves = Shelves(self.rules)

    def __len__(self) -> int:
        return len(self._shelves.all)

    def get(self, tx_hash: str) -> Envelope | None:
        return self._shelves.all.get(tx_hash)

    def hashes(self) -> list[str]:
        """In the order of their arrival."""
        return list(self._shelves.all)

    def pending(self) -> dict[str, list[Envelope]]:
        """By sender and in nonce order: what a miner can take as soon as its price is right."""
        return {sender: each.in_order() for sender, each in self._shelves.pending.items()}

    def queued(self) -> dict[str, list[Envelope]]:
        """By sender and in nonce order: what waits for a nonce before it."""
        return {sender: each.in_order() for sender, each in self._shelves.queued.items()}

    def next_nonce(self, sender: str, mined: int) -> int:
        """The "pending" transaction count; `mined` is the "latest" one."""
        return self._shelves.next.get(sender, mined)

    def choose(self) -> list[Envelope]:
        """What a miner would put into the block to come, in order."""
        arrivals = {tx_hash: place for place, tx_hash in enumerate(self._shelves.all)}
        return in_miners_order(list(self.pending().values()), arrivals, self.block)

    def add(self, tx: Envelope, account: Account) -> Refused | None:
        """Takes it, or says why not. `account` is the sender's at the head."""
        fault = self._fault(tx, account) or self._make_room(tx, account)
        if not fault and not self._shelves.put(tx):
            fault = "replacement transaction underpriced"
        if fault:
            return Refused(fault)
        self._shelves.promote(tx.sender, account, self.block.gas_limit)
        self._shelves.truncate()
        return None

    def drop(self, tx_hash: str) -> bool:
        """As if it had been evicted. False: it is not here."""
        tx = self.get(tx_hash)
        if tx is not None:
            self._shelves.take(tx)
        return tx is not None

    def reset(self, block: Block, accounts: Mapping[str, Account], reinject: Iterable[Envelope] = ()) -> None:
        """A new head. `accounts` of all pooled senders and of those in `reinject`, which a reorg set free (`runReorg`)."""
        self.block, shelves = block, self._shelves
        shelves.next.clear()
        for tx in reinject:
            if tx.hash not in shelves.all and not self._account_fault(tx, accounts[tx.sender]):
                shelves.put(tx)
        for sender in list(shelves.queued):
            shelves.promote(sender, accounts[sender], block.gas_limit)
        shelves.demote(accounts, block.gas_limit)
        shelves.next = {sender: max(each.by_nonce) + 1 for sender, each in shelves.pending.items()}
        shelves.truncate()

    def _fault(self, tx: Envelope, account: Account) -> str:
        if tx.hash in self._shelves.all:
            return "already known"
        return basic_fault(tx, self.rules, self.block) or self._account_fault(tx, account) or self._newcomer_fault(tx)

    def _account_fault(self, tx: Envelope, account: Account) -> str:
        pending = self._shelves.pending.get(tx.sender)
        held = pending.by_nonce.get(tx.nonce) if pending else None
        return account_fault(tx, account, pending.cost if pending else 0, held.cost if held else None)

    def _newcomer_fault(self, tx: Envelope) -> str:
        shelves = [each[tx.sender] for each in (self._shelves.pending, self._shelves.queued) if tx.sender in each]
        if any(tx.nonce in shelf.by_nonce for shelf in shelves):
            return ""
        pooled = sum(map(len, shelves))
        if self.rules.account_limit is not None and pooled >= self.rules.account_limit:
            return f"account limit exceeded: pooled {pooled} txs"
        return FULL if self.full else ""

    def _make_room(self, tx: Envelope, account: Account) -> str:
        over = self._shelves.slots + tx.slots - self.rules.global_slots - self.rules.global_queue
        if over <= 0:
            return ""
        victims = cheapest(self._shelves.all.values(), over, self.block.base_fee)
        if not victims:
            return FULL
        if not victims[0].is_cheaper_than(tx):
            return "transaction underpriced"
        if self._gapped(tx, account) and any(self._is_pending(each.tx) for each in victims):
            return "future transaction tries to replace pending"
        for each in victims:
            self._shelves.take(each.tx)
        return ""

    def _is_pending(self, tx: Envelope) -> bool:
        shelf = self._shelves.pending.get(tx.sender)
        return shelf is not None and tx.nonce in shelf.by_nonce

    def _gapped(self, tx: Envelope, account: Account) -> bool:
        queue = self._shelves.queued.get(tx.sender)
        waiting = queue.by_nonce if queue else {}
        return any(nonce not in waiting for nonce in range(self.next_nonce(tx.sender, account.nonce), tx.nonce))
