"""Venues as the operator configured them: addresses other than their own, and keys from files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from keeper.adapters.signers.secret_file import Environment, Secret, read_secret
from keeper.adapters.sources import BOOK_VENUES, STREAM_VENUES
from keeper.ports.venue import StreamVenue
from keeper.settings.models import Settings
from keeper.settings.options import build


def venue_of(settings: Settings, kind: str, environ: Mapping[str, str] | None = None) -> StreamVenue[Any]:
    """Reads the key's file. Raises ConfigError or KeyPermissionError."""
    registry, found = STREAM_VENUES if kind in STREAM_VENUES else BOOK_VENUES, settings.venues.get(kind)
    given = {} if found is None else {"url": found.url, "rest_url": found.rest_url}
    options = {name: value for name, value in given.items() if value is not None}
    return build(registry, kind, options, f"venues.{kind}", key=_key(settings, kind, environ))


def _key(settings: Settings, kind: str, environ: Mapping[str, str] | None) -> Secret | None:
    found = settings.venues.get(kind)
    if found is None or found.key_file is None:
        return None
    where = settings.where(f"venues.{kind}.key_file")
    return read_secret(found.key_file, where, Environment(os.environ if environ is None else environ))
