"""Funding between longs and shorts at scheduled boundaries. Rules: docs/reference-protocol.md, "Funding".

A settlement depends on its boundary alone, not on who asks or when: k missed intervals are one settlement, with the
premium averaged over all of them, at the last mark observed before the boundary.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from keeper.domain.exchange import PAUSE_FUNDING, ChainState, FeedState, MarketParameters, MarketState
from keeper.domain.feed import premium_at
from keeper.domain.numbers import clamp, tdiv

EIGHT_HOURS_S, DAY_S = 28_800, 86_400
INTEREST_PER_8H, INTEREST_PER_INTERVAL = 0, 1


@dataclass(frozen=True, slots=True)
class Due:
    """What a settlement now would store. `intervals` boundaries passed since the last one; positive: longs pay."""

    boundary_s: int
    intervals: int
    premium_e18: int
    covered_s: int
    rate_e18: int
    mark_e18: int
    cum_e36: int
    snap_acc: int
    snap_covered: int


@dataclass(frozen=True, slots=True)
class NotDue:
    next_boundary_s: int


@dataclass(frozen=True, slots=True)
class FundingEstimate:
    """What the boundary to come would charge per interval, if the last premium persists."""

    rate_e18: int
    premium_e18: int
    boundary_s: int
    interval_s: int


def last_boundary(now_s: int, interval_s: int) -> int:
    """The latest multiple of the interval at or before `now_s`."""
    return now_s - now_s % interval_s


def next_boundary(now_s: int, interval_s: int) -> int:
    """The first multiple of the interval after `now_s`."""
    return last_boundary(now_s, interval_s) + interval_s


def due(market: MarketState, feed: FeedState, now_s: int, funding_paused: bool = False) -> Due | NotDue:
    """What `settleFunding` would do in a block of `now_s`. Nothing is due while funding is paused.

    Raises ValueError when the feed already holds a price of a later interval than `now_s` (see `premium_at`).
    """
    boundary = last_boundary(now_s, feed.interval_s)
    if boundary <= market.funding_at_s:
        return NotDue(market.funding_at_s + feed.interval_s)
    if funding_paused:
        return NotDue(boundary + feed.interval_s)
    acc, covered, mark = premium_at(feed, boundary)
    elapsed, window = boundary - market.funding_at_s, covered - market.snap_covered
    premium = window_premium(acc - market.snap_acc, window, elapsed)
    rate = funding_rate(market.parameters, feed.interval_s, premium)
    intervals = elapsed // feed.interval_s
    cum = market.cum_e36 + rate * mark * intervals
    return Due(boundary, intervals, premium, window, rate, mark, cum, acc, covered)


def window_premium(acc: int, covered_s: int, elapsed_s: int) -> int:
    """The mean premium of a window, or 0 (interest only) if less than half of it is covered."""
    return tdiv(acc, covered_s) if 2 * covered_s >= elapsed_s else 0


def rate_of_sums(market: MarketState, interval_s: int, boundary_s: int, snap_acc: int, snap_covered: int) -> int:
    """Rate that a settlement at `boundary_s` with these sums must charge, `market` being the state before it.

    The sums are the settlement's own: a price observed before the boundary but mined after it counts in the next window,
    so they cannot be told from a later state of the feed.
    """
    elapsed, window = boundary_s - market.funding_at_s, snap_covered - market.snap_covered
    premium = window_premium(snap_acc - market.snap_acc, window, elapsed)
    return funding_rate(market.parameters, interval_s, premium)


def funding_rate(parameters: MarketParameters, interval_s: int, premium_e18: int) -> int:
    """Rate of one interval: the venues' form (interest per 8 h, outside the clamp) or a daily premium plus interest."""
    limit = parameters.clamp_e18
    if parameters.funding_kind == INTEREST_PER_8H:
        lean = clamp(parameters.interest_e18 - premium_e18, -limit, limit)
        rate = tdiv((premium_e18 + lean) * interval_s, EIGHT_HOURS_S)
    else:
        rate = tdiv(clamp(premium_e18, -limit, limit) * interval_s, DAY_S) + parameters.interest_e18
    return clamp(rate, -parameters.cap_e18, parameters.cap_e18)


def cum_now(market: MarketState, feed: FeedState, now_s: int, funding_paused: bool = False) -> int:
    """The funding index after the boundaries due at `now_s`: what every check and view on chain uses."""
    payment = due(market, feed, now_s, funding_paused)
    return payment.cum_e36 if isinstance(payment, Due) else market.cum_e36


def settled(market: MarketState, payment: Due) -> MarketState:
    """The market after that settlement."""
    return replace(
        market,
        cum_e36=payment.cum_e36,
        funding_at_s=payment.boundary_s,
        snap_acc=payment.snap_acc,
        snap_covered=payment.snap_covered,
    )


def predict(market: MarketState, feed: FeedState, now_s: int) -> FundingEstimate:
    """The rate of the boundary to come: time without a price until now stays uncovered, the rest gets the last premium.

    A boundary that is due but not settled is settled first. Before the first price the premium is 0.
    """
    payment = due(market, feed, now_s)
    opened = settled(market, payment) if isinstance(payment, Due) else market
    boundary = opened.funding_at_s + feed.interval_s
    acc, covered = opened.snap_acc, opened.snap_covered
    if feed.round_id:
        held = min(max(0, now_s - feed.observed_at_s), feed.hold_s) + boundary - max(now_s, feed.observed_at_s)
        acc, covered = feed.acc + feed.premium_e18 * held, feed.covered + held
    premium = window_premium(acc - opened.snap_acc, covered - opened.snap_covered, feed.interval_s)
    return FundingEstimate(
        funding_rate(opened.parameters, feed.interval_s, premium), premium, boundary, feed.interval_s
    )


def is_paused(state: ChainState) -> bool:
    return bool(state.pause_mask & PAUSE_FUNDING)
