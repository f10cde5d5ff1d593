"""What a plain client takes from a frame: bid and ask."""

from __future__ import annotations

import json
from decimal import Decimal


def bid_of(frame: str | bytes) -> Decimal:
    """Of any dialect that `exchanges` speaks."""
    ticker = _ticker(frame)
    if "bids" in ticker:
        return Decimal(ticker["bids"][0][0])
    return Decimal(ticker.get("b") or ticker.get("bidPx") or ticker["best_bid"])


def bid_ask_of(frame: str | bytes) -> tuple[Decimal, Decimal]:
    """Of a ticker in any of those dialects."""
    ticker = _ticker(frame)
    bid, ask = ticker.get("b") or ticker.get("bidPx") or ticker["best_bid"], ticker.get("a") or ticker.get("askPx")
    return Decimal(bid), Decimal(ask or ticker["best_ask"])


def _ticker(frame: str | bytes) -> dict[str, str]:
    message = json.loads(frame)
    ticker = message.get("data", message)
    return ticker[0] if isinstance(ticker, list) else ticker  # type: ignore[no-any-return]
