"""Reads a tape: one file, or a directory of them in the order of time."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from keeper.adapters.tape.lines import FORMAT, PROLOGUE, Line, parsed
from keeper.adapters.tape.writer import files
from keeper.errors import DataError


class TapeUnreadable(DataError):
    """A tape is not one, or of a format that this program does not know."""


def read(path: Path) -> Iterator[Line]:
    """Lines in the order of their files; each file's prologue but the first's is passed over.

    A file that ends in the middle of a line, as after a crash, ends there. Raises TapeUnreadable.
    """
    found = files(path) if path.is_dir() else [path]
    if not found or not found[0].is_file():
        raise TapeUnreadable(
            f"{path}: no tape there; `keeper record` makes one, the running keeper's is in its state directory"
        )
    yield from read_files(found)


def read_files(found: Sequence[Path]) -> Iterator[Line]:
    """Some that follow one another, as `read`."""
    for number, file in enumerate(found):
        yield from _file(file, first=number == 0)


def _file(file: Path, *, first: bool) -> Iterator[Line]:
    for number, raw in enumerate(_raw(file)):
        try:
            found = parsed(raw)
        except ValueError as error:
            raise TapeUnreadable(f"{file}, line {number + 1}: {error}") from None
        if number == 0:
            _require_known(file, found)
        told_before = number == 0 or found.kind.startswith(PROLOGUE)
        if first or not told_before:
            yield found._replace(kind=found.kind.removeprefix(PROLOGUE))


def _require_known(file: Path, found: Line) -> None:
    if found.kind != "head" or not found.words or not isinstance(found.words[0], dict):
        raise TapeUnreadable(f"{file} does not begin as a tape does")
    if found.words[0].get("format") != FORMAT:
        raise TapeUnreadable(f"{file} has format {found.words[0].get('format')}, this keeper reads {FORMAT}")


def _raw(file: Path) -> Iterator[bytes]:
    with gzip.open(file, "rb") as opened:
        try:
            for raw in opened:
                if raw.endswith(b"\n"):
                    yield raw
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            if opened.tell() == 0:
                raise TapeUnreadable(f"{file}: {error}") from None
