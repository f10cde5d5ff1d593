"""The journal's files: made whole or not at all, missed when they are gone, moved aside when they cannot be trusted.

https://www.sqlite.org/howtocorrupt.html (a -wal file belongs to its database and goes where that goes)
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from keeper.adapters.journal_schema import made
from keeper.domain.time import Timestamp
from keeper.errors import StateCorrupt, TransientError

JOURNAL = "journal.sqlite"
LOCK = "journal.lock"
_MARK = "journal.made"
"""Says that there has been a journal: without it a missing one is a first start, with it a loss."""
_BESIDE = ("", "-wal", "-shm")
_ASIDE = "journal.damaged-{}.sqlite"
ADVICE = (
    "`keeper journal rebuild` moves it aside, saves what can be read of it and takes the wallets' nonces from the chain"
)


def require_present(directory: Path) -> None:
    """Raises StateCorrupt for a journal that has been here and is gone or empty: its transactions may still be pending."""
    path = directory / JOURNAL
    if path.exists() and path.stat().st_size == 0:
        raise StateCorrupt(f"{path} is empty: it was cut off. {ADVICE}")
    if not path.exists() and (directory / _MARK).exists():
        raise StateCorrupt(
            f"{path} is gone, and a keeper has run here. Put it back, or: {ADVICE}. To begin anew with wallets that have"
            f" nothing pending, remove {directory / _MARK} too"
        )


def make(directory: Path, now: Timestamp) -> None:
    """An empty journal, which is there as a whole or not at all, whenever the machine stops."""
    put_in_place(fresh(directory, now), directory)


def fresh(directory: Path, now: Timestamp) -> Path:
    """An empty journal beside the one that there may be. Raises TransientError when it cannot be written."""
    new = directory / f"{JOURNAL}.new"
    forget(new)
    # Made with its mode before SQLite opens it; the -wal and -shm files inherit it.
    os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    try:
        with closing(sqlite3.connect(new)) as connection:
            made(connection, now)
            connection.commit()
    except sqlite3.OperationalError as error:
        raise TransientError(f"{new} cannot be written: {error}") from error
    return new


def put_in_place(new: Path, directory: Path) -> None:
    """`new`, which no connection has open, becomes the journal. From then on a missing one is a loss."""
    new.replace(directory / JOURNAL)
    _sync(directory)
    mark(directory)


def mark(directory: Path) -> None:
    if not (directory / _MARK).exists():
        (directory / _MARK).touch(mode=0o600)
        _sync(directory)


def newest_aside(directory: Path) -> Path | None:
    """What was moved aside last."""
    number = _first_free(directory) - 1
    return directory / _ASIDE.format(number) if number > 0 else None


def move_aside(directory: Path) -> Path:
    """The journal with what belongs to it, under another name; the database last, so that an interruption is continued."""
    aside = directory / _ASIDE.format(_first_free(directory))
    for ending in reversed(_BESIDE):
        found = directory / f"{JOURNAL}{ending}"
        if found.exists():
            found.replace(f"{aside}{ending}")
    _sync(directory)
    return aside


def copied(path: Path, directory: Path) -> Path:
    """The database and its -wal, to be opened where opening may change them."""
    for ending in ("", "-wal"):
        found = Path(f"{path}{ending}")
        if found.exists():
            shutil.copyfile(found, directory / f"copy{ending}")
    return directory / "copy"


def beginning() -> bytes:
    """The first page of an empty journal, made now: where the tables begin. All journals of this schema have the same."""
    with closing(sqlite3.connect(":memory:")) as connection:
        made(connection, Timestamp(0))
        connection.commit()
        return connection.serialize()[: page_size(connection)]


def page_size(connection: sqlite3.Connection) -> int:
    size: int = connection.execute("PRAGMA page_size").fetchone()[0]
    return size


def schema_fault(connection: sqlite3.Connection) -> str:
    """What of the tables is not as the migrations make it, or an empty text."""
    wanted = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid"
    with closing(sqlite3.connect(":memory:")) as whole:
        made(whole, Timestamp(0))
        expected = whole.execute(wanted).fetchall()
    found = dict(connection.execute(wanted).fetchall())
    for name, sql in expected:
        if name not in found:
            return f"its {name} is missing"
        if found[name] != sql:
            return f"its {name} is not as this keeper made it"
    return ""


def _first_free(directory: Path) -> int:
    number = 1
    while (directory / _ASIDE.format(number)).exists():
        number += 1
    return number


def forget(new: Path) -> None:
    """What was made by `fresh` and not put in place."""
    for ending in (*_BESIDE, "-journal"):
        Path(f"{new}{ending}").unlink(missing_ok=True)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
