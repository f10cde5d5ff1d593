"""Exponential decay in whole numbers: the same bits on every machine, so that a replayed average equals the live one."""

from __future__ import annotations

from math import isqrt

ONE_BITS = 64
ONE = 1 << ONE_BITS
_FRACTION_BITS = 24


def _roots() -> tuple[int, ...]:
    """2^(−1/2), 2^(−1/4), … in units of 2^−64, each the integer square root of the one before."""
    found = [isqrt(1 << (2 * ONE_BITS - 1))]
    while len(found) < _FRACTION_BITS:
        found.append(isqrt(found[-1] << ONE_BITS))
    return tuple(found)


_ROOTS = _roots()


def half_life_ns(window_ns: int) -> int:
    """Half-life of what venues call an N-second moving average.

    That is an exponential average which takes 2/(N+1) of each new second; its half-life, ln 2 / ln((N+1)/(N−1)), is
    N · ln 2 / 2 within 0.04 % for N ≥ 30. For N = 30: 10.4 s.
    """
    return window_ns * 346_573_590 // 1_000_000_000


def decay(elapsed_ns: int, half_life: int) -> int:
    """2^(−elapsed / half-life) in units of 2^−64: the weight that the past keeps. Relative error below 1e-7.

    The fraction of a half-life is cut to 24 bits and multiplied out bit by bit, before whole halves take digits away: so
    more time never weighs more. `half_life` in ns, positive.
    """
    whole, rest = divmod(elapsed_ns, half_life)
    if whole >= ONE_BITS:
        return 0
    weight = ONE
    fraction = (rest << _FRACTION_BITS) // half_life
    mask = 1 << (_FRACTION_BITS - 1)
    for root in _ROOTS:
        if fraction & mask:
            weight = weight * root >> ONE_BITS
        mask >>= 1
    return weight >> whole
