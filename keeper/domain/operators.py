"""Who runs a venue: two venues of one company are one witness, whatever their names.

Ownership as announced by the companies: Coinbase runs Coinbase International and Deribit; Kraken's Payward runs Kraken Futures
(once Crypto Facilities); Robinhood bought Bitstamp in 2025; OKCoin and OKX are one group, as are Binance and Binance.US in
name and technology. An operator of the keeper corrects the table with `operator` at a source.
"""

from __future__ import annotations

from collections.abc import Mapping

from keeper.domain.ids import SourceId

OPERATORS: Mapping[str, str] = {
    "binance": "binance",
    "binanceus": "binance",
    "binance_usdm": "binance",
    "binance_coinm": "binance",
    "binance_perp": "binance",
    "bybit_perp": "bybit",
    "gate_perp": "gate",
    "hyperliquid_perp": "hyperliquid",
    "mexc_perp": "mexc",
    "coinbase": "coinbase",
    "coinbase_international": "coinbase",
    "deribit": "coinbase",
    "kraken": "kraken",
    "kraken_futures": "kraken",
    "okx": "okx",
    "okcoin": "okx",
    "bitstamp": "robinhood",
    "robinhood": "robinhood",
    "pyth": "pyth",
    "pyth_hermes": "pyth",
}


def venue_of(source: SourceId) -> str:
    """`binance` of `binance:BTCUSDT`."""
    return source.partition(":")[0]


def operator_of(venue: str) -> str:
    """Who runs it; a venue that the table does not name is its own operator."""
    return OPERATORS.get(venue, venue)
