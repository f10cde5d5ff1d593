"""Reads a tape: one file, or a directory of them in the order of time, sorted by the processes that wrote them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from keeper.adapters.tape.lines import FORMAT, PROLOGUE, Line, parsed
from keeper.adapters.tape.members import MAGIC, members
from keeper.adapters.tape.writer import files
from keeper.domain.time import Timestamp
from keeper.errors import DataError


class TapeUnreadable(DataError):
    """A tape is not one, or of a format that this program does not know."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes `at` to before `end` of a file cannot be read. What was heard between `after` and `before` is lost, or some of it.

    `before` None: nothing that can be read follows in that file.
    """

    file: Path
    at: int
    end: int
    after: Timestamp
    before: Timestamp | None = None


@dataclass(slots=True)
class Recording:
    """What one process heard. `cut`: the file that came last ends within a member."""

    lines: list[Line]
    damaged: list[Damage] = field(default_factory=list)
    cut: Damage | None = None


def read(path: Path) -> Iterator[Line]:
    """Lines in the order of their files; of each process only the first file's prologue. Raises TapeUnreadable."""
    for recording in recordings(path):
        yield from recording.lines


def recordings(path: Path) -> list[Recording]:
    """One for each process, as they followed one another. Only the last file of each may end within a member, as after a kill.

    Raises TapeUnreadable.
    """
    found = files(path) if path.is_dir() else [path]
    if not found or not found[0].is_file():
        raise TapeUnreadable(
            f"{path}: no tape there; `keeper record` makes one, the running keeper's is in its state directory"
        )
    return _sorted_by_process(found)


def read_files(found: Sequence[Path], damaged: list[Damage]) -> Iterator[Line]:
    """Some that follow one another, line by line; each prologue but the first is passed over. `damaged` is added to."""
    for number, file in enumerate(found):
        reading = _File(file, damaged)
        for each in reading.lines():
            if number == 0 or not each.kind.startswith(PROLOGUE):
                yield each._replace(kind=each.kind.removeprefix(PROLOGUE))


def _sorted_by_process(found: Sequence[Path]) -> list[Recording]:
    done: list[Recording] = []
    for file in map(_File, found):
        lines = list(file.lines())
        if not lines:
            continue  # killed before its first line was on the disk
        if done and _goes_on(done[-1].lines, lines):
            last = done[-1]
            last.damaged += [*([last.cut] if last.cut is not None else []), *file.damaged]
            last.lines += (each for each in lines[1:] if not each.kind.startswith(PROLOGUE))
            last.cut = file.cut
        else:
            plain = [each._replace(kind=each.kind.removeprefix(PROLOGUE)) for each in lines]
            done.append(Recording(plain, file.damaged, file.cut))
    return done


def _goes_on(before: Sequence[Line], file: Sequence[Line]) -> bool:
    """Whether the same process wrote on: it repeats a connection that still stands, or goes on counting them.

    A new process has none yet, and numbers them from 1.
    """
    if before[0].words != file[0].words:
        return False
    repeated = {str(each.words[0]) for each in file if each.kind == PROLOGUE + "dial"}
    if repeated:
        return any(each.kind == "dial" and each.words[0] in repeated for each in before)
    first = next((str(each.words[0]) for each in file if each.kind == "dial"), None)
    return first is not None and not first.endswith(".1")


@dataclass(slots=True)
class _File:
    path: Path
    damaged: list[Damage] = field(default_factory=list)
    cut: Damage | None = None

    def lines(self) -> Iterator[Line]:
        """A prologue's with their mark. Raises TapeUnreadable, also when the beginning is damaged: that says whose it is."""
        raw, last, count, torn = self.path.read_bytes(), Timestamp(0), 0, None
        if raw and not raw.startswith(MAGIC):
            raise TapeUnreadable(f"{self.path}: not a gzipped file")
        for member in members(raw):
            if member.text is None and not count:
                raise TapeUnreadable(
                    f"{self.path} is damaged at byte {member.at}: it does not begin as a tape does any more"
                )
            if member.text is None:
                torn = Damage(self.path, member.at, member.end, last)
                self.damaged.append(torn)
                continue
            for number, found in enumerate(_lines(self.path, member.text, count), count):
                if number == 0:
                    _require_known(self.path, found)
                if torn is not None:
                    self.damaged[-1], torn = replace(torn, before=found.at), None
                count, last = number + 1, found.at
                yield found
            if member.cut and count:
                self.cut = Damage(self.path, member.at, member.end, last)


def _lines(file: Path, text: bytes, before: int) -> Iterator[Line]:
    """Whole ones, of which `before` came before. Raises TapeUnreadable."""
    for number, raw in enumerate(text.split(b"\n")[:-1], before + 1):
        try:
            yield parsed(raw)
        except ValueError as error:
            raise TapeUnreadable(f"{file}, line {number}: {error}") from None


def _require_known(file: Path, found: Line) -> None:
    if found.kind != "head" or not found.words or not isinstance(found.words[0], dict):
        raise TapeUnreadable(f"{file} does not begin as a tape does")
    if found.words[0].get("format") != FORMAT:
        raise TapeUnreadable(f"{file} has format {found.words[0].get('format')}, this keeper reads {FORMAT}")
