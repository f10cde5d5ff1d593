"""Prices of a concentrated-liquidity pool: 1.0001 to the power of a tick, without floats.

https://docs.uniswap.org/contracts/v3/reference/core/libraries/TickMath · the whitepaper's section 6.1
"""

from __future__ import annotations

from typing import NamedTuple

from keeper.domain.numbers import E18

MAX_TICK = 887_272
"""The pool's own limit: 1.0001 to this power is just below 2**128."""
_FRACTION_BITS = 256
_ONE = 1 << _FRACTION_BITS
_BASE = _ONE * 10_001 // 10_000
_CUMULATIVE_BITS = 56
_PER_LIQUIDITY_BITS = 160


class Decimals(NamedTuple):
    """Of the token that is priced and of the one that it is priced in."""

    base: int
    quote: int


def tick_ratio(tick: int) -> int:
    """1.0001 ** |tick| scaled by 2**256, too low by less than one part in 2**230. Raises ValueError beyond ±887272.

    Each of at most 40 products is rounded down by less than 2**-256 of itself, and squaring doubles what was lost before.
    """
    if abs(tick) > MAX_TICK:
        raise ValueError(f"tick {tick} is beyond {MAX_TICK}")
    result, square, left = _ONE, _BASE, abs(tick)
    while left:
        if left & 1:
            result = result * square >> _FRACTION_BITS
        square = square * square >> _FRACTION_BITS
        left >>= 1
    return result


def tick_price(tick: int, decimals: Decimals, inverted: bool) -> int:
    """Price of one whole base token at `tick`, scaled by 1e18 and rounded down.

    A tick says how much of token1 one smallest unit of token0 is worth; `inverted`: the base is token1.
    """
    exponent, ratio = -tick if inverted else tick, tick_ratio(tick)
    numerator, denominator = E18 * power_of_ten(decimals.base), power_of_ten(decimals.quote)
    if exponent >= 0:
        return numerator * ratio // (denominator << _FRACTION_BITS)
    return (numerator << _FRACTION_BITS) // (denominator * ratio)


def power_of_ten(exponent: int) -> int:
    """Exactly, of an exponent that is not negative."""
    return int(10**exponent)


def mean_tick(older: int, newer: int, window_s: int) -> int:
    """Mean of the tick over the window from two of the pool's sums, rounded toward minus infinity.

    The sums are int56 and may wrap between the two.
    """
    return _signed(newer - older, _CUMULATIVE_BITS) // window_s


def harmonic_liquidity(older: int, newer: int, window_s: int) -> int | None:
    """Harmonic mean of the liquidity in range over the window, rounded down; None where the sums did not move.

    The sums are of seconds by liquidity, uint160 scaled by 2**128, and may wrap between the two.
    """
    passed = (newer - older) % (1 << _PER_LIQUIDITY_BITS)
    if passed == 0:
        return None
    return window_s * ((1 << _PER_LIQUIDITY_BITS) - 1) // (passed << 32)


def _signed(value: int, bits: int) -> int:
    wrapped = value % (1 << bits)
    return wrapped - (1 << bits) if wrapped >> (bits - 1) else wrapped
