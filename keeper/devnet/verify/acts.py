"""Checks of what the keeper has to do in time: settle each boundary once, liquidate, deleverage."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from keeper.devnet.verify.abi import Event
from keeper.devnet.verify.gate import GateLog
from keeper.devnet.verify.history import History, Snapshot
from keeper.devnet.verify.outcome import Outcome, outcome
from keeper.devnet.verify.recording import Block, Recording

FUNDING_LAG_BLOCKS = 2
LIQUIDATABLE_BLOCKS = 3


def funding_boundaries(recording: Recording) -> Outcome:
    """Every boundary that passed under the keeper's watch was settled exactly once, alone and in time."""
    settled = recording.named("FundingSettled")
    findings: list[str] = []
    counts, slowest = {}, 0
    for market in recording.perps:
        no, name = market["market_no"], market["market"]
        own = [event for event in settled if event["marketId"] == no]
        findings += _doubled(name, own)
        interval = _interval(recording, no)
        judged = _boundaries(recording, interval)
        for boundary, due in judged.items():
            alone = boundary - interval in judged
            lag, problem = _settlement(own, boundary, due, alone)
            slowest = max(slowest, lag)
            if problem:
                findings.append(f"{name}: {problem}")
        counts[name] = len(judged)
        if len(judged) < recording.requirements.boundaries:
            findings.append(f"{name}: only {len(judged)} boundaries passed")
    demand = f"≥ {recording.requirements.boundaries} per market, each once, within {FUNDING_LAG_BLOCKS} blocks"
    measured = ", ".join(f"{name} {count}" for name, count in counts.items()) + f"; slowest {slowest} blocks"
    senders = {push["submitter"] for push in recording.named("BatchPushed")}
    measured += f", {sum(event['caller'] in senders for event in settled)} of {len(settled)} by the keeper"
    return outcome("funding-boundaries", demand, measured, findings, {"boundaries": counts, "slowest_blocks": slowest})


def _interval(recording: Recording, market_no: int) -> int:
    interval: int = next(e["interval"] for e in recording.named("FeedConfigured") if e["marketId"] == market_no)
    return interval


def _boundaries(recording: Recording, interval_s: int) -> dict[int, int]:
    """First block at or after each boundary that passed while the keeper was up, and left it two blocks to act."""
    watched = recording.watched
    if not watched:
        return {}
    stamps = [block.timestamp_s for block in watched]
    first = stamps[0] - stamps[0] % interval_s + interval_s
    found = {}
    for boundary in range(first, stamps[-1] + 1, interval_s):
        place = bisect_left(stamps, boundary)
        around = [block.number for block in watched[place - 1 : place + FUNDING_LAG_BLOCKS + 1]]
        if len(around) == FUNDING_LAG_BLOCKS + 2 and around[-1] - around[0] == FUNDING_LAG_BLOCKS + 1:
            found[boundary] = watched[place].number
    return found


def _doubled(name: str, events: Sequence[Event]) -> list[str]:
    counts = Counter(event["boundary"] for event in events)
    return [f"{name}: boundary {boundary} was settled {n} times" for boundary, n in counts.items() if n > 1]


def _settlement(events: Sequence[Event], boundary: int, due_block: int, alone: bool) -> tuple[int, str]:
    """(blocks after the one in which it fell due, what is wrong). `alone`: the one before was not to wait for it."""
    own = [event for event in events if event["boundary"] == boundary]
    if not own:
        later = next((e for e in events if e["boundary"] > boundary), None)
        swallowed = f"swallowed by {later['boundary']}" if later else "never settled"
        return 0, f"boundary {boundary} was skipped, {swallowed}"
    lag = own[0].block - due_block
    if own[0]["intervals"] != 1 and alone:
        return lag, f"boundary {boundary} settled {own[0]['intervals']} intervals at once"
    if lag > FUNDING_LAG_BLOCKS:
        return lag, f"boundary {boundary} was settled {lag} blocks after it fell due"
    return lag, ""


