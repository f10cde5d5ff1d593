"""Check of the prices on chain against prices computed from the tapes."""

from __future__ import annotations

from itertools import pairwise

from keeper.devnet.verify.excuses import STORM_BLOCKS
from keeper.devnet.verify.history import History, Snapshot
from keeper.devnet.verify.outcome import Outcome, outcome
from keeper.devnet.verify.pricing import Repricer
from keeper.devnet.verify.recording import Recording

ALLOWANCE_BPS = 5
"""On top of the publish threshold: venue noise between two ticks, and rounding of the averages."""
TRANSPORT_NS = 250_000_000
"""A decision needs so long to reach the block that is being built."""
STEP_NS = 50_000_000
SHARE = 0.99
LEAST_BLOCKS, JUDGED_SHARE = 10, 0.8
"""Of all blocks and markets; the first price takes its time."""


def mark_accuracy(recording: Recording, history: History) -> Outcome:
    """A block must show a mark that was right, within the threshold, at some instant since the block before.

    In a storm since the last of STORM_BLOCKS, as for everything else there; what is late by the calm rule is counted.
    """
    repricer = Repricer(recording)
    watched = {block.number for block in recording.watched}
    judged, misses, late, worst = 0, [], 0, 0.0
    snapshots = [snapshot for snapshot in history.snapshots if snapshot.block.number in watched]
    for place, (before, now) in enumerate(pairwise(snapshots)):
        if now.block.number != before.block.number + 1:
            continue  # an outage lies in between
        earliest = snapshots[max(0, place + 1 - STORM_BLOCKS)] if recording.storm else before
        for market in recording.perps:
            away = _away_bps(repricer, market["market"], market["market_no"], before, now)
            if away is None:
                continue
            judged += 1
            limit = market["publish"]["deviation_bps"] + ALLOWANCE_BPS
            if away > limit and earliest is not before:
                late += 1
                away = _away_bps(repricer, market["market"], market["market_no"], earliest, now) or 0.0
            worst = max(worst, away)
            if away > limit:
                misses.append(f"block {now.block.number}: {market['market']} is {away:.1f} bps off, allowed {limit}")
    allowed = int(judged * (1 - SHARE))
    share = 1 - len(misses) / judged if judged else 0.0
    findings = misses if len(misses) > allowed else []
    possible = max(0, len(snapshots) - 1) * len(recording.perps)
    if judged < JUDGED_SHARE * possible and len(snapshots) >= LEAST_BLOCKS:
        findings = [*findings, f"only {judged} of {possible} could be judged: no price on chain, or no index"]
    thresholds = sorted({market["publish"]["deviation_bps"] for market in recording.perps})
    since = f"in the last {STORM_BLOCKS} blocks" if recording.storm else "since the block before"
    demand = f"≥ {SHARE:.0%} of blocks within {thresholds} + {ALLOWANCE_BPS} bps of the mark {since}"
    measured = f"{share:.2%} of {judged}, worst {worst:.1f} bps" + (f", {late} late" if recording.storm else "")
    numbers = {"judged": judged, "misses": len(misses), "share": round(share, 6), "worst_bps": round(worst, 2)}
    numbers |= {"late": late}
    return outcome("mark-accuracy", demand, measured, findings, numbers)


def _away_bps(repricer: Repricer, market: str, market_no: int, before: Snapshot, now: Snapshot) -> float | None:
    """Distance of the chain's mark from the nearest right one; None where there is none to compare with."""
    mark = now.prices.get(market_no, (0, 0))[1] / 1e18
    assert before.block.seen_ns is not None  # only watched blocks are asked
    assert now.block.seen_ns is not None
    if not mark:
        return None
    ranges = [
        repricer.mark(market, at) for at in range(before.block.seen_ns - TRANSPORT_NS, now.block.seen_ns, STEP_NS)
    ]
    right = [found for found in ranges if found is not None]
    if not right:
        return None
    low, high = min(found.low for found in right), max(found.high for found in right)
    return max(0.0, low - mark, mark - high) / mark * 1e4
