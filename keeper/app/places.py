"""Directories that an operator named: whether they can be what he wants them for, before anything is made of it."""

from __future__ import annotations

import os
from pathlib import Path

from keeper.errors import ConfigError, KeeperError, KeyPermissionError
from keeper.settings.models import Settings


def require_state(settings: Settings) -> None:
    """Raises ConfigError for a state directory that is none and cannot become one, KeyPermissionError for one closed to us."""
    place, where = settings.state_dir, settings.where("state_dir")
    fault = _fault(place)
    if isinstance(fault, PermissionError):
        raise KeyPermissionError(
            f"{where}: user {os.geteuid()} cannot write to {fault.filename}; use sudo -u, or chown it"
        )
    if fault is not None:
        raise ConfigError(f"{where}: {place}: {fault.filename} is not a directory")


def require_directory(place: Path, option: str) -> None:
    """Raises KeeperError where there is none and none can be made. Leaves it there."""
    fault = _fault(place)
    if fault is None:
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            fault = error
    if isinstance(fault, PermissionError):
        raise KeyPermissionError(f"{option} {place}: user {os.geteuid()} cannot write to {fault.filename}")
    if fault is not None:
        raise KeeperError(f"{option} {place}: no directory can be made there: {fault.strerror} ({fault.filename})")


def signer_where(settings: Settings, place: str) -> str:
    """As `settings.where`: an entry of a list has no line of its own, what is written in it has."""
    written = next((f"{place}.{name}" for name in ("file", "kind") if f"{place}.{name}" in settings.places), place)
    return f"{settings.places[written]}: {place}" if written in settings.places else place


def exists(path: Path) -> bool:
    """Raises KeyPermissionError where only another user may look."""
    try:
        return path.exists()
    except PermissionError:
        raise KeyPermissionError(f"{path}: only the keeper's own user may look there; use sudo -u") from None


def _fault(place: Path) -> OSError | None:
    """What is in the way of a directory there that we can write to; one that is not there yet is made by its parent's leave."""
    try:
        while not place.exists() and place != place.parent:
            place = place.parent
    except PermissionError as error:
        return error
    if not place.is_dir():
        return NotADirectoryError(20, "Not a directory", str(place))
    if not os.access(place, os.W_OK | os.X_OK):
        return PermissionError(13, "Permission denied", str(place))
    return None
