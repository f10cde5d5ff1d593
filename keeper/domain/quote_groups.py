"""Quotes by the currency that they are counted in, each group by itself and without conversion.

An error that all quotes of one currency share no outlier rule can see; another currency's can.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from keeper.domain.aggregation import Vote, median, middle
from keeper.domain.numbers import E18, deviation_bps, exceeds_bps, text_of
from keeper.domain.screening import PricedQuote


def group_votes(prices: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Median price of each group, given (group, price) pairs."""
    members: dict[str, list[int]] = {}
    for group, price in prices:
        members.setdefault(group, []).append(price)
    return {group: middle(sorted(found)) for group, found in members.items()}


def votes_of(groups: dict[str, int]) -> list[Vote]:
    """One vote for each group, all alike."""
    return sorted((price, 1) for price in groups.values())


def unconverted(votes: Sequence[PricedQuote]) -> dict[str, int]:
    """Median of each group in its own currency, whatever rate converted its votes."""
    return group_votes((vote.group, vote.stated_e18 * vote.spec.multiplier_e18 // E18) for vote in votes)


def apart(groups: dict[str, int], limit_bps: int) -> str | None:
    """How far the groups are from one another, if that is more than `limit_bps` of the lowest; else None."""
    low, high = min(groups, key=groups.__getitem__), max(groups, key=groups.__getitem__)
    if not exceeds_bps(groups[high], groups[low], limit_bps):
        return None
    return f"{low} at {text_of(groups[low])}, {high} at {text_of(groups[high])}: more than {limit_bps} bps apart"


def crossed(price_e18: int, votes: Sequence[PricedQuote], limit_bps: int) -> str | None:
    """How far the converted price is from the groups' median, if that is more than `limit_bps` of it; else None."""
    center = median(votes_of(unconverted(votes)))
    if not exceeds_bps(price_e18, center, limit_bps):
        return None
    return f"{deviation_bps(price_e18, center)} bps from the quote groups' median {text_of(center)}"
