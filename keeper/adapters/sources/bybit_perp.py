"""Bybit v5 linear contracts, best level of the order book: https://bybit-exchange.github.io/docs/v5/websocket/public/orderbook

Spot's messages at another address. Of the two channels with bid and ask it is `orderbook.1`, and not `tickers`: that one's changes
come with whatever else of a contract moves, and the book alone is restated after three seconds without change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keeper.adapters.sources.bybit import Bybit

URL = "wss://stream.bybit.com/v5/public/linear"


@dataclass(frozen=True, slots=True)
class BybitPerp(Bybit):
    """Channel `orderbook.1`: a perpetual's book, and no spot price. `BTCUSDT`, `BTCPERP` against USDC."""

    name: str = "bybit_perp"
    url: str = URL

    category: ClassVar[str] = "linear"

    @staticmethod
    def perpetual(symbol: str) -> str:
        """Of `BTCUSDT-25DEC26` it is `BTCUSDT`, and of `BTC-25DEC26`, which is in USDC, `BTCPERP`."""
        contract, dated, _ = symbol.partition("-")
        return contract if not dated or contract.endswith("USDT") else f"{contract}PERP"
