"""Registry of streaming venues: kind in the settings → its description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keeper.adapters.sources.binance import Binance
from keeper.ports.venue import StreamVenue

STREAM_VENUES: Mapping[str, type[StreamVenue[Any]]] = {
    "binance": Binance,
}
