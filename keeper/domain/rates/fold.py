"""The interval that runs, from tick to tick: samples into its window, its rate frozen at its boundary.

A boundary is charged by the parameters that are valid at the boundary, not when somebody looks: how late the first tick after
it comes changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from keeper.domain.rates.method import Charge, FundingMethod, RateFlag, RateInputs, Span
from keeper.domain.rates.pace import Pace
from keeper.domain.rates.versions import Versions
from keeper.domain.time import SECOND, Timestamp, from_seconds, to_seconds

_CLOCK_BACK_S = 60
"""A clock that goes back further than so before the running interval starts the fold anew."""


class Settled(NamedTuple):
    """The rate of an interval that is over."""

    span: Span
    charge: Charge


class RateState(NamedTuple):
    """`window` is the method's own state of the interval `span`."""

    method: str
    span: Span
    window: Any
    last: Settled | None = None
    pace: Pace = Pace()

    def to_plain(self) -> dict[str, Any]:
        return {
            "last": None if self.last is None else _plain_of(self.last),
            "method": self.method,
            "pace": self.pace.to_plain(),
            "span": list(self.span),
            "window": self.window.to_plain(),
        }


class RateEstimate(NamedTuple):
    """What the boundary to come would charge by this method, and what the last one did."""

    method: str
    span: Span
    charge: Charge
    last: Settled | None


def _plain_of(settled: Settled) -> dict[str, Any]:
    charge = settled.charge
    return {
        "flags": [flag.value for flag in charge.flags],
        "premium_e18": charge.premium_e18,
        "rate_e18": charge.rate_e18,
        "seen_bps": charge.seen_bps,
        "span": list(settled.span),
    }


def _settled_of(plain: Mapping[str, Any] | None) -> Settled | None:
    if plain is None:
        return None
    flags = tuple(RateFlag(flag) for flag in plain["flags"])
    charge = Charge(int(plain["rate_e18"]), int(plain["premium_e18"]), int(plain["seen_bps"]), flags)
    return Settled(_span_of(plain["span"]), charge)


def _span_of(plain: Any) -> Span:
    opened, boundary = plain
    return Span(int(opened), int(boundary))


@dataclass(frozen=True, slots=True)
class RatePlan:
    """The method of one market, in all its versions, which are of one class."""

    versions: Versions[FundingMethod[Any]]
    impact_notional_e18: int = 0

    @property
    def name(self) -> str:
        return self.versions.latest.name

    def next_boundary(self, after_s: int, pace: Pace = Pace()) -> int:
        """The first boundary after `after_s` that is one in the version valid there."""
        for start, end, method in self.versions.periods():
            interval = _interval(method, pace)
            reached = max(after_s, start - 1)
            found = reached - (reached - method.offset_s) % interval + interval
            if end is None or found < end:
                return found
        raise AssertionError("the last version has no end")

    def last_boundary(self, now_s: int, pace: Pace = Pace()) -> int | None:
        """The latest boundary at or before `now_s`; None where no version has one."""
        for start, end, method in reversed(list(self.versions.periods())):
            until = now_s if end is None else min(now_s, end - 1)
            found: int = until - (until - method.offset_s) % _interval(method, pace)
            if found >= start:
                return found
        return None

    def step(self, state: RateState | None, inputs: RateInputs) -> RateState:
        """Closes what is over and takes the sample of `inputs`."""
        now_s = to_seconds(inputs.now)
        if state is None or now_s < state.span.opened_s - _CLOCK_BACK_S:
            state = self._started(now_s)
        if now_s >= state.span.boundary_s:
            state = self._turned(state, now_s)
        method = self.versions.at(state.span.boundary_s)
        last = 0 if state.last is None else state.last.charge.rate_e18
        window = method.sampled(state.window, state.span, last, inputs)
        return state if window is state.window else state._replace(window=window)

    def estimate(self, state: RateState, now: Timestamp) -> RateEstimate:
        """What the running interval would charge if its boundary were now."""
        method = self.versions.at(state.span.boundary_s)
        last = 0 if state.last is None else state.last.charge.rate_e18
        return RateEstimate(method.name, state.span, method.charge(state.window, state.span, last, now), state.last)

    def _started(self, now_s: int, pace: Pace = Pace(), last: Settled | None = None) -> RateState:
        boundary = self.next_boundary(now_s, pace)
        opened = self.last_boundary(now_s, pace)
        method = self.versions.at(boundary)
        span = Span(boundary - method.interval_s if opened is None else opened, boundary)
        return RateState(method.name, span, method.opened(None), last, pace)

    def _turned(self, state: RateState, now_s: int) -> RateState:
        """The interval that holds `now_s`. Of those that nobody looked at, the last one is settled without samples."""
        settled = self.settle(state)
        method = self.versions.at(state.span.boundary_s)
        pace = state.pace
        if method.switching is not None:
            pace = method.switching.after(pace, at_cap=RateFlag.CAPPED in settled.charge.flags)
        boundary = self.next_boundary(state.span.boundary_s, pace)
        span = Span(state.span.boundary_s, boundary)
        window = self.versions.at(boundary).opened(state.window)
        if boundary <= now_s:
            boundary = self.next_boundary(now_s, pace)
            opened = self.last_boundary(now_s, pace)
            missed = opened if opened is not None else span.boundary_s
            interval = _interval(self.versions.at(missed), pace)
            settled = self._unseen(Span(missed - interval, missed), window, settled)
            span = Span(missed, boundary)
            window = self.versions.at(boundary).opened(window)
        return RateState(state.method, span, window, settled, pace)

    def settle(self, state: RateState) -> Settled:
        """The frozen rate of the interval, by the parameters of its boundary, whenever it is asked for."""
        last = 0 if state.last is None else state.last.charge.rate_e18
        method, at = self.versions.at(state.span.boundary_s), from_seconds(state.span.boundary_s)
        return Settled(state.span, method.charge(state.window, state.span, last, at))

    def _unseen(self, span: Span, window: Any, before: Settled) -> Settled:
        method, at = self.versions.at(span.boundary_s), Timestamp(span.boundary_s * SECOND)
        found = method.charge(window, span, before.charge.rate_e18, at)
        return Settled(span, found._replace(flags=(RateFlag.UNSEEN, *found.flags)))

    def restore(self, plain: Mapping[str, Any]) -> RateState:
        """The state that `to_plain` wrote. Raises ValueError or KeyError on anything else, another method's included."""
        if plain["method"] != self.name:
            raise ValueError(f"the state is of {plain['method']}, the method {self.name}")
        span = _span_of(plain["span"])
        window = self.versions.at(span.boundary_s).restored(plain["window"])
        pace = Pace(int(plain["pace"]["interval_s"]), int(plain["pace"]["calm"]))
        return RateState(self.name, span, window, _settled_of(plain["last"]), pace)


class Rated(NamedTuple):
    """A look at one instant: the states before and after it. The estimate is computed when somebody asks for it."""

    plan: RatePlan
    before: RateState | None
    after: RateState
    now: Timestamp

    @property
    def estimate(self) -> RateEstimate:
        return self.plan.estimate(self.after, self.now)


def _interval(method: FundingMethod[Any], pace: Pace) -> int:
    return pace.interval_s if method.switching is not None and pace.interval_s else method.interval_s
