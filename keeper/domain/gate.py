"""Whether positions of a market may be liquidated at its price. It closes on doubt and reopens by confirmation.

Wrong prices become losses through a prompt and correct liquidator, so the price to act on is judged apart from, and more
strictly than, the price to publish.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from keeper.domain.confirmation import Confirmation, ConfirmationState, backers
from keeper.domain.index import IndexPrice, Withheld
from keeper.domain.numbers import BPS, exceeds_bps
from keeper.domain.time import SECOND, Timestamp, from_seconds, to_seconds

WINDOW_S = 60
_BUCKET_S = 5


class Doubt(StrEnum):
    PAUSED = "paused"
    """The operator, or a resume after an outage, keeps it shut."""
    WITHHELD = "withheld"
    SOURCES = "sources"
    DEGRADED = "degraded"
    """The index is flagged: of one or two sources, held, or at odds with its quote groups."""
    DISPERSED = "dispersed"
    """The accepted sources are too far apart."""
    HELD = "held"
    """The guard holds a jump."""
    HALTED = "halted"
    """The market's condition is HALT."""
    DEGRADED_LONG = "degraded_long"
    """It has not been NORMAL for longer than liquidations may go on so."""
    STALE_MARK = "stale_mark"
    """The mark on chain is too old, or there is none, or its time is as far ahead of our clock."""
    MOVED = "moved"
    """The index moved too far within a minute, and the move is not confirmed yet."""
    SEQUENCER = "sequencer"
    """The rollup's sequencer is down, or not up for long enough: nobody could have saved a position."""
    CLOSED = "closed"
    """The underlying's market is closed, or its calendar does not say."""
    OPENING = "opening"
    """It has just opened, and its prices are thin."""
    CONFIRMING = "confirming"
    """Nothing is wrong any more; the confirmation runs."""


# Tuples and not dataclasses, because each tick makes them anew for each market.
class Open(NamedTuple):
    """`since` the instant it opened."""

    since: Timestamp


class Shut(NamedTuple):
    reasons: tuple[Doubt, ...]
    since: Timestamp


@dataclass(frozen=True, slots=True)
class GateInputs:
    """`mark_observed_at_s` is the chain's; None while it has no mark. `held`: the guard holds this index. `further` is what
    the world outside of the price says against acting.
    """

    index: IndexPrice | Withheld
    mark_observed_at_s: int | None
    held: bool = False
    paused: bool = False
    further: tuple[Doubt, ...] = ()


class PriceRange(NamedTuple):
    """Lowest and highest index seen in the bucket that starts at `from_s`."""

    from_s: int
    low_e18: int
    high_e18: int


class GateState(NamedTuple):
    """Shut at the start. `shut_ns` is all the time that it was seen shut."""

    is_open: bool = False
    since: Timestamp | None = None
    stepped_at: Timestamp | None = None
    shut_ns: int = 0
    window: tuple[PriceRange, ...] = ()
    confirmation: ConfirmationState = ConfirmationState()


@dataclass(frozen=True, slots=True)
class Gate:
    """A fold over one market. `max_move_bps` is per minute, measured from the lowest and the highest index in it."""

    min_sources: int = 3
    max_mark_age_ns: int = 10 * SECOND
    max_dispersion_bps: int = 200
    max_move_bps: int = 200
    confirmation: Confirmation = field(default_factory=Confirmation)

    def start(self) -> GateState:
        return GateState()

    def step(self, state: GateState, inputs: GateInputs, now: Timestamp) -> tuple[GateState, Open | Shut]:
        index = inputs.index
        doubts = self._doubts(inputs, now)
        window = state.window if isinstance(index, Withheld) else widened(state.window, index.price_e18, now)
        direction = 0 if isinstance(index, Withheld) else self._direction(window, index.price_e18)
        if doubts or isinstance(index, Withheld):
            moved = (Doubt.MOVED,) if direction else ()
            return _next(state, now, window, ConfirmationState(), (*doubts, *moved))
        if state.is_open and direction == 0:
            return _next(state, now, window, state.confirmation.idle(), ())
        behind = backers(index.inputs, index.price_e18, direction, self.confirmation.agree_bps)
        agree = self.confirmation.enough(behind)
        confirmation, confirmed = self.confirmation.step(state.confirmation, direction, agree, now)
        if confirmed:
            restarted = widened((), index.price_e18, now)
            return _next(state, now, restarted, confirmation, ())
        return _next(state, now, window, confirmation, (Doubt.MOVED if direction else Doubt.CONFIRMING,))

    def _doubts(self, inputs: GateInputs, now: Timestamp) -> tuple[Doubt, ...]:
        found = [Doubt.PAUSED, *inputs.further] if inputs.paused else [*inputs.further]
        if isinstance(inputs.index, Withheld):
            found.append(Doubt.WITHHELD)
        else:
            found += self._doubts_of(inputs.index)
        if inputs.held:
            found.append(Doubt.HELD)
        observed_s = inputs.mark_observed_at_s
        if observed_s is None or abs(now - from_seconds(observed_s)) > self.max_mark_age_ns:
            found.append(Doubt.STALE_MARK)
        return tuple(found)

    def _doubts_of(self, index: IndexPrice) -> list[Doubt]:
        found = [Doubt.SOURCES] if len(index.inputs) < self.min_sources else []
        if index.flags and index.degraded:
            found.append(Doubt.DEGRADED)
        prices = [vote.price_e18 for vote in index.inputs]
        if prices and (max(prices) - min(prices)) * BPS > self.max_dispersion_bps * index.price_e18:
            found.append(Doubt.DISPERSED)
        return found

    def _direction(self, window: Sequence[PriceRange], price_e18: int) -> int:
        """−1 or 1 if the index fell or rose too far from an extreme of the window, else 0."""
        high = max(seen.high_e18 for seen in window)
        low = min(seen.low_e18 for seen in window)
        if exceeds_bps(price_e18, high, self.max_move_bps):
            return -1
        return 1 if exceeds_bps(price_e18, low, self.max_move_bps) else 0


def widened(window: tuple[PriceRange, ...], price_e18: int, now: Timestamp) -> tuple[PriceRange, ...]:
    """The window with one more index in it, without what is more than a minute past."""
    bucket_s = to_seconds(now) // _BUCKET_S * _BUCKET_S
    if window and window[-1].from_s == bucket_s:
        last = window[-1]
        if last.low_e18 <= price_e18 <= last.high_e18:
            return window
        merged = PriceRange(bucket_s, min(last.low_e18, price_e18), max(last.high_e18, price_e18))
        return (*window[:-1], merged)
    kept = [seen for seen in window if bucket_s - WINDOW_S <= seen.from_s < bucket_s]
    return (*kept, PriceRange(bucket_s, price_e18, price_e18))


def _next(
    state: GateState,
    now: Timestamp,
    window: tuple[PriceRange, ...],
    confirmation: ConfirmationState,
    doubts: tuple[Doubt, ...],
) -> tuple[GateState, Open | Shut]:
    """The gate is open exactly without doubts."""
    is_open = not doubts
    since = now if state.since is None or is_open != state.is_open else state.since
    elapsed = 0 if state.is_open or state.stepped_at is None else max(0, now - state.stepped_at)
    result = GateState(is_open, since, now, state.shut_ns + elapsed, window, confirmation)
    return result, Open(since) if is_open else Shut(doubts, since)
