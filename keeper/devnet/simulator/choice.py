"""Who gets into a block, and who leaves a pool that is full.

Mining: miner/ordering.go of go-ethereum; room: `pricedList` in core/txpool/legacypool/list.go, with one heap instead of
its two (effective tip first, where go-ethereum keeps a fifth of the room for those with a high cap).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from keeper.devnet.simulator.envelope import Envelope
from keeper.devnet.simulator.rules import Block


def in_miners_order(senders: Iterable[Sequence[Envelope]], arrivals: Mapping[str, int], block: Block) -> list[Envelope]:
    """Highest effective tip first, of equals the earlier; each sender by nonce, and none behind one that must wait.

    Gas limits count in full, because only execution tells what is used: a block here can be emptier than a real one.
    """
    lines = [list(reversed(each)) for each in senders]
    heap = [_bid(line[-1], arrivals, block, place) for place, line in enumerate(lines) if line]
    heapq.heapify(heap)
    chosen: list[Envelope] = []
    left = block.gas_limit
    while heap:
        place = heapq.heappop(heap)[-1]
        tx = lines[place][-1]
        if tx.gas > left or tx.cap < block.base_fee:
            continue
        chosen.append(lines[place].pop())
        left -= tx.gas
        if lines[place]:
            heapq.heappush(heap, _bid(lines[place][-1], arrivals, block, place))
    return chosen


def _bid(tx: Envelope, arrivals: Mapping[str, int], block: Block, place: int) -> tuple[int, int, int]:
    return -tx.effective_tip(block.base_fee), arrivals[tx.hash], place


@dataclass(frozen=True, slots=True)
class Priced:
    """A transaction and what it is worth to a pool."""

    tx: Envelope
    worth: tuple[int, int, int]
    base_fee: int

    def is_cheaper_than(self, other: Envelope) -> bool:
        return self.worth < _worth(other, self.base_fee)


def cheapest(txs: Iterable[Envelope], slots: int, base_fee: int) -> list[Priced] | None:
    """The least worth that free so many slots, the cheapest first; None when all of them together do not."""
    ranked = sorted((Priced(tx, _worth(tx, base_fee), base_fee) for tx in txs), key=lambda each: each.worth)
    chosen: list[Priced] = []
    for each in ranked:
        chosen.append(each)
        slots -= each.tx.slots
        if slots <= 0:
            return chosen
    return None


def _worth(tx: Envelope, base_fee: int) -> tuple[int, int, int]:
    return tx.effective_tip(base_fee), tx.cap, tx.tip
