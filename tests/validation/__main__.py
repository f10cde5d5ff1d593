"""`make validate`: computes every row, prints the table, writes docs/validation.md. Exits 1 when a row does not hold."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from tests.validation.checks import CHECKS
from tests.validation.row import Row
from tests.validation.table import DOCUMENT, document

_COLUMNS = ("venue", "data set", "rows", "formula", "median", "largest", "threshold", "unit", "grade", "")


def _shown(rows: list[Row]) -> Table:
    table = Table(*_COLUMNS, title="Held against what the venues published")
    for row in rows:
        numbers = (f"{value:.2g}" for value in (row.median, row.worst, row.threshold))
        verdict = "[green]holds[/]" if row.holds else "[bold red]FAILS[/]"
        table.add_row(row.venue, row.data, str(len(row.errors)), row.formula, *numbers, row.unit, row.standing, verdict)
    return table


def main() -> int:
    rows = [row for check in CHECKS for row in check()]
    Console(width=200).print(_shown(rows))
    DOCUMENT.write_text(document(rows))
    return int(not all(row.holds for row in rows))


if __name__ == "__main__":
    sys.exit(main())
