"""Prices that contracts hold. A new kind is a file and a line here."""

from __future__ import annotations

from collections.abc import Mapping

from keeper.adapters.onchain.chainlink import Chainlink
from keeper.adapters.onchain.pyth import Pyth
from keeper.adapters.onchain.source import OnchainSource
from keeper.adapters.onchain.uniswap_v3 import UniswapV3

ONCHAIN_SOURCES: Mapping[str, type[OnchainSource]] = {
    "chainlink": Chainlink,
    "pyth": Pyth,
    "uniswap_v3": UniswapV3,
}

__all__ = ["ONCHAIN_SOURCES", "OnchainSource"]
