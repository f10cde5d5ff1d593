"""Whether a rollup's sequencer works, as Chainlink's uptime feed tells: while it does not, nobody can act on a price.

https://docs.chain.link/data-feeds/l2-sequencer-feeds
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SequencerState(StrEnum):
    UP = "up"
    GRACE = "grace"
    """Up again, for less time than users need to save their positions."""
    DOWN = "down"
    UNKNOWN = "unknown"
    """Not read yet, or the feed was never initialised: taken for down."""


@dataclass(frozen=True, slots=True)
class Sequencer:
    """`since_s` is the chain's time of the last change, `until_s` when the grace ends."""

    state: SequencerState
    detail: str = ""
    since_s: int | None = None
    until_s: int | None = None

    @property
    def trusted(self) -> bool:
        return self.state is SequencerState.UP


UNREAD = Sequencer(SequencerState.UNKNOWN, "not read yet")


def sequencer_of(answer: int, started_s: int, now_s: int, grace_s: int) -> Sequencer:
    """From the feed's latest round, 0 up and 1 down, at the chain's time. No start means a feed that was never told."""
    if started_s == 0:
        return Sequencer(SequencerState.UNKNOWN, "the feed has no round yet")
    if started_s > now_s:
        return Sequencer(SequencerState.UNKNOWN, f"changed {started_s - now_s} s after its block")
    if answer == 1:
        return Sequencer(SequencerState.DOWN, f"down for {now_s - started_s} s", started_s)
    if answer != 0:
        return Sequencer(SequencerState.UNKNOWN, f"the feed says {answer}, neither 0 nor 1")
    up_s = now_s - started_s
    if up_s < grace_s:
        return Sequencer(SequencerState.GRACE, f"up for {up_s} s, grace {grace_s} s", started_s, started_s + grace_s)
    return Sequencer(SequencerState.UP, f"up for {up_s} s", started_s)
