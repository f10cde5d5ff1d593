"""Funding methods by the name that an operator writes. A new one is a class with its constants and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keeper.domain.rates import presets
from keeper.domain.rates.method import FundingMethod

FUNDING_METHODS: Mapping[str, type[FundingMethod[Any]]] = {
    method.name: method
    for method in (
        presets.Plainly,
        presets.DailyClamp,
        presets.Binance,
        presets.Bitmex,
        presets.Bybit,
        presets.Gate,
        presets.Phemex,
        presets.Delta,
        presets.Hyperliquid,
        presets.Hip3,
        presets.Okx,
        presets.DydxV3,
        presets.Ftx,
        presets.Kraken,
        presets.Btse,
        presets.CoinbaseIntx,
        presets.Deribit,
        presets.DydxV4,
        presets.DydxV1,
        presets.Drift,
        presets.Curie,
        presets.Synthetix,
        presets.GmxV1,
    )
}
