"""Checks of the books: the contract's invariants, the mirror from logs against the contract's own views."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from keeper.devnet.verify.abi import contract
from keeper.devnet.verify.history import AccountState, History, Snapshot
from keeper.devnet.verify.outcome import Outcome, outcome
from keeper.devnet.verify.recording import Recording


def invariants(recording: Recording, history: History) -> Outcome:
    """At every block: held == Σ margin + Σ quote + Σ clearing + fees and Σ size = 0; where sampled: tokens ≥ held."""
    findings = []
    for snapshot in history.snapshots:
        number = snapshot.block.number
        if snapshot.books_gap:
            findings.append(f"block {number}: the books are off by {snapshot.books_gap} units")
        findings += [
            f"block {number}: sizes in market {no} sum to {net}" for no, net in snapshot.net_sizes.items() if net
        ]
    totals, balances = 0, 0
    for snapshot in history.snapshots:
        stated = recording.views.get((snapshot.block.number, "totals"))
        if stated is not None:
            totals += 1
            findings += _totals(snapshot, contract("PerpExchange").result("totals", stated))
        balance = recording.views.get((snapshot.block.number, "balance"))
        if balance is not None:
            balances += 1
            tokens = int(balance, 16)
            if tokens < snapshot.held:
                findings.append(f"block {snapshot.block.number}: {tokens} tokens do not cover held {snapshot.held}")
    if not totals or not balances:
        findings.append("no totals or no balances were recorded")
    measured = f"{len(history.snapshots)} blocks, {totals} totals, {balances} balances"
    return outcome("invariants", "books exact, sizes sum to 0, tokens ≥ held", measured, findings)


def _totals(snapshot: Snapshot, stated: list[int]) -> Iterator[str]:
    _, margins, quotes, clearings, fees, held = stated
    where = f"block {snapshot.block.number}: totals()"
    if held != margins + quotes + clearings + fees:
        yield f"{where} do not add up: {stated}"
    if (held, fees) != (snapshot.held, snapshot.fees):
        yield f"{where} say held {held}, fees {fees}; the logs give {snapshot.held}, {snapshot.fees}"


def mirror_agrees(recording: Recording, history: History) -> Outcome:
    """Every log's own figures, and every account at the sampled blocks, to the unit."""
    findings = [fault.text for fault in history.faults if fault.event != "FundingSettled"]
    compared = 0
    for snapshot in history.snapshots:
        stated = recording.views.get((snapshot.block.number, "accounts"))
        if stated is None:
            continue
        views, number, _ = contract("PerpLens").result("getAccounts", stated)
        if number != snapshot.block.number:
            findings.append(f"the view at block {snapshot.block.number} says that it is of block {number}")
        for view in views:
            own = snapshot.accounts.get(view["account"])
            compared += 1
            if own is not None and (difference := _difference(view, own)):
                findings.append(f"block {number}: {view['account']} {difference}")
            elif own is None and (view["margin"] or view["positions"]):
                findings.append(f"block {number}: {view['account']} is unknown to the logs")
    if not compared:
        findings.append("no account views were recorded")
    measured = f"{len(recording.events)} logs, {compared} account views, {len(findings)} differences"
    return outcome("mirror", "mirror from logs == views", measured, findings)


def _difference(view: Mapping[str, Any], own: AccountState) -> str:
    health = own.health
    pairs = {
        "margin": (view["margin"], own.margin),
        "cash": (view["cash"], health.cash),
        "E": (view["equity"], health.equity),
        "MM": (view["maintenance"], health.maintenance),
        "IM": (view["initial"], health.initial),
        "N": (view["notional"], health.notional),
        "positions": (
            {p["marketId"]: (p["size"], p["quote"], p["cumEntry"]) for p in view["positions"]},
            dict(own.positions),
        ),
    }
    return ", ".join(f"{name} is {stated}, own {mine}" for name, (stated, mine) in pairs.items() if stated != mine)


def lens_agrees(recording: Recording, history: History) -> Outcome:
    """The contract's bit for each account at every block against E < MM by own arithmetic."""
    order = recording.run["accounts"]
    findings, compared = [], 0
    for snapshot in history.snapshots:
        stated = recording.views.get((snapshot.block.number, "liquidatable"))
        if stated is None:
            continue
        compared += 1
        words = contract("PerpLens").result("liquidatable", stated)
        theirs = {account for i, account in enumerate(order) if words[i // 256] >> (i % 256) & 1}
        ours = set(snapshot.liquidatable) - snapshot.stale
        if theirs != ours:
            findings.append(
                f"block {snapshot.block.number}: only the view {sorted(theirs - ours)}, only the logs {sorted(ours - theirs)}"
            )
    if not compared:
        findings.append("no bitmaps were recorded")
    measured = f"{compared} blocks × {len(order)} accounts"
    return outcome("liquidatable-view", "own E < MM == lens.liquidatable", measured, findings)
