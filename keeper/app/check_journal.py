"""The journal as `keeper run` will judge it, without changing it and beside a keeper that writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from keeper.adapters import journal_files as files
from keeper.adapters.journal_schema import MIGRATIONS
from keeper.app.findings import Finding, failed_by, warn
from keeper.app.keyless import KEYLESS, keyless
from keeper.app.places import exists
from keeper.errors import KeeperError, KeyPermissionError, StateCorrupt
from keeper.settings.models import Settings


def check_journal(settings: Settings, held: Collection[str]) -> Iterator[Finding]:
    """`held`: addresses that there is a key of. A key that cannot be opened has been told already, and counts as gone."""
    directory = settings.state_dir
    try:
        if not directory.is_dir():
            return
        files.require_present(directory)
        if exists(directory / files.JOURNAL):
            _require_sound(directory / files.JOURNAL)
            for wallet, pending in keyless(directory, settings.chain.id, held).items():
                yield warn(
                    "signers", "under way", f"{pending} transactions of {wallet}, which has no key here: {KEYLESS}"
                )
    except KeyPermissionError as error:
        yield warn("state_dir", "journal", str(error))
    except PermissionError as error:
        yield warn("state_dir", "journal", f"{error.filename}: only the keeper's own user may look there; use sudo -u")
    except KeeperError as error:
        yield failed_by("state_dir", "journal", error)


def _require_sound(path: Path) -> None:
    """Raises StateCorrupt, KeyPermissionError. An older one's tables are judged when the next run has brought them up to date."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=2.0)) as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            fault = _tables(connection) if found == "ok" else " ".join(str(found).split())
    except sqlite3.OperationalError as error:
        if any(word in str(error) for word in ("unable to open", "readonly", "locked")):
            raise KeyPermissionError(f"{path}: {error}; ask as the keeper's own user") from None
        fault = str(error)
    except sqlite3.DatabaseError as error:
        fault = str(error)
    if fault:
        raise StateCorrupt(f"{path} cannot be trusted: {fault}. {files.ADVICE}")


def _tables(connection: sqlite3.Connection) -> str:
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "migration" in tables:
        done = connection.execute("SELECT COALESCE(MAX(number), 0) FROM migration").fetchone()[0]
        if done > len(MIGRATIONS):
            return f"a newer keeper wrote it (schema {done}, this one knows {len(MIGRATIONS)})"
        if 0 < done < len(MIGRATIONS):
            return ""
    return files.schema_fault(connection)
