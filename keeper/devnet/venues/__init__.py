"""Registry of local venues: the same names as `keeper.adapters.sources.STREAM_VENUES`."""

from __future__ import annotations

from collections.abc import Mapping

from keeper.devnet.venues.binance import BinanceServer
from keeper.devnet.venues.binance_perp import BinancePerpServer
from keeper.devnet.venues.bitfinex import BitfinexServer
from keeper.devnet.venues.bitstamp import BitstampServer
from keeper.devnet.venues.bybit import BybitServer
from keeper.devnet.venues.bybit_perp import BybitPerpServer
from keeper.devnet.venues.coinbase import CoinbaseServer
from keeper.devnet.venues.cryptocom import CryptocomServer
from keeper.devnet.venues.gate import GateServer
from keeper.devnet.venues.gate_perp import GatePerpServer
from keeper.devnet.venues.gemini import GeminiServer
from keeper.devnet.venues.htx import HtxServer
from keeper.devnet.venues.hyperliquid import HyperliquidPerpServer, HyperliquidServer
from keeper.devnet.venues.kraken import KrakenServer
from keeper.devnet.venues.kucoin import KucoinServer
from keeper.devnet.venues.mexc import MexcServer
from keeper.devnet.venues.mexc_perp import MexcPerpServer
from keeper.devnet.venues.okx import OkxServer
from keeper.devnet.venues.pyth_hermes import PythHermesServer
from keeper.devnet.venues.venue import VenueServer

DEVNET_VENUES: Mapping[str, type[VenueServer]] = {
    "binance": BinanceServer,
    "binance_perp": BinancePerpServer,
    "bitfinex": BitfinexServer,
    "bitstamp": BitstampServer,
    "bybit": BybitServer,
    "bybit_perp": BybitPerpServer,
    "coinbase": CoinbaseServer,
    "cryptocom": CryptocomServer,
    "gate": GateServer,
    "gate_perp": GatePerpServer,
    "gemini": GeminiServer,
    "kraken": KrakenServer,
    "kucoin": KucoinServer,
    "htx": HtxServer,
    "hyperliquid": HyperliquidServer,
    "hyperliquid_perp": HyperliquidPerpServer,
    "mexc": MexcServer,
    "mexc_perp": MexcPerpServer,
    "okx": OkxServer,
    "pyth_hermes": PythHermesServer,
}

DEMO_VENUES: Mapping[str, type[VenueServer]] = {
    name: DEVNET_VENUES[name] for name in ("binance", "bitfinex", "bitstamp", "bybit", "coinbase", "kraken", "okx")
}
"""Those that the demo runs: each is a server, a feed and a dozen messages a second for one process."""
