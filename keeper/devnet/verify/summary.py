"""The verdict for people (a table) and for programs (summary.json)."""

from __future__ import annotations

import json
from collections.abc import Sequence
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


def show(console: Console, recording: Recording, outcomes: Sequence[Outcome]) -> None:
    """What was played, one line a check, then every finding in full."""
    console.print(_played(recording), soft_wrap=True, highlight=False)
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
