"""The findings of a check, for people or for a program."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from keeper.app.exitcodes import FAILED, OK
from keeper.app.findings import Finding
from keeper.app.screen import screen
from keeper.app.scrub import text

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def show(findings: Sequence[Finding], *, as_json: bool = False) -> int:
    """Prints, failures last, and returns the exit code."""
    failures = [finding for finding in findings if finding.status == "fail"]
    code = max((finding.code or FAILED for finding in failures), default=OK)
    if as_json:
        rows = [{**asdict(finding), "detail": text(finding.detail)} for finding in findings]
        sys.stdout.write(json.dumps({"exit_code": code, "findings": rows}, indent=2) + "\n")
        return code
    order = sorted(findings, key=lambda finding: list(_STYLES).index(finding.status))
    console = screen()
    console.print(Findings(order))
    warnings = sum(finding.status == "warn" for finding in findings)
    console.print(f"{len(findings)} checks, {warnings} warnings, {len(failures)} failures")
    return code


@dataclass(frozen=True, slots=True)
class Findings:
    """A table, or where its last column would be too narrow to read, each finding below what it is about."""

    found: Sequence[Finding]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        names = max((len(each.subject) + len(each.check) for each in self.found), default=0)
        if names + _BESIDE <= options.max_width:
            yield _table(self.found)
            return
        for each in self.found:
            yield Text.assemble((each.status, _STYLES[each.status]), f"  {each.subject}  {each.check}", overflow="fold")
            yield Padding(Text(text(each.detail), overflow="fold"), (0, 0, 0, 6))


_BESIDE = 50
"""Columns beside subject and check: the status, gaps, and at least 40 for what was found."""


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("", "what", "check", "found"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        # Text, not markup: what venues and nodes say must not style or hide anything.
        status = Text(finding.status, style=_STYLES[finding.status])
        table.add_row(status, Text(finding.subject), Text(finding.check), Text(text(finding.detail)))
    return table