def funding_rates(recording: Recording, history: History) -> Outcome:
    """Premium, rate, mark and index of every settlement, recomputed from the oracle's events."""
    findings = [fault.text for fault in history.faults if fault.event == "FundingSettled"]
    settled = recording.named("FundingSettled")
    if not settled and recording.requirements.boundaries:
        findings.append("nothing was settled")
    rates = sorted({event["rate"] for event in settled})
    span = f"rates {rates[0]}…{rates[-1]} e-18" if rates else "no rates"
    return outcome("funding-rate", "charged == recomputed", f"{len(settled)} settlements, {span}", findings)


def liquidations(recording: Recording, history: History) -> Outcome:
    """That the crash had its consequences at all."""
    tally, need = history.tally, recording.requirements
    total = tally.partial + tally.full
    forced = tally.deleveraged_accounts + tally.deleveraged_engine
    findings = []
    if total < need.liquidations:
        findings.append(f"{total} liquidations")
    if len(tally.bankrupt) < need.bankruptcies:
        findings.append(f"{len(tally.bankrupt)} accounts with a loss")
    if forced < need.deleveragings:
        findings.append(f"{forced} forced deleveragings")
    if need.liquidations and not tally.partial:
        findings.append("no partial liquidation")
    if need.liquidations and not tally.full:
        findings.append("no full liquidation")
    numbers = {
        "partial": tally.partial,
        "full": tally.full,
        "bankrupt_accounts": len(tally.bankrupt),
        "deleveraged_accounts": tally.deleveraged_accounts,
        "deleveraged_engine": tally.deleveraged_engine,
        "sold_back": tally.sold_back,
    }
    demand = f"≥ {need.liquidations} liquidations, {need.bankruptcies} bankrupt, {need.deleveragings} deleveragings"
    measured = (
        f"{tally.partial} partial + {tally.full} full, {len(tally.bankrupt)} bankrupt, "
        f"{tally.deleveraged_accounts} + {tally.deleveraged_engine} (engine) deleveragings, "
        f"{tally.sold_back} sales by the fund"
    )
    return outcome("liquidations", demand, measured, findings, numbers)


def liquidation_latency(recording: Recording, history: History) -> Outcome:
    """No account stays liquidatable while the keeper may act on it.

    Who was made healthy in a block, and fell again by a newer price in the same block, is counted anew.
    """
    gate = GateLog(recording)
    names = {market["market_no"]: market["market"] for market in recording.perps}
    watched = {block.number for block in recording.watched}
    runs: dict[str, int] = {}
    longest, findings = 0, []
    for snapshot in history.snapshots:
        open_now = _actionable(snapshot, gate, names) if snapshot.block.number in watched else set()
        runs = {account: 1 if account in snapshot.cured else runs.get(account, 0) + 1 for account in open_now}
        longest = max([longest, *runs.values()])
        findings += [
            f"{account} stayed liquidatable for more than {LIQUIDATABLE_BLOCKS} blocks until {snapshot.block.number}"
            for account, blocks in runs.items()
            if blocks == LIQUIDATABLE_BLOCKS + 1
        ]
    closed = gate.closed_ms()
    shut = ", ".join(f"{name} {ms} ms" for name, ms in closed.items())
    demand = f"≤ {LIQUIDATABLE_BLOCKS} consecutive blocks while the gate is open"
    numbers = {"longest_blocks": longest, "gate_closed_ms": closed}
    return outcome("liquidation-latency", demand, f"longest {longest}; gate closed: {shut}", findings, numbers)


def _actionable(snapshot: Snapshot, gate: GateLog, names: dict[int, str]) -> set[str]:
    block: Block = snapshot.block
    assert block.seen_ns is not None  # only watched blocks are asked
    shut = {no for no, name in names.items() if not gate.open_at(name, block.seen_ns)}
    return {
        account
        for account, markets in snapshot.liquidatable.items()
        if account not in snapshot.stale and not shut & set(markets)
    }
