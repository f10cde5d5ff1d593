"""The condition of one market's price: NORMAL → DEGRADED → STALE → HALT, and the way back.

It says what may be done with the price. Going down is at once; coming back from HALT takes a while of good prices, so that a
feed that flickers does not switch liquidations on and off. The states are those of a kill switch with hysteresis; what each
allows is a table:

              published   liquidated
    NORMAL    yes         yes
    DEGRADED  yes         for `degraded_max_ns` since it was last better
    STALE     no          no
    HALT      no          no, and somebody is called

What makes this very price unfit to liquidate by (its flags, its spread, its age on chain) is the gate's; the condition adds
what only time shows, and the bands between mark and index.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple

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
    """The mark is further from the index than the market's band: an alert, since a premium is no doubt about the price."""
    WITHHELD = "withheld"
    """There is no new index: it is withheld, or the last one is held for want of sources."""
    HELD = "held"
    """The guard holds a jump."""
    CLOSED = "closed"
    """The underlying does not trade now: nobody is liquidated, and a price that is missing is not missed."""
    SEQUENCER = "sequencer"
    """The chain's sequencer is down, or has just come back: publishing waits for it by itself, nobody is liquidated."""
    TOO_LONG = "too_long"
    """There has been no price for so long that somebody must look."""
    FAR_APART = "far_apart"
    """The mark is so far from the index that neither can be trusted."""
    RECOVERING = "recovering"
    """Good again after a halt, but not for long enough yet."""
    OPERATOR = "operator"
    """The halt is over when the operator says so."""


_ALERTS = frozenset({Cause.DIVERGED})
"""Somebody should know, and nothing is allowed less."""
_NEVER_LIQUIDATED = frozenset({Cause.CLOSED, Cause.SEQUENCER})


# Tuples and not dataclasses: each tick makes one of each for each market.
class Reading(NamedTuple):
    """What one tick shows. `computed`: there is a new index. `divergence_bps` is |mark − index| / index, rounded down, None
    without a mark.
    """

    sources: int
    computed: bool
    flagged: bool = False
    held: bool = False
    closed: bool = False
    sequencer_down: bool = False
    divergence_bps: int | None = None


class ConditionState(NamedTuple):
    """`since` the condition lasts, `good_since` a price may be published by, `priceless_since` there is none, `impaired_since`
    there is more against it than an alert.
    """

    condition: Condition = Condition.STALE
    causes: tuple[Cause, ...] = ()
    since: Timestamp | None = None
    good_since: Timestamp | None = None
    priceless_since: Timestamp | None = None
    impaired_since: Timestamp | None = None

    @property
    def publishes(self) -> bool:
        return self.condition <= Condition.DEGRADED

    def to_plain(self) -> dict[str, Any]:
        return {
            "causes": [cause.value for cause in self.causes],
            "condition": self.condition.name,
            "good_since": self.good_since,
            "impaired_since": self.impaired_since,
            "priceless_since": self.priceless_since,
            "since": self.since,
        }


START = ConditionState()
"""Before the first tick: nothing is known of the market."""


def restored_condition(plain: Mapping[str, Any]) -> ConditionState:
    """The state that `to_plain` wrote. Raises ValueError, KeyError, TypeError or AttributeError on anything else."""
    return ConditionState(
        Condition[plain["condition"]],
        tuple(Cause(name) for name in plain["causes"]),
        *(_instant(plain[key]) for key in ("since", "good_since", "priceless_since", "impaired_since")),
    )


def _instant(value: Any) -> Timestamp | None:
    return None if value is None else Timestamp(int(value))


