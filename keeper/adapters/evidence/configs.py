"""Configurations by their hash: one compressed file each, so that a record's configuration can be read whatever became of YAML."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from contextlib import suppress
from pathlib import Path

from keeper.adapters.evidence.segments import synced

_SUFFIX = ".json.gz"


def keep(directory: Path, text: str) -> str:
    """Writes it once and returns its hash; on the disk when it returns. Raises OSError."""
    named = hashlib.sha256(text.encode()).hexdigest()
    path = _path(directory, named)
    if path.exists():
        os.utime(path)
        return named
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(gzip.compress(text.encode(), mtime=0))
        opened.flush()
        os.fsync(opened.fileno())
    draft.replace(path)
    synced(path.parent)
    return named


def find(directory: Path, named: str) -> str | None:
    """None when it is not there. Raises ValueError when it is damaged, or not what its name says."""
    if not named.isalnum():
        return None
    try:
        packed = _path(directory, named).read_bytes()
    except FileNotFoundError:
        return None
    try:
        text = gzip.decompress(packed)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{_path(directory, named)} is damaged: {error}") from None
    if hashlib.sha256(text).hexdigest() != named:
        raise ValueError(f"{_path(directory, named)} does not have the hash that it is named by")
    return text.decode()


def names(directory: Path) -> tuple[str, ...]:
    """The newest first."""
    found = sorted((directory / "config").glob(f"*{_SUFFIX}"), key=lambda path: path.stat().st_mtime, reverse=True)
    return tuple(path.name.removesuffix(_SUFFIX) for path in found)


def forget(directory: Path, before_s: float) -> None:
    """Those that were last in force before then."""
    for path in (directory / "config").glob(f"*{_SUFFIX}"):
        with suppress(OSError):
            if path.stat().st_mtime < before_s:
                path.unlink()


def _path(directory: Path, named: str) -> Path:
    return directory / "config" / f"{named}{_SUFFIX}"
