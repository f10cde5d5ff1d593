"""Binance USD-M futures, best bid and ask: https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams

Spot's messages with the time of the book's change beside them. The address with `/public` is that of books since 2026-04-23, when
the one without a path for all streams was given up; trades have another (`/market`), so that a connection tells none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from keeper.adapters.sources import wire
from keeper.adapters.sources.binance import Binance
from keeper.domain.time import Timestamp
from keeper.ports.venue import Limits

URL = "wss://fstream.binance.com/public/stream"
REST_URL = "https://fapi.binance.com"


@dataclass(frozen=True, slots=True)
class BinancePerp(Binance):
    """Channel `bookTicker`, times in milliseconds: a perpetual's book, and no spot price."""

    name: str = "binance_perp"
    url: str = URL
    rest_url: str = REST_URL

    ticker_path: ClassVar[str] = "/fapi/v1/ticker/bookTicker"
    gives_trades: ClassVar[bool] = False
    limits: ClassVar[Limits] = replace(
        Binance.limits,
        doc="https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams",
        symbols_per_connection=200,
        symbols_per_frame=50,
    )

    @staticmethod
    def perpetual(symbol: str) -> str:
        """Of `BTCUSDT_261225` it is `BTCUSDT`."""
        return symbol.partition("_")[0]

    @property
    def endpoints(self) -> tuple[str, ...]:
        return (self.url,)

    @staticmethod
    def stated(time_ms: int | None) -> Timestamp:
        return wire.from_millis(wire.present(time_ms, "T"))
