"""Where pooled transactions stand: `pending` can be mined, `queued` waits for a nonce.

The moves between them are those of core/txpool/legacypool/legacypool.go of go-ethereum; each names its function there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from keeper.devnet.simulator.envelope import Envelope
from keeper.devnet.simulator.rules import Account, PoolRules
from keeper.devnet.simulator.sequence import Sequence


class Shelves:
    """`all` is in the order of arrival; `slots` is what they take of the pool's size."""

    def __init__(self, rules: PoolRules) -> None:
        self.rules = rules
        self.pending: dict[str, Sequence] = {}
        self.queued: dict[str, Sequence] = {}
        self.all: dict[str, Envelope] = {}
        self.slots = 0
        self.next: dict[str, int] = {}
        """The nonce after the last pending one, of senders that have had one since the last head."""
        self._beats: dict[str, None] = {}
        """Senders by their last activity, the longest silent first."""

    def put(self, tx: Envelope) -> bool:
        """Onto pending where that nonce is pending, else into the queue (`add`). False: an older one is better."""
        held = self.pending.get(tx.sender)
        shelf = held if held is not None and tx.nonce in held.by_nonce else self._queue_of(tx.sender)
        taken, old = shelf.add(tx, self.rules.price_bump)
        if taken:
            self.discard([old] if old is not None else [])
            self.all[tx.hash] = tx
            self.slots += tx.slots
        self._forget_empty(tx.sender)
        return taken

    def take(self, tx: Envelope) -> None:
        """Away with it; what stood behind it is queued, and its nonce is free again (`removeTx`)."""
        self.discard([tx])
        pending = self.pending.get(tx.sender)
        if pending is not None and tx.nonce in pending.by_nonce:
            self._requeue(pending.remove(tx.nonce))
            self.next[tx.sender] = min(self.next[tx.sender], tx.nonce)
        else:
            self.queued[tx.sender].remove(tx.nonce)
        self._forget_empty(tx.sender)

    def promote(self, sender: str, account: Account, gas_limit: int) -> None:
        """Moves what can be executed from the queue to pending (`promoteExecutables`)."""
        queue = self.queued.get(sender)
        if queue is None:
            return
        self.discard(queue.forward(account.nonce))
        self.discard(queue.unpayable(account.balance, gas_limit)[0])
        for tx in queue.ready(self.next.get(sender, account.nonce)):
            self._promote_one(tx)
        self.discard(queue.cap(self.rules.account_queue))
        self._forget_empty(sender)

    def demote(self, accounts: Mapping[str, Account], gas_limit: int) -> None:
        """Removes what was mined or cannot be paid, and queues what stood behind (`demoteUnexecutables`)."""
        for sender, pending in list(self.pending.items()):
            account = accounts[sender]
            self.discard(pending.forward(account.nonce))
            gone, behind = pending.unpayable(account.balance, gas_limit)
            self.discard(gone)
            self._requeue(behind)
            if account.nonce not in pending.by_nonce:
                self._requeue(pending.cap(0))
            self._forget_empty(sender)

    def truncate(self) -> None:
        """Keeps the whole within its size (`truncatePending`, `truncateQueue`)."""
        over = sum(map(len, self.pending.values())) - self.rules.global_slots
        while over > 0 and self._cut_longest():
            over -= 1
        over = sum(map(len, self.queued.values())) - self.rules.global_queue
        for sender in list(self._beats) if over > 0 else ():
            queue = self.queued.get(sender, Sequence(strict=False))
            gone = queue.cap(max(0, len(queue) - max(0, over)))
            over -= len(gone)
            self.discard(gone)
            self._forget_empty(sender)

    def discard(self, txs: Iterable[Envelope]) -> None:
        """No longer known."""
        for tx in txs:
            self.slots -= self.all.pop(tx.hash).slots

    def _queue_of(self, sender: str) -> Sequence:
        self._beats.setdefault(sender)
        return self.queued.setdefault(sender, Sequence(strict=False))

    def _requeue(self, txs: Iterable[Envelope]) -> None:
        for tx in txs:
            self._queue_of(tx.sender).add(tx, self.rules.price_bump)

    def _promote_one(self, tx: Envelope) -> None:
        taken, old = self.pending.setdefault(tx.sender, Sequence(strict=True)).add(tx, self.rules.price_bump)
        self.discard([old] if old is not None else [] if taken else [tx])
        if taken:
            self.next[tx.sender] = tx.nonce + 1
            self._beats.pop(tx.sender, None)
            self._beats[tx.sender] = None

    def _cut_longest(self) -> bool:
        sender = max(self.pending, key=lambda each: len(self.pending[each]))
        longest = self.pending[sender]
        if len(longest) <= self.rules.account_slots:
            return False
        gone = longest.cap(len(longest) - 1)
        self.discard(gone)
        self.next[sender] = min(self.next[sender], gone[0].nonce)
        return True

    def _forget_empty(self, sender: str) -> None:
        for shelf in (self.pending, self.queued):
            if sender in shelf and not shelf[sender]:
                del shelf[sender]
        if sender not in self.queued:
            self._beats.pop(sender, None)
