"""What a plain client takes from a frame: the bid."""

from __future__ import annotations

import json
from decimal import Decimal


def bid_of(frame: str | bytes) -> Decimal:
    """Of any dialect that `exchanges` speaks."""
    message = json.loads(frame)
    ticker = message.get("data", message)
    ticker = ticker[0] if isinstance(ticker, list) else ticker
    if "bids" in ticker:
        return Decimal(ticker["bids"][0][0])
    return Decimal(ticker.get("b") or ticker.get("bidPx") or ticker["best_bid"])
