"""The instants of a report, and until when it may be mined."""

from __future__ import annotations

from keeper.domain.time import SECOND, Timestamp, to_millis

LEASE_GRACE_BLOCKS = 2
FRESH_NS = 2 * SECOND
"""A price that was made longer before its round is not decided upon: its pricing loop has stopped."""


def round_id(now: Timestamp) -> int:
    """The round of a decision made at `now`: unix milliseconds, so that keepers need no common counter."""
    return to_millis(now)


def observed_at_s(round_: int) -> int:
    """The second that contains the round, as the contract checks."""
    return round_ // 1000


def valid_until_s(
    observed_s: int, ttl_s: int, max_validity_s: int, lease_expiry_s: int | None = None, block_s: int = 0
) -> int:
    """Last second in which the report may be mined.

    The earliest of the report's own time to live, what the contract allows, and two blocks after the proposer's lease ends,
    so that a deposed leader's pending push dies by itself. It lies before `observed_s` if the lease ended longer ago:
    such a report must not be sent.
    """
    latest = observed_s + min(ttl_s, max_validity_s)
    return latest if lease_expiry_s is None else min(latest, lease_expiry_s + LEASE_GRACE_BLOCKS * block_s)
