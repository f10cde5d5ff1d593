"""New heads, and what a new head says about the ones before it. Reorganisations show in parent hashes, never in numbers."""

from __future__ import annotations

from dataclasses import dataclass

from keeper.domain.chain import BlockRef
from keeper.domain.time import SECOND, Timestamp, from_seconds


@dataclass(frozen=True, slots=True)
class Head:
    """`reorged_from`: lowest block whose content differs from what was published before; None for a plain extension.

    Boards are conflated: a reader that missed a reorganisation sees `reorgs`, their count so far, has moved, and then
    checks what it holds against the chain. `heard_ns`: when it came, by a clock that nobody sets.
    """

    ref: BlockRef
    reorged_from: int | None
    received_at: Timestamp
    heard_ns: int
    reorgs: int = 0


def chain_time(head: Head, now_ns: int) -> Timestamp:
    """The chain's time: its newest stamp, and the whole seconds since that came, by the clock of `heard_ns`.

    Heads can stop, and what has a deadline must not wait for ever: the next block will be stamped with the time that has
    passed meanwhile. Stamps are whole seconds, rounded down: counted in those, it is not ahead of the next one.
    """
    return Timestamp(from_seconds(head.ref.timestamp_s) + max(0, now_ns - head.heard_ns) // SECOND * SECOND)


Ring = tuple[BlockRef, ...]
"""The newest headers, by rising number, each the parent of the next."""


def block_at(ring: Ring, number: int) -> BlockRef | None:
    return next((each for each in reversed(ring) if each.number == number), None)


def joins(ring: Ring, block: BlockRef) -> bool:
    """Whether the parent of `block` is in the ring."""
    parent = block_at(ring, block.number - 1)
    return parent is not None and parent.hash == block.parent_hash


def extended(ring: Ring, fresh: Ring, depth: int) -> tuple[Ring, int | None]:
    """The ring that ends with `fresh`, and from which number on it differs from the old one.

    `fresh` is linked in itself. Where nothing joins, the whole old ring counts as changed.
    """
    first = fresh[0].number
    kept = tuple(each for each in ring if each.number < first) if joins(ring, fresh[0]) else ()
    lost = [each.number for each in ring[len(kept) :]]
    return (*kept, *fresh)[-depth:], min(lost, default=None)


def block_time_s(ring: Ring) -> float | None:
    """Mean seconds between blocks, by their own stamps; None while fewer than two are known."""
    if len(ring) < 2:
        return None
    return (ring[-1].timestamp_s - ring[0].timestamp_s) / (ring[-1].number - ring[0].number)
