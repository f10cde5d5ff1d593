"""Venues that an operator may know and that are no more: refused by name, with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from keeper.settings.faults import suggestion

CLOSED_VENUES: Mapping[str, str] = MappingProxyType(
    {
        "bittrex": "Bittrex closed on 2023-12-04",
        "ftx": "FTX has been bankrupt since 2022-11-11",
    }
)


def unknown_venue(name: str, known: Iterable[str]) -> str:
    """Why `name` is refused."""
    if (gone := CLOSED_VENUES.get(name)) is not None:
        return f"{gone}: it has no prices any more; remove it"
    return f"unknown venue{suggestion(name, known)}"
