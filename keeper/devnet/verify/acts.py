"""Checks of what the keeper has to do in time: settle each boundary once, liquidate, deleverage."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from keeper.devnet.verify.abi import Event
from keeper.devnet.verify.excuses import STORM_BLOCKS, Excuses
from keeper.devnet.verify.gate import GateLog
from keeper.devnet.verify.history import History, Snapshot
from keeper.devnet.verify.outcome import Outcome, outcome
from keeper.devnet.verify.recording import Block, Recording

FUNDING_LAG_BLOCKS = 2
LIQUIDATABLE_BLOCKS = 3


def funding_boundaries(recording: Recording) -> Outcome:
    """Every boundary that passed under the keeper's watch was settled exactly once, alone and in time."""
    settled = recording.named("FundingSettled")
    limit = STORM_BLOCKS if recording.storm else FUNDING_LAG_BLOCKS
    findings: list[str] = []
    counts, slowest, longest = {}, 0, 0
    for market in recording.perps:
        no, name = market["market_no"], market["market"]
        own = [event for event in settled if event["marketId"] == no]
        findings += _doubled(name, own)
        interval = _interval(recording, no)
        judged = _boundaries(recording, interval, limit)
        for boundary, due in judged.items():
            alone = boundary - interval in judged
            late, problem = _settlement(own, boundary, due, alone, limit)
            slowest, longest = max(slowest, late.unexcused), max(longest, late.blocks)
            if problem:
                findings.append(f"{name}: {problem}")
        counts[name] = len(judged)
        if len(judged) < recording.requirements.boundaries:
            findings.append(f"{name}: only {len(judged)} boundaries passed")
    demand = f"≥ {recording.requirements.boundaries} per market, each once, within {limit} blocks and what is excused"
    measured = ", ".join(f"{name} {count}" for name, count in counts.items())
    measured += f"; slowest {slowest} blocks, {longest} with what is excused"
    senders = {push["submitter"] for push in recording.named("BatchPushed")}
    measured += f", {sum(event['caller'] in senders for event in settled)} of {len(settled)} by the keeper"
    numbers = {"boundaries": counts, "slowest_blocks": slowest, "slowest_with_excused": longest}
    return outcome("funding-boundaries", demand, measured, findings, numbers)


def _interval(recording: Recording, market_no: int) -> int:
    interval: int = next(e["interval"] for e in recording.named("FeedConfigured") if e["marketId"] == market_no)
    return interval


@dataclass(frozen=True, slots=True)
class Due:
    """From the block in which a boundary fell due: the blocks after it, and which of them are excused."""

    block: int
    excused: frozenset[int]


@dataclass(frozen=True, slots=True)
class Late:
    """Blocks after the one in which something fell due."""

    blocks: int = 0
    unexcused: int = 0


def _boundaries(recording: Recording, interval_s: int, limit: int) -> dict[int, Due]:
    """By each boundary that passed under watch and left so many blocks to act in: where it fell due."""
    excuses, blocks = Excuses(recording), recording.under_watch
    excused = frozenset(block.number for block in blocks if excuses.cover(block))
    stamps = [block.timestamp_s for block in blocks]
    found = {}
    for boundary in (
        range(stamps[0] - stamps[0] % interval_s + interval_s, stamps[-1] + 1, interval_s) if blocks else ()
    ):
        place = bisect_left(stamps, boundary)
        chances = [block for block in blocks[place + 1 :] if block.number not in excused]
        if len(chances) >= limit:
            found[boundary] = Due(blocks[place].number, excused)
    return found


def _doubled(name: str, events: Sequence[Event]) -> list[str]:
    counts = Counter(event["boundary"] for event in events)
    return [f"{name}: boundary {boundary} was settled {n} times" for boundary, n in counts.items() if n > 1]


def _settlement(events: Sequence[Event], boundary: int, due: Due, alone: bool, limit: int) -> tuple[Late, str]:
    """How late it was, and what is wrong. `alone`: the boundary before was not to wait for it."""
    own = [event for event in events if event["boundary"] == boundary]
    if not own:
        later = next((e for e in events if e["boundary"] > boundary), None)
        swallowed = f"swallowed by {later['boundary']}" if later else "never settled"
        return Late(), f"boundary {boundary} was skipped, {swallowed}"
    waited = range(due.block + 1, own[0].block + 1)
    late = Late(len(waited), sum(number not in due.excused for number in waited))
    if own[0]["intervals"] != 1 and alone:
        return late, f"boundary {boundary} settled {own[0]['intervals']} intervals at once"
    if late.unexcused > limit:
        return late, f"boundary {boundary} was settled {late.unexcused} unexcused blocks after it fell due"
    return late, ""


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
    gate, excuses = GateLog(recording), Excuses(recording)
    limit = STORM_BLOCKS if recording.storm else LIQUIDATABLE_BLOCKS
    names = {market["market_no"]: market["market"] for market in recording.perps}
    watched = {block.number for block in recording.under_watch}
    runs: dict[str, Late] = {}
    slowest, longest, findings = 0, 0, []
    for snapshot in history.snapshots:
        open_now = _actionable(snapshot, gate, names) if snapshot.block.number in watched else set()
        excused = excuses.cover(snapshot.block)
        before = {account: runs.get(account, Late()) for account in open_now}
        before |= dict.fromkeys(open_now & snapshot.cured, Late())
        runs = {account: Late(run.blocks + 1, run.unexcused + (not excused)) for account, run in before.items()}
        slowest = max([slowest, *(run.unexcused for run in runs.values())])
        longest = max([longest, *(run.blocks for run in runs.values())])
        findings += [
            f"{account} stayed liquidatable for more than {limit} unexcused blocks until {snapshot.block.number}"
            for account, run in runs.items()
            if run.unexcused == limit + 1 and not excused
        ]
    closed = gate.closed_ms()
    shut = ", ".join(f"{name} {ms} ms" for name, ms in closed.items())
    demand = f"≤ {limit} consecutive blocks while the gate is open, and what is excused"
    measured = f"longest {slowest}, {longest} with what is excused; gate closed: {shut}"
    numbers = {"longest_blocks": slowest, "longest_with_excused": longest, "gate_closed_ms": closed}
    return outcome("liquidation-latency", demand, measured, findings, numbers)


def _actionable(snapshot: Snapshot, gate: GateLog, names: dict[int, str]) -> set[str]:
    block: Block = snapshot.block
    assert block.seen_ns is not None  # only blocks under watch are asked
    shut = {no for no, name in names.items() if not gate.open_at(name, block.seen_ns)}
    return {
        account
        for account, markets in snapshot.liquidatable.items()
        if account not in snapshot.stale and not shut & set(markets)
    }
