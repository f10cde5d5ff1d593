"""Whom to believe of several endpoints of one chain: those that agree on where it is, and on what it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from statistics import median_low
from typing import TypeVar

from keeper.domain.chain import BlockRef, FeeMarket
from keeper.domain.ids import Hash

K = TypeVar("K")

MAX_LAG_BLOCKS = 3
MAX_FUTURE_S = 60
_ENOUGH_TO_OUTVOTE = 3


def reference_head(tips: Mapping[K, BlockRef]) -> int:
    """The highest block that at least two endpoints claim to have; of two endpoints the higher. `tips` is not empty.

    A single endpoint cannot raise it among three, and one that stands still cannot hold it back.
    """
    ordered = sorted((tip.number for tip in tips.values()), reverse=True)
    return ordered[1] if len(ordered) >= _ENOUGH_TO_OUTVOTE else ordered[0]


def misplaced(tips: Mapping[K, BlockRef], now_s: int, max_lag: int = MAX_LAG_BLOCKS) -> Mapping[K, str]:
    """Why an endpoint is not to be read from now: it lags, or claims blocks that nobody else has or that are yet to come.

    A single endpoint is believed whatever it says: there is nobody else to ask.
    """
    early = {
        name: "its newest block is from the future"
        for name, tip in tips.items()
        if tip.timestamp_s > now_s + MAX_FUTURE_S
    }
    present = {name: tip for name, tip in tips.items() if name not in early}
    if not present or len(tips) == 1:
        return {}
    there = reference_head(present)
    gaps = {name: tip.number - there for name, tip in present.items()}
    late = {name: f"{-gap} blocks behind" for name, gap in gaps.items() if gap < -max_lag}
    lone = {name: f"{gap} blocks ahead of all others" for name, gap in gaps.items() if gap > max_lag}
    return {**early, **late, **lone}


def outvoted(hashes: Mapping[K, Hash]) -> Mapping[K, str]:
    """Who tells another history than most, by the hashes of one settled block. Nobody, when there is no majority."""
    votes = Counter(hashes.values()).most_common(1)
    if not votes or 2 * votes[0][1] <= len(hashes):
        return {}
    believed = votes[0][0]
    return {name: f"has block {told} where most have {believed}" for name, told in hashes.items() if told != believed}


def median_fees(markets: Mapping[K, FeeMarket]) -> FeeMarket:
    """Each field's lower median, so that one endpoint among three cannot set it and of two the cheaper counts: a fee that
    is too low is raised block by block, one that is too high is spent. `markets` is not empty.
    """
    return FeeMarket(
        base_fee_wei=median_low(each.base_fee_wei for each in markets.values()),
        tip_wei=median_low(each.tip_wei for each in markets.values()),
    )
