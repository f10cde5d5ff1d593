"""docs/validation.md, made from the rows."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from tests.validation.row import Row

DOCUMENT = Path(__file__).parents[2] / "docs" / "validation.md"

_HEAD = """\
# Validation

Written by `make validate`: the formulas of this package, held against what exchanges themselves published. The observations are
in [tests/data](../tests/data), one check per venue in `tests/validation/checks/`; `make test` runs them all.

*reproduced*: recorded inputs give the recorded result within the threshold. *consistent*: the recorded result is one that the
formula can give, but not all of its inputs were recorded. *documented only*: the venue's own text and worked examples.
*not fitted*: no formula that is known gives what was recorded, and the row stays, so that nobody claims otherwise: its largest
error lies beyond the threshold.

| venue | data set | rows | formula | error, median | error, largest | threshold | unit | grade |
|---|---|---:|---|---:|---:|---:|---|---|
"""


def document(rows: Sequence[Row]) -> str:
    lines = [_line(row) for row in rows]
    notes = [f"- {row.venue}, {row.formula}: {row.note}\n" for row in rows if row.note]
    return _HEAD + "".join(lines) + ("\n" + "".join(notes) if notes else "")


def _line(row: Row) -> str:
    numbers = " | ".join(_short(each) for each in (row.median, row.worst, row.threshold))
    return (
        f"| {row.venue} | {row.data} | {len(row.errors)} | {row.formula} | {numbers} | {row.unit} | {row.standing} |\n"
    )


def _short(value: Decimal) -> str:
    return "0" if value == 0 else f"{value:.2g}"
