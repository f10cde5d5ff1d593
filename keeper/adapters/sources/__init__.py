"""Registries of streaming venues: kind in the settings → its description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keeper.adapters.sources.binance import Binance
from keeper.adapters.sources.binance_perp import BinancePerp
from keeper.adapters.sources.bitfinex import Bitfinex
from keeper.adapters.sources.bitstamp import Bitstamp
from keeper.adapters.sources.bybit import Bybit
from keeper.adapters.sources.bybit_perp import BybitPerp
from keeper.adapters.sources.coinbase import Coinbase
from keeper.adapters.sources.cryptocom import Cryptocom
from keeper.adapters.sources.gate import Gate
from keeper.adapters.sources.gate_perp import GatePerp
from keeper.adapters.sources.gemini import Gemini
from keeper.adapters.sources.htx import Htx
from keeper.adapters.sources.hyperliquid import Hyperliquid, HyperliquidPerp
from keeper.adapters.sources.kraken import Kraken
from keeper.adapters.sources.kucoin import Kucoin
from keeper.adapters.sources.mexc import Mexc
from keeper.adapters.sources.mexc_perp import MexcPerp
from keeper.adapters.sources.okx import Okx
from keeper.adapters.sources.perp import Perp
from keeper.adapters.sources.pyth_hermes import PythHermes
from keeper.ports.venue import StreamVenue

STREAM_VENUES: Mapping[str, type[StreamVenue[Any]]] = {
    "binance": Binance,
    "binance_perp": BinancePerp,
    "bitfinex": Bitfinex,
    "bitstamp": Bitstamp,
    "bybit": Bybit,
    "bybit_perp": BybitPerp,
    "coinbase": Coinbase,
    "cryptocom": Cryptocom,
    "gate": Gate,
    "gate_perp": GatePerp,
    "gemini": Gemini,
    "kraken": Kraken,
    "kucoin": Kucoin,
    "htx": Htx,
    "hyperliquid": Hyperliquid,
    "hyperliquid_perp": HyperliquidPerp,
    "mexc": Mexc,
    "mexc_perp": MexcPerp,
    "okx": Okx,
    "pyth_hermes": PythHermes,
}
"""Venues that yield quotes: of spot markets, and of perpetuals where the name says so. OKX and Crypto.com have both: the symbol tells."""

BOOK_VENUES: Mapping[str, type[StreamVenue[Any]]] = {
    "perp": Perp,
}
"""The perp's own exchange: it yields depth and trades."""
