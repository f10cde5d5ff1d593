"""The verdict for people (a table) and for programs (summary.json)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from keeper.devnet.verify.outcome import Outcome
from keeper.devnet.verify.recording import Recording


def write_json(path: Path, recording: Recording, outcomes: Sequence[Outcome]) -> None:
    """Everything, the numbers under the names of their checks."""
    run = recording.run
    document = {
        "passed": all(found.passed for found in outcomes),
        "failed": [found.name for found in outcomes if not found.passed],
        "seed": run.get("seed"),
        "duration_s": run.get("duration_s"),
        "blocks": len(recording.watched),
        "troubles": list(befell(recording)),
        "checks": [
            {
                "name": found.name,
                "passed": found.passed,
                "demand": found.demand,
                "measured": found.measured,
                "findings": list(found.findings),
                "numbers": dict(found.numbers),
            }
            for found in outcomes
        ],
    }
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _played(recording: Recording) -> str:
    run = recording.run
    settled, rejected = run.get("operator", {}).get("settled", 0), run.get("operator", {}).get("rejected", {})
    moved = ", ".join(f"{count} {word}" for word, count in run.get("withdrawals", {}).items()) or "none"
    return (
        f"{run.get('duration_s')} s and {len(recording.watched)} blocks watched, seed {run.get('seed')}, "
        f"{len(run['accounts'])} accounts, {settled} trades settled and {sum(rejected.values())} rejected, "
        f"withdrawals: {moved}"
    )


def befell(recording: Recording) -> Iterator[str]:
    """What a storm did: when, counted from the opening of trading, and for how long; then the blocks that vanished."""
    opened = recording.run.get("opened_ns") or recording.ready_ns
    for trouble in recording.run.get("troubles", ()):
        at_s, for_s = (trouble["since"] - opened) / 1e9, (trouble["until"] - trouble["since"]) / 1e9
        yield f"at {at_s:5.1f} s for {for_s:4.1f} s: {trouble['words']}"
    if recording.taken_back:
        yield f"{len(recording.taken_back)} blocks stand where others were seen before"


def show(console: Console, recording: Recording, outcomes: Sequence[Outcome]) -> None:
    """What was played, one line a check, then every finding in full."""
    console.print(_played(recording), soft_wrap=True, highlight=False)
    for line in befell(recording):
        console.print(line, soft_wrap=True, highlight=False)
    table = Table("check", "demanded", "measured", "", box=box.SIMPLE_HEAD, expand=True)
    for found in outcomes:
        word = Text("pass", style="green") if found.passed else Text("FAIL", style="bold red")
        table.add_row(found.name, found.demand, found.measured, word)
    console.print(table)
    for found in outcomes:
        for finding in found.findings:
            console.print(Text(f"{found.name}: {finding}", style="red"), soft_wrap=True)
    failed = [found.name for found in outcomes if not found.passed]
    verdict = f"{len(outcomes)} checks passed" if not failed else f"FAILED: {', '.join(failed)}"
    console.print(Text(verdict, style="bold red" if failed else "bold green"), soft_wrap=True)
