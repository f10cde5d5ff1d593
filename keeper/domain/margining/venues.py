"""Liquidation prices as venues print them, where they differ from the exact solution or are stated in other quantities.

Where maintenance margin is frozen at the entry (Bybit) or at the current notional (Hyperliquid until 2023), the printed
price is not the one at which AV meets a margin that moves with the price. Each function gives the venue's figure, rounded
toward health like every other; the contract's multiplier is 1. Where the figure is not a positive price there is none, and
the answer says which of the two that means.
"""

from __future__ import annotations

from fractions import Fraction

from keeper.domain.margining.contracts import INVERSE, LINEAR, ceil, floor
from keeper.domain.margining.isolated import Isolated, liquidation_price
from keeper.domain.margining.threshold import Unreachable
from keeper.domain.margining.tiers import one_rate
from keeper.domain.numbers import E18


def toward_health(exact: Fraction, size_e18: int) -> int | Unreachable:
    """Up for a long, down for a short: what is printed is never further away than what holds."""
    if size_e18 > 0:
        return ceil(exact) if exact > 1 else Unreachable.NEVER
    return floor(exact) if exact >= 1 else Unreachable.ALWAYS


def _inverse(size_e18: int, quote: Fraction | int, coins: Fraction) -> int | Unreachable:
    """quote / coins as a price; without coins left to divide by, a short is never and a long always beyond it."""
    if coins <= 0:
        return Unreachable.NEVER if size_e18 < 0 else Unreachable.ALWAYS
    return toward_health(quote * E18 / coins, size_e18)


def hyperliquid(price_e18: int, size_e18: int, available_e18: int, max_leverage: int) -> int | Unreachable:
    """price − s · available / size / (1 − l·s), l = 1 / (2 · max leverage); `available_e18` is AV − MM at `price_e18`.

    https://hyperliquid.gitbook.io/hyperliquid-docs/trading/liquidations
    """
    side, rate = (1 if size_e18 > 0 else -1), Fraction(1, 2 * max_leverage)
    away = Fraction(available_e18 * E18, size_e18) / (1 - side * rate)
    return toward_health(price_e18 - away, size_e18)


def hyperliquid_2023(price_e18: int, size_e18: int, available_e18: int) -> int | Unreachable:
    """price − s · (AV − MM) / size, MM fixed at the current notional: what the API gave until 2023."""
    return toward_health(price_e18 - Fraction(available_e18 * E18, size_e18), size_e18)


def bybit_linear(
    size_e18: int, entry_e18: int, leverage: Fraction, rate: Fraction, added_e18: int = 0
) -> int | Unreachable:
    """E − s · (IM + added − MM) / size with both margins at the entry. https://www.bybit.com/en/help-center (360039261114)"""
    side, worth = (1 if size_e18 > 0 else -1), abs(LINEAR.worth(size_e18, entry_e18))
    room = worth / leverage + added_e18 - worth * rate
    return toward_health(entry_e18 - side * room * E18 / abs(size_e18), size_e18)


def bybit_inverse(size_e18: int, entry_e18: int, leverage: Fraction, rate: Fraction) -> int | Unreachable:
    """Q / (PV + s · (IM − MM)), PV = Q / E, both margins at the entry."""
    side, worth = (1 if size_e18 > 0 else -1), abs(INVERSE.worth(size_e18, entry_e18))
    below = worth + side * worth * (1 / leverage - rate)
    return _inverse(size_e18, abs(size_e18), below)


def bybit_inverse_cross_bankruptcy(
    size_e18: int, entry_e18: int, balance_e18: int, taker: Fraction
) -> int | Unreachable:
    """Where balance and PnL pay for nothing but the taker fee of closing: Q · (1 + s·fee) / (Q/E + s·balance).

    https://help.bybit.com/hc/en-us/articles/360039261334
    """
    side = 1 if size_e18 > 0 else -1
    below = abs(INVERSE.worth(size_e18, entry_e18)) + side * balance_e18
    return _inverse(size_e18, abs(size_e18) * (1 + side * taker), below)


def bybit_inverse_cross(
    size_e18: int, entry_e18: int, balance_e18: int, rate: Fraction, taker: Fraction
) -> int | Unreachable:
    """1/LP = 1/E + s · (balance − MM at the entry − fee of closing at the bankruptcy price) / Q; the fee is frozen too.

    Without such a price there is no such fee: a short that its balance covers is never bankrupt, but may fall below MM.
    """
    bankrupt = bybit_inverse_cross_bankruptcy(size_e18, entry_e18, balance_e18, taker)
    fee = Fraction(0) if isinstance(bankrupt, Unreachable) else abs(INVERSE.worth(size_e18, bankrupt)) * taker
    side, worth = (1 if size_e18 > 0 else -1), abs(INVERSE.worth(size_e18, entry_e18))
    room = balance_e18 - worth * rate - fee
    below = worth + side * room
    return _inverse(size_e18, abs(size_e18), below)


def dydx_v4(size_e18: int, oracle_e18: int, equity_e18: int, rate: Fraction) -> int | Unreachable:
    """(e − s·p) / (|s|·MMF − s), s the signed size: the exact solution from equity at the oracle price."""
    return liquidation_price(Isolated(LINEAR, size_e18, oracle_e18, equity_e18, one_rate(rate)))
