"""What excuses lateness: the keeper dead by order, a chain that stands still, no endpoint that tells the truth within reach,
and blocks that a reorganisation took back. Each excuses exactly its own duration, and a calm demo has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from keeper.devnet.verify.recording import Block, Recording
from keeper.devnet.verify.spans import Span, merged

STORM_BLOCKS = 5
"""In a storm, after what is excused: who comes back must first find out what happened."""


@dataclass(frozen=True)
class Excuses:
    """Of one recording."""

    recording: Recording

    @cached_property
    def spans(self) -> Sequence[Span]:
        """All of them, in order and without overlaps."""
        return merged((*self.recording.outages, *self.recording.befell("halt")))

    def cover(self, block: Block) -> bool:
        """Whether the keeper could get nothing into the block, or the block stands where another one did."""
        seen = block.seen_ns
        outage = seen is not None and any(since <= seen <= until for since, until in self.spans)
        return outage or block.number in self.recording.taken_back

    def within_ns(self, since: int, until: int) -> int:
        """How much of a time is excused."""
        return sum(max(0, min(until, end) - max(since, start)) for start, end in self.spans)
