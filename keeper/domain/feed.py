"""One feed of the price oracle, folded: what an accepted price does to its sums.

Rules: docs/reference-protocol.md, "PriceOracle". A price counts for at most `hold_s` seconds; later time counts
neither way. So that a funding boundary's inputs do not depend on when they are read, the first price observed at or
after a boundary stores the sums up to it as a checkpoint, from the values before that price.
"""

from __future__ import annotations

from dataclasses import replace

from keeper.domain.exchange import FeedState, OracleState
from keeper.domain.numbers import E18, tdiv

PREMIUM_DERIVED, PREMIUM_REPORTED = 0, 1


def derived_premium(index_e18: int, mark_e18: int) -> int:
    """(mark − index) / index toward zero, at most 1; never below −1, since a mark is positive."""
    return min(E18, tdiv((mark_e18 - index_e18) * E18, index_e18))


def accepted_premium(kind: int, index_e18: int, mark_e18: int, reported_e18: int) -> int:
    """What counts from an accepted price on: derived from it, or as the batch reports it."""
    return derived_premium(index_e18, mark_e18) if kind == PREMIUM_DERIVED else reported_e18


def observe(
    feed: FeedState, observed_at_s: int, round_id: int, index_e18: int, mark_e18: int, premium_e18: int = 0
) -> FeedState:
    """The feed after an accepted price. `premium_e18` is the reported one and counts only where the feed asks for it.

    Raises ValueError if the round is not newer than the stored one: the oracle would have skipped it.
    """
    if round_id <= feed.round_id or observed_at_s < feed.observed_at_s:
        raise ValueError(f"round {round_id} of feed {feed.market_no} does not follow {feed.round_id}")
    grid = observed_at_s - observed_at_s % feed.interval_s
    stored = feed
    if feed.round_id == 0:
        stored = replace(feed, checkpoint_at_s=grid, checkpoint_acc=0, checkpoint_covered=0, checkpoint_mark_e18=0)
    elif grid > feed.observed_at_s:
        acc, covered = _extended(feed, grid)
        stored = replace(
            feed,
            checkpoint_at_s=grid,
            checkpoint_acc=acc,
            checkpoint_covered=covered,
            checkpoint_mark_e18=feed.mark_e18,
        )
    acc, covered = _extended(feed, observed_at_s)
    return replace(
        stored,
        index_e18=index_e18,
        mark_e18=mark_e18,
        premium_e18=accepted_premium(feed.premium_kind, index_e18, mark_e18, premium_e18),
        observed_at_s=observed_at_s,
        round_id=round_id,
        acc=acc,
        covered=covered,
    )


def premium_at(feed: FeedState, boundary_s: int) -> tuple[int, int, int]:
    """(sum of premium × seconds, seconds covered, mark) up to `boundary_s`, a multiple of the interval.

    Zeros before the first price. Raises ValueError for a boundary that the feed has passed and holds no checkpoint of;
    the latest boundary at or before the observation always has one.
    """
    if feed.round_id == 0:
        return 0, 0, 0
    if feed.observed_at_s < boundary_s:
        acc, covered = _extended(feed, boundary_s)
        return acc, covered, feed.mark_e18
    if feed.checkpoint_at_s != boundary_s:
        raise ValueError(f"feed {feed.market_no} holds no checkpoint of {boundary_s}, but of {feed.checkpoint_at_s}")
    return feed.checkpoint_acc, feed.checkpoint_covered, feed.checkpoint_mark_e18


def live(feed: FeedState, oracle: OracleState) -> bool:
    """Neither stopped nor without a price."""
    return not oracle.paused and not feed.frozen and feed.round_id > 0


def fresh(feed: FeedState, oracle: OracleState, now_s: int, max_age_s: int) -> bool:
    """Live, and observed at most `max_age_s` ago."""
    return live(feed, oracle) and now_s - feed.observed_at_s <= max_age_s


def _extended(feed: FeedState, until_s: int) -> tuple[int, int]:
    """The sums with the last premium held up to `until_s`, for at most `hold_s` seconds."""
    if feed.round_id == 0:
        return 0, 0
    held = min(until_s - feed.observed_at_s, feed.hold_s)
    return feed.acc + feed.premium_e18 * held, feed.covered + held
