"""Binance's USD-M futures streams and REST ticker: https://developers.binance.com/docs/derivatives/usds-margined-futures"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar

from keeper.devnet.venues.binance import BinanceServer
from keeper.devnet.venues.pricing import Listing, Manner
from keeper.devnet.venues.tape import Tick
from keeper.domain.time import MILLISECOND


class BinancePerpServer(BinanceServer):
    """Spot's dialect at another address, with the times of each book."""

    name = "binance_perp"
    ws_path = "/public/stream"
    ticker_path = "/fapi/v1/ticker/bookTicker"
    listings: ClassVar[Mapping[str, Listing]] = {
        "BTCUSDT": Listing("BTC", "USDT", Decimal("0.1")),
        "ETHUSDT": Listing("ETH", "USDT", Decimal("0.01")),
    }
    manner = Manner(spread_bps=0.2, noise_bps=0.6, lag_s=0.02)

    def stamps(self, tick: Tick) -> Mapping[str, object]:
        at_ms = tick.at // MILLISECOND
        return {"e": "bookTicker", "E": at_ms + 2, "T": at_ms}

    def rest_stamps(self, tick: Tick) -> Mapping[str, object]:
        return {"time": tick.at // MILLISECOND}
