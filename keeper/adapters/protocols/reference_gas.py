"""Gas limits of the acts of the reference protocol: PLACEHOLDER."""

from __future__ import annotations

DELEVERAGE = 3_000_000


def push(prices: int, signatures: int) -> int:
    return 150_000 + 10_000 * signatures + 130_000 * prices


def settle(markets: int) -> int:
    return 150_000 + 130_000 * markets


def liquidate(requests: int) -> int:
    return min(16_000_000, 2_500_000 + 700_000 * requests)
