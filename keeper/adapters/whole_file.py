"""Additions to a file that are made, or not made at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole(file: Path) -> Iterator[None]:
    """What is added to it within is added; with an OSError, as of a full disk, it is as it was before, or is none."""
    before = file.stat().st_size if file.exists() else 0
    try:
        yield
    except OSError:
        with suppress(OSError):
            if before:
                os.truncate(file, before)
            else:
                file.unlink()
        raise
