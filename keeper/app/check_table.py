"""The findings of a check, for people or for a program."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

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
    console.print(_table(order))
    warnings = sum(finding.status == "warn" for finding in findings)
    console.print(f"{len(findings)} checks, {warnings} warnings, {len(failures)} failures")
    return code


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("", "what", "check", "found"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        # Text, not markup: what venues and nodes say must not style or hide anything.
        status = Text(finding.status, style=_STYLES[finding.status])
        table.add_row(status, Text(finding.subject), Text(finding.check), Text(text(finding.detail)))
    return table
