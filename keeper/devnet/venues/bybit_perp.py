"""Bybit's public websocket v5 of linear contracts and its REST ticker: https://bybit-exchange.github.io/docs/v5/ws/connect"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar

from keeper.devnet.venues.bybit import BybitServer
from keeper.devnet.venues.pricing import Listing, Manner


class BybitPerpServer(BybitServer):
    """Spot's dialect at another address."""

    name = "bybit_perp"
    ws_path = "/v5/public/linear"
    category = "linear"
    listings: ClassVar[Mapping[str, Listing]] = {
        "BTCUSDT": Listing("BTC", "USDT", Decimal("0.1")),
        "ETHUSDT": Listing("ETH", "USDT", Decimal("0.01")),
    }
    manner = Manner(spread_bps=0.3, noise_bps=0.7, lag_s=0.03)
