"""Identities. An index (what is priced) is not a market (a perp), and neither is a deployment (contracts on a chain)."""

from __future__ import annotations

from typing import NewType

IndexId = NewType("IndexId", str)
"""What is priced, e.g. `BTC-USD` or `USDT-USD`. One index may serve several markets, deployments and chains."""
MarketId = NewType("MarketId", str)
"""A perpetual, e.g. `BTC-USD`, by its name in the configuration."""
SourceId = NewType("SourceId", str)
"""One symbol at one venue, `venue:symbol`, e.g. `binance:BTCUSDT`."""
DeploymentId = NewType("DeploymentId", str)
"""One protocol's contracts on one chain, by its name in the configuration."""
ChainId = NewType("ChainId", int)
Address = NewType("Address", str)
"""0x and 40 lower-case hexadecimal digits."""
Hash = NewType("Hash", str)
"""0x and 64 lower-case hexadecimal digits."""


def source_id(venue: str, symbol: str) -> SourceId:
    """`venue:symbol`."""
    return SourceId(f"{venue}:{symbol}")


def address(text: str) -> Address:
    """Lower-case form of a 20-byte hexadecimal address. Raises ValueError on anything else."""
    body = text[2:].lower()
    if len(text) != 42 or text[:2] not in ("0x", "0X") or any(c not in "0123456789abcdef" for c in body):
        raise ValueError(f"{text!r} is not a 20-byte address")
    return Address("0x" + body)
