"""One sender's transactions by nonce: core/txpool/legacypool/list.go of go-ethereum, without its caches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from keeper.devnet.simulator.envelope import Envelope
from keeper.devnet.simulator.rules import outbids


@dataclass(slots=True, eq=False)
class Sequence:
    """`strict` ones have no gap: what follows a removed transaction goes with it."""

    strict: bool
    by_nonce: dict[int, Envelope] = field(default_factory=dict)
    cost: int = 0

    def __len__(self) -> int:
        return len(self.by_nonce)

    def in_order(self) -> list[Envelope]:
        return [self.by_nonce[nonce] for nonce in sorted(self.by_nonce)]

    def add(self, tx: Envelope, bump: int) -> tuple[bool, Envelope | None]:
        """Whether it was taken, and which one it replaced."""
        old = self.by_nonce.get(tx.nonce)
        if old is not None and not outbids(tx, old, bump):
            return False, None
        self.cost += tx.cost - (old.cost if old else 0)
        self.by_nonce[tx.nonce] = tx
        return True, old

    def remove(self, nonce: int) -> list[Envelope]:
        """What can no longer be executed because this one is gone."""
        self._take(lambda tx: tx.nonce == nonce)
        return self._take(lambda tx: tx.nonce > nonce) if self.strict else []

    def forward(self, nonce: int) -> list[Envelope]:
        """Removes and returns what has been overtaken by the account's nonce."""
        return self._take(lambda tx: tx.nonce < nonce)

    def unpayable(self, balance: int, gas_limit: int) -> tuple[list[Envelope], list[Envelope]]:
        """Removes what the account or the block cannot carry; of a strict sequence also returns what stood behind."""
        gone = self._take(lambda tx: tx.cost > balance or tx.gas > gas_limit)
        if not gone or not self.strict:
            return gone, []
        lowest = min(tx.nonce for tx in gone)
        return gone, self._take(lambda tx: tx.nonce > lowest)

    def ready(self, start: int) -> list[Envelope]:
        """Removes and returns what follows without a gap from the lowest nonce, if that is not beyond `start`."""
        lowest = min(self.by_nonce, default=start + 1)
        if lowest > start:
            return []
        end = lowest
        while end in self.by_nonce:
            end += 1
        return self._take(lambda tx: tx.nonce < end)

    def cap(self, size: int) -> list[Envelope]:
        """Removes and returns the highest nonces beyond `size`."""
        if len(self) <= size:
            return []
        keep = sorted(self.by_nonce)[:size]
        last = keep[-1] if keep else -1
        return self._take(lambda tx: tx.nonce > last)

    def _take(self, which: Callable[[Envelope], bool]) -> list[Envelope]:
        taken = [tx for tx in self.in_order() if which(tx)]
        for tx in taken:
            del self.by_nonce[tx.nonce]
            self.cost -= tx.cost
        return taken