@dataclass(frozen=True, slots=True)
class ConditionRules:
    """`full_sources`: with fewer the market is degraded; 0 switches this off. `alert_bps`, `halt_bps`: bands of the
    divergence of mark and index, None: none. A market without a price for `halt_after_ns` is halted, and comes back after
    `recover_ns` of good prices; with `manual` only by `resumed`.
    """

    full_sources: int = 0
    degraded_max_ns: int = 300 * SECOND
    halt_after_ns: int = 60 * SECOND
    recover_ns: int = 10 * SECOND
    alert_bps: int | None = 100
    halt_bps: int | None = 300
    manual: bool = False

    def __post_init__(self) -> None:
        if min(self.full_sources, self.degraded_max_ns, self.halt_after_ns, self.recover_ns) < 0:
            raise ValueError("full_sources and times must not be negative")
        if min(band for band in (self.alert_bps, self.halt_bps, 1) if band is not None) < 1:
            raise ValueError("alert_bps and halt_bps must be positive")
        if self.alert_bps is not None and self.halt_bps is not None and self.alert_bps > self.halt_bps:
            raise ValueError("need alert_bps <= halt_bps")

    def start(self) -> ConditionState:
        return START

    def resumed(self, state: ConditionState) -> ConditionState:
        """The operator has looked: a halt is forgotten. What is still wrong halts it again."""
        return START if state.condition is Condition.HALT else state

    def step(self, state: ConditionState, reading: Reading, now: Timestamp) -> ConditionState:
        found, causes = self._judged(state, reading, now)
        if found is Condition.NORMAL and state.condition is Condition.NORMAL:
            return state
        missing = not reading.closed and (not reading.computed or reading.held)
        priceless = _since(state.priceless_since, now) if missing else None
        good = _since(state.good_since, now) if found <= Condition.DEGRADED else None
        if state.condition is Condition.HALT and found is not Condition.HALT:
            if self.manual:
                found, causes = Condition.HALT, (Cause.OPERATOR, *causes)
            elif good is None or now - good < self.recover_ns:
                found, causes = Condition.HALT, (Cause.RECOVERING, *causes)
        since = state.since if state.since is not None and found is state.condition else now
        sound = found <= Condition.DEGRADED and _ALERTS.issuperset(causes)
        impaired = None if sound else _since(state.impaired_since, now)
        return ConditionState(found, causes, since, good, priceless, impaired)

    def may_liquidate(self, state: ConditionState, now: Timestamp) -> bool:
        if state.condition is Condition.DEGRADED:
            lasts = state.impaired_since is None or now - state.impaired_since <= self.degraded_max_ns
            return lasts and _NEVER_LIQUIDATED.isdisjoint(state.causes)
        return state.condition is Condition.NORMAL

    def _judged(self, state: ConditionState, reading: Reading, now: Timestamp) -> tuple[Condition, tuple[Cause, ...]]:
        """What this tick by itself makes of the market; the worst counts, and all that is wrong is told."""
        stale, degraded = _stale(reading), self._degraded(reading)
        halted: tuple[Cause, ...] = ()
        # A market that is closed has no price to miss.
        if stale and not reading.closed and state.priceless_since is not None:
            halted = (Cause.TOO_LONG,) if now - state.priceless_since >= self.halt_after_ns else ()
        if _beyond(reading.divergence_bps, self.halt_bps):
            halted = (*halted, Cause.FAR_APART)
        if halted:
            return Condition.HALT, (*halted, *stale, *degraded)
        if stale:
            return Condition.STALE, (*stale, *degraded)
        return (Condition.DEGRADED, degraded) if degraded else (Condition.NORMAL, ())

    def _degraded(self, reading: Reading) -> tuple[Cause, ...]:
        computed = reading.computed
        table = (
            (Cause.CLOSED, reading.closed and computed),
            (Cause.SEQUENCER, reading.sequencer_down),
            (Cause.FEW_SOURCES, computed and reading.sources < self.full_sources),
            (Cause.FLAGGED, computed and reading.flagged),
            (Cause.DIVERGED, _beyond(reading.divergence_bps, self.alert_bps)),
        )
        return tuple([cause for cause, holds in table if holds])


def _since(before: Timestamp | None, now: Timestamp) -> Timestamp:
    """The instant from which it lasts: now, if it begins, or if the clock was set back meanwhile."""
    return now if before is None else min(before, now)


def _stale(reading: Reading) -> tuple[Cause, ...]:
    if reading.computed:
        return (Cause.HELD,) if reading.held else ()
    missing = Cause.CLOSED if reading.closed else Cause.WITHHELD
    return (missing, Cause.HELD) if reading.held else (missing,)


def _beyond(divergence_bps: int | None, band_bps: int | None) -> bool:
    return divergence_bps is not None and band_bps is not None and divergence_bps >= band_bps
