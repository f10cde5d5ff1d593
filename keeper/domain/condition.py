"""The condition of one market's price: NORMAL → DEGRADED → STALE → HALT, and the way back.

It says what may be done with the price. Going down is at once; coming back from HALT takes a while of good prices, so that a
feed that flickers does not switch liquidations on and off. The states are those of a kill switch with hysteresis; what each
allows is a table:

              published   liquidated
    NORMAL    yes         yes
    DEGRADED  yes         for `degraded_max_ns`, then no
    STALE     no          no
    HALT      no          no, and somebody is called
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

from keeper.domain.time import SECOND, Timestamp


class Condition(IntEnum):
    """Ordered: the larger, the worse."""

    NORMAL = 0
    DEGRADED = 1
    STALE = 2
    HALT = 3


class Cause(StrEnum):
    FEW_SOURCES = "few_sources"
    """Fewer than the market wants, though enough for an index."""
    FLAGGED = "flagged"
    """The index is one that a ladder, a cross-check or a degraded rate made."""
    DIVERGED = "diverged"
    """The mark is further from the index than the market's band."""
    WITHHELD = "withheld"
    HELD = "held"
    """The guard holds a jump."""
    CLOSED = "closed"
    """The underlying does not trade now."""
    SEQUENCER = "sequencer"
    """The chain's sequencer is down, or has just come back."""
    TOO_LONG = "too_long"
    """There has been no price for so long that somebody must look."""
    FAR_APART = "far_apart"
    """The mark is so far from the index that neither can be trusted."""
    RECOVERING = "recovering"
    """Good again after a halt, but not for long enough yet."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one tick shows. `divergence_bps` is |mark − index| / index, None without a mark."""

    sources: int
    computed: bool
    flagged: bool = False
    held: bool = False
    closed: bool = False
    sequencer_down: bool = False
    divergence_bps: int | None = None


@dataclass(frozen=True, slots=True)
class ConditionState:
    """`since` the condition lasts; `good_since` is how long nothing has been wrong, `priceless_since` how long no price was."""

    condition: Condition = Condition.STALE
    causes: tuple[Cause, ...] = ()
    since: Timestamp | None = None
    good_since: Timestamp | None = None
    priceless_since: Timestamp | None = None

    def to_plain(self) -> dict[str, Any]:
        return {
            "causes": [cause.value for cause in self.causes],
            "condition": self.condition.name,
            "good_since": self.good_since,
            "priceless_since": self.priceless_since,
            "since": self.since,
        }


@dataclass(frozen=True, slots=True)
class ConditionRules:
    """`full_sources`: with fewer the market is degraded; 0 switches this off. `alert_bps`, `halt_bps`: bands of the
    divergence of mark and index. A market without a price for `halt_after_ns` is halted, and comes back after
    `recover_ns` of good prices.
    """

    full_sources: int = 0
    degraded_max_ns: int = 60 * SECOND
    halt_after_ns: int = 60 * SECOND
    recover_ns: int = 10 * SECOND
    alert_bps: int = 100
    halt_bps: int = 300

    def __post_init__(self) -> None:
        if min(self.full_sources, self.degraded_max_ns, self.halt_after_ns, self.recover_ns) < 0:
            raise ValueError("full_sources and times must not be negative")
        if not 0 < self.alert_bps <= self.halt_bps:
            raise ValueError("need 0 < alert_bps <= halt_bps")

    def start(self) -> ConditionState:
        return ConditionState()

    def step(self, state: ConditionState, reading: Reading, now: Timestamp) -> ConditionState:
        found, causes = self._judged(state, reading, now)
        priceless = None if reading.computed and not reading.held else state.priceless_since or now
        good = (state.good_since or now) if found is Condition.NORMAL or found is Condition.DEGRADED else None
        if state.condition is Condition.HALT and found is not Condition.HALT and not self._recovered(good, now):
            found, causes = Condition.HALT, (Cause.RECOVERING, *causes)
        since = state.since if state.since is not None and found is state.condition else now
        return ConditionState(found, causes, since, good, priceless)

    def may_liquidate(self, state: ConditionState, now: Timestamp) -> bool:
        if state.condition is Condition.DEGRADED:
            return state.since is not None and now - state.since <= self.degraded_max_ns
        return state.condition is Condition.NORMAL

    def _judged(self, state: ConditionState, reading: Reading, now: Timestamp) -> tuple[Condition, tuple[Cause, ...]]:
        """What this tick by itself makes of the market; the worst counts, and all that is wrong is told."""
        stale = self._stale(reading)
        far = reading.divergence_bps is not None and reading.divergence_bps >= self.halt_bps
        # A market that is closed has no price to miss.
        missed = bool(stale) and not reading.closed and state.priceless_since is not None
        too_long = missed and state.priceless_since is not None and now - state.priceless_since >= self.halt_after_ns
        halted = tuple(cause for cause, holds in ((Cause.TOO_LONG, too_long), (Cause.FAR_APART, far)) if holds)
        degraded = self._degraded(reading)
        if halted:
            return Condition.HALT, (*halted, *stale, *degraded)
        if stale:
            return Condition.STALE, (*stale, *degraded)
        return (Condition.DEGRADED, degraded) if degraded else (Condition.NORMAL, ())

    def _stale(self, reading: Reading) -> tuple[Cause, ...]:
        table = (
            (Cause.WITHHELD, not reading.computed and not reading.closed),
            (Cause.HELD, reading.held),
            (Cause.CLOSED, reading.closed),
            (Cause.SEQUENCER, reading.sequencer_down),
        )
        return tuple(cause for cause, holds in table if holds)

    def _degraded(self, reading: Reading) -> tuple[Cause, ...]:
        apart = reading.divergence_bps is not None and reading.divergence_bps >= self.alert_bps
        table = (
            (Cause.FEW_SOURCES, reading.computed and reading.sources < self.full_sources),
            (Cause.FLAGGED, reading.computed and reading.flagged),
            (Cause.DIVERGED, apart),
        )
        return tuple(cause for cause, holds in table if holds)

    def _recovered(self, good_since: Timestamp | None, now: Timestamp) -> bool:
        return good_since is not None and now - good_since >= self.recover_ns
