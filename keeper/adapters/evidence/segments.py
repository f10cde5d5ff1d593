"""Compressed files of records, one JSON array a line: created_at (ns), leaf, root, kind, market, the record's own text.

`evidence-<ns>.jsonl.gz` holds whole gzip members, each with what one pass put away, so that `zcat` reads it; the number is
that of its first record. `evidence-<ns>.keys` has 16 bytes a record, the first halves of leaf and root, so that a search opens
only files that may have what it wants. It is an aid: without it the file is read.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from keeper.adapters.whole_file import whole

_LEVEL = 6
_HALF = 8
SUFFIX = ".jsonl.gz"
KEYS = ".keys"


class StoredRecord(NamedTuple):
    """`root` is None for what was written before roots were kept."""

    created_at: int
    leaf: str
    root: str | None
    kind: str
    market: str
    text: str


def segments(directory: Path) -> list[Path]:
    """Oldest first."""
    return sorted(directory.glob(f"evidence-*{SUFFIX}"))


def keys_of(segment: Path) -> Path:
    return segment.with_name(segment.name.removesuffix(SUFFIX) + KEYS)


def starts_at(segment: Path) -> int:
    """Time of its first record, by its name; 0 for a name that is none of ours."""
    number = segment.name.removeprefix("evidence-").removesuffix(SUFFIX)
    return int(number) if number.isdecimal() else 0


def segment_path(directory: Path, first: StoredRecord) -> Path:
    return directory / f"evidence-{first.created_at:020d}{SUFFIX}"


def append(segment: Path, records: Sequence[StoredRecord]) -> int:
    """On the disk when it returns, in a member of its own. Returns the bytes added. Raises OSError, and has added nothing."""
    lines = "".join(json.dumps(record, separators=(",", ":"), ensure_ascii=False) + "\n" for record in records)
    packed = gzip.compress(lines.encode(), _LEVEL, mtime=0)
    keys = b"".join(_key(record.leaf) + _key(record.root) for record in records)
    with whole(segment), whole(keys_of(segment)):
        _write(segment, packed)
        _write(keys_of(segment), keys)
    return len(packed) + len(keys)


def read(segment: Path) -> Iterator[StoredRecord]:
    """A file that ends within a member, as after a crash, ends there; one that has given way meanwhile has nothing.

    Raises ValueError for what is no segment.
    """
    with suppress(FileNotFoundError), gzip.open(segment, "rb") as opened:
        try:
            for line in opened:
                if not line.endswith(b"\n"):
                    return
                created_at, leaf, root, kind, market, text = json.loads(line)
                yield StoredRecord(created_at, leaf, root, kind, market, text)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            return


def may_have(segment: Path, hash_: str) -> bool:
    """False only when no record in it has this leaf or root."""
    try:
        keys = keys_of(segment).read_bytes()
    except OSError:
        return True
    wanted, at = _key(hash_), -1
    while (at := keys.find(wanted, at + 1)) >= 0:
        if at % _HALF == 0:
            return True
    return False


def _key(hash_: str | None) -> bytes:
    return bytes(_HALF) if hash_ is None else bytes.fromhex(hash_[2 : 2 + 2 * _HALF])


def _write(path: Path, added: bytes) -> None:
    fresh = not path.exists()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        while added:
            added = added[os.write(descriptor, added) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if fresh:
        synced(path.parent)


def synced(directory: Path) -> None:
    """New names in it are on the disk when it returns."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
