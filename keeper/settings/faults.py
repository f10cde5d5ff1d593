"""What is wrong in a configuration, each with the place where it stands. All are reported at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from keeper.errors import ConfigError

Key = str | int


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One complaint. `line` and `column` count from 1; 0 means that the whole file is meant."""

    file: str
    line: int
    column: int
    field: str
    message: str

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    def __str__(self) -> str:
        return f"{self.place}: {self.field}: {self.message}" if self.field else f"{self.place}: {self.message}"


class SettingsRefused(ConfigError):
    """Carries every fault found, in the order of the files."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(set(faults)))
        count = len(self.faults)
        head = "1 fault" if count == 1 else f"{count} faults"
        super().__init__("\n".join([f"{head} in the configuration:", *(f"  {fault}" for fault in self.faults)]))


def field_path(keys: Iterable[Key]) -> str:
    """`("sources", 1, "symbol")` as `sources[1].symbol`."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` for a near miss, else the whole choice. Foreign words are cut short."""
    choices = sorted(known)
    near = difflib.get_close_matches(word[:80], choices, n=1)
    return f"; did you mean {near[0]}?" if near else f"; known: {', '.join(choices)}" if choices else ""
