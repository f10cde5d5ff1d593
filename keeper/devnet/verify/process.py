"""Checks of the keeper as a process: how it ended, and what it complained of."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from keeper.devnet.verify.outcome import Outcome, outcome
from keeper.devnet.verify.recording import RECOVERY_NS, Recording
from keeper.devnet.verify.spans import Span

LOUD = ("error", "critical")
BELIEVED = (
    "tx.reverted",
    "wallet.paused",
    "accounts.unreadable",
    "chainstate.unreadable",
    "liquidation.unreadable",
    "outbox.unreadable",
)
"""What a keeper says that has nobody but a liar to ask: refusals of reads, and failures that were none."""
MOST_REVERTED = 0.1


def exit_code(recording: Recording) -> Outcome:
    """A SIGTERM ends it with 0, in its own time and not before."""
    keeper = recording.run["keeper"]
    findings = [] if keeper["exit_code"] == 0 else [f"it ended with {keeper['exit_code']}"]
    if keeper.get("ended_early"):
        findings.append("it ended before it was told to")
    stop_s = (keeper["ended_ns"] - keeper["stop_ns"]) / 1e9
    return outcome("keeper-exit", "0 after SIGTERM", f"{keeper['exit_code']} after {stop_s:.1f} s", findings)


def transactions(recording: Recording) -> Outcome:
    """What the keeper's sender sent: nothing left hanging at the end, and few lost races."""
    keeper = recording.run["keeper"]
    own = [tx for tx in recording.lines("transactions") if tx["from"] == keeper["sender"]]
    reverted = sum(tx["status"] != 1 for tx in own)
    findings = []
    if reverted > MOST_REVERTED * len(own):
        findings.append(f"{reverted} of {len(own)} reverted")
    if keeper["hanging"]:
        findings.append(f"{keeper['hanging']} are still pending after the stop")
    if not own:
        findings.append("none was mined")
    gas = sum(tx["gasUsed"] for tx in own)
    measured = f"{len(own)} mined, {reverted} reverted, {keeper['hanging']} hanging, {gas:,} gas"
    numbers = {"mined": len(own), "reverted": reverted, "gas": gas}
    return outcome("transactions", f"≤ {MOST_REVERTED:.0%} reverted, none hanging", measured, findings, numbers)


def complaints(stderr: Path, excused: tuple[str, ...] = (), alone: Sequence[Span] = ()) -> Outcome:
    """No line of level error or above, and nothing that is not a log line at all (a traceback, a warning of Python's).

    `excused` are events that the scenario itself provokes (a venue made to misbehave is benched). While a liar is the only
    endpoint within reach (`alone`), so is what follows from believing it.
    """
    levels: Counter[str] = Counter()
    findings = []
    for line in stderr.read_text(encoding="utf-8", errors="replace").splitlines():
        entry = _parsed(line)
        level = "unreadable" if entry is None else str(entry.get("level", "unreadable")).lower()
        levels[level] += bool(line.strip())
        if entry is None and line.strip():
            findings.append(f"not a log line: {line[:160]}")
        elif entry is not None and level in LOUD and not _is_excused(entry, excused, alone):
            findings.append(f"{level}: {line[:240]}")
    measured = ", ".join(f"{count} {level}" for level, count in sorted(levels.items()) if count)
    return outcome("keeper-log", "no errors", measured or "no lines", findings)


def _is_excused(entry: Mapping[str, Any], excused: tuple[str, ...], alone: Sequence[Span]) -> bool:
    at_ns = int(datetime.fromisoformat(str(entry.get("at"))).timestamp() * 1e9) if alone else 0
    deceived = any(since <= at_ns <= until + RECOVERY_NS for since, until in alone)
    return entry.get("event") in excused or (deceived and entry.get("event") in BELIEVED)


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
