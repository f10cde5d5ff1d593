"""Check of how old the prices on chain grow."""

from __future__ import annotations

from bisect import bisect_right

from keeper.devnet.verify.excuses import Excuses
from keeper.devnet.verify.outcome import Outcome, outcome
from keeper.devnet.verify.recording import Recording

NS = 10**9
ALLOWANCE_S = 2
"""From the decision to the block that has it, and for the whole seconds in which the chain counts."""


def price_age(recording: Recording) -> Outcome:
    """At no block is a price older than its heartbeat and what is excused of its age."""
    excuses, findings = Excuses(recording), []
    oldest, oldest_own = 0.0, 0.0
    for market in recording.perps:
        limit_s = market["publish"]["heartbeat_s"] + ALLOWANCE_S
        updates = [e for e in recording.named("PriceUpdated") if e["marketId"] == market["market_no"]]
        blocks = [event.block for event in updates]
        for block in recording.under_watch:
            place = bisect_right(blocks, block.number) - 1
            if place < 0 or excuses.cover(block):
                continue
            observed = updates[place]["observedAt"]
            age_s = block.timestamp_s - observed
            own_s = age_s - excuses.within_ns(observed * NS, block.seen_ns or 0) / NS
            oldest, oldest_own = max(oldest, age_s), max(oldest_own, own_s)
            if own_s > limit_s:
                findings.append(f"block {block.number}: {market['market']} is {age_s} s old, {own_s:.1f} s unexcused")
    limits = sorted({market["publish"]["heartbeat_s"] for market in recording.perps})
    demand = f"≤ heartbeat {limits} + {ALLOWANCE_S} s, and what is excused"
    measured = f"oldest {oldest_own:.1f} s; {oldest:.0f} s with what is excused"
    numbers = {"oldest_s": round(oldest_own, 1), "oldest_with_excused_s": oldest}
    return outcome("price-age", demand, measured, findings, numbers)
