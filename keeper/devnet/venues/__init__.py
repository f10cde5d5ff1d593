"""Registry of local venues: the same names as `keeper.adapters.sources.STREAM_VENUES`."""

from __future__ import annotations

from collections.abc import Mapping

from keeper.devnet.venues.binance import BinanceServer
from keeper.devnet.venues.server import VenueServer

DEVNET_VENUES: Mapping[str, type[VenueServer]] = {
    "binance": BinanceServer,
}
