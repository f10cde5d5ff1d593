"""Standard output for people, and tables that keep whole words at any width."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

WIDE = 240
"""Columns of an output that is no terminal, and so has no width of its own: a file, a pipe."""
_GAP = 2
Row = Mapping[str, Any]


def screen() -> Console:
    """As wide as its terminal, or as COLUMNS says."""
    return Console() if sys.stdout.isatty() or "COLUMNS" in os.environ else Console(width=WIDE)


@dataclass(frozen=True, slots=True)
class Column:
    """`spare`: the higher, the sooner it is left out where there is no room; 0 always stays. `least`: it may be shortened to that."""

    name: str
    cell: Callable[[Row], str]
    spare: int = 0
    is_number: bool = False
    least: int | None = None


@dataclass(frozen=True, slots=True)
class Fitted:
    """A table with the columns that its width has room for, each cell on one line. What is left out is named below it."""

    columns: Sequence[Column]
    rows: Sequence[Row]
    style: Callable[[Row], str] = lambda _row: ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        kept = self._kept(options.max_width)
        yield self._table(kept, options.max_width)
        if missing := [column.name for column in self.columns if column not in kept]:
            yield Text(f"no room for: {', '.join(missing)}", style="dim")

    def width(self, columns: Sequence[Column], *, least: bool = False) -> int:
        """What they need; with `least` after those have been shortened that can be."""
        gaps = _GAP * (len(columns) - 1)
        return gaps + sum(self._width(column, column.least if least else None) for column in columns)

    def _kept(self, width: int) -> Sequence[Column]:
        kept = list(self.columns)
        for column in sorted(self.columns, key=lambda column: -column.spare):
            if not column.spare or self.width(kept, least=True) <= width:
                break
            kept.remove(column)
        return kept

    def _table(self, columns: Sequence[Column], width: int) -> RenderableType:
        over = self.width(columns) - width
        table = Table(box=None, pad_edge=False)
        limits = []
        for column in columns:
            natural = self._width(column)
            limits.append(natural if over <= 0 else max(self._width(column, column.least), natural - over))
            over -= natural - limits[-1]
            table.add_column(column.name, justify="right" if column.is_number else "left", no_wrap=True)
        for row in self.rows:
            cells = [shortened(column.cell(row), limit) for column, limit in zip(columns, limits, strict=True)]
            table.add_row(*(Text(cell, style=self.style(row)) for cell in cells))
        return table

    def _width(self, column: Column, most: int | None = None) -> int:
        natural = max([len(column.name), *(len(column.cell(row)) for row in self.rows)])
        return natural if most is None else min(natural, most)


def shortened(words: str, most: int) -> str:
    return words if len(words) <= most else f"{words[: most - 1]}…"


def listed(facts: Iterable[tuple[str, str]]) -> Table:
    """Names beside what they name; what is too long goes on below."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, Text(value))
    return table
