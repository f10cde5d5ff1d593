"""The protocol's arithmetic, written a second time: docs/reference-protocol.md, "Units and rounding", "Accounts", "Funding".

Nothing here is shared with the keeper: an error in one must not hide in the other.
"""

from __future__ import annotations

from collections.abc import Sequence

BPS = 10_000
WAD = 10**18


def up(numerator: int, denominator: int) -> int:
    """Toward plus infinity."""
    quotient, rest = divmod(numerator, denominator)
    return quotient + (rest > 0)


def truncated(numerator: int, denominator: int) -> int:
    """Toward zero."""
    quotient, rest = divmod(numerator, denominator)
    return quotient + 1 if rest and (numerator < 0) != (denominator < 0) else quotient


def within(low: int, value: int, high: int) -> int:
    """`value`, moved into [low, high]."""
    return sorted((low, value, high))[1]


def value_units(size_e18: int, price_e18: int) -> int:
    """Signed worth of a position, rounded down."""
    return size_e18 * price_e18 // 10**30


def notional_units(size_e18: int, price_e18: int) -> int:
    """Unsigned worth, rounded up."""
    return up(abs(size_e18) * price_e18, 10**30)


def owed_units(size_e18: int, cum_delta_e36: int) -> int:
    """Funding due: a debit rounded up, a credit rounded down."""
    return up(size_e18 * cum_delta_e36, 10**48)


def weighted_notional(tiers: Sequence[tuple[int, int]], notional: int) -> int:
    """Σ mmr · (part of the notional in the tier); `tiers` are (floor, mmr in bps), floors rising from 0."""
    total = 0
    for place, (floor, mmr) in enumerate(tiers):
        ceiling = tiers[place + 1][0] if place + 1 < len(tiers) else notional
        total += mmr * max(0, min(notional, ceiling) - floor)
    return total


def maintenance_units(tiers: Sequence[tuple[int, int]], notional: int) -> int:
    return up(weighted_notional(tiers, notional), BPS)


def derived_premium_e18(index_e18: int, mark_e18: int) -> int:
    """A feed of `premiumKind` 0 takes the premium from index and mark."""
    return min(WAD, truncated((mark_e18 - index_e18) * WAD, index_e18))


def funding_rate_e18(
    *, kind: int, premium_e18: int, interest_e18: int, clamp_e18: int, cap_e18: int, interval_s: int
) -> int:
    """F of one interval; kind 0 states interest per 8 hours, kind 1 per interval."""
    if kind == 0:
        pull = within(-clamp_e18, interest_e18 - premium_e18, clamp_e18)
        rate = truncated((premium_e18 + pull) * interval_s, 28_800)
    else:
        rate = truncated(within(-clamp_e18, premium_e18, clamp_e18) * interval_s, 86_400) + interest_e18
    return within(-cap_e18, rate, cap_e18)
