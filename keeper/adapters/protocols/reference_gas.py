"""Gas limits of the acts, so that nothing has to be asked on the way to a transaction.

Measured on anvil (cancun) at the worst that the contracts allow: 32 markets of 10 tiers, accounts of 8 positions, an
insurance fund that holds 24 of them. A limit is what the wallet must be able to pay, not what it pays.
"""

from __future__ import annotations

TRANSACTION_CAP = 2**24
"""https://eips.ethereum.org/EIPS/eip-7825. From 17 requests on a liquidation is held below what 0.9 M each would give."""

DELEVERAGE = 2_500_000
"""Measured 1.76 M."""


def push(prices: int, signatures: int) -> int:
    """Measured 67 k for one price by two signers, 1.90 M for the first 32 prices by three (59 k a price, 7 k a signer)."""
    return 120_000 + 75_000 * prices + 12_000 * signatures


def settle(markets: int) -> int:
    """Measured 62 k for one market, 1.54 M for 32 that settle for the first time (48 k each)."""
    return 150_000 + 65_000 * markets


def liquidate(requests: int) -> int:
    """Measured 1.79 M for one with a loss, 13.8 M for 16 and 17.6 M for 20 of them; ordinary ones cost 0.2 to 0.5 M."""
    return min(TRANSACTION_CAP, 1_500_000 + 900_000 * requests)
