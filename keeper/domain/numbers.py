"""Exact numbers: integers with a scale in their name, and rounding by name."""

from __future__ import annotations

import re
from decimal import Decimal

E18 = 10**18
BPS = 10_000
MAX_PRICE_E18 = 2**96 - 1
"""Largest price that a report can carry (uint96)."""

_PLAIN = re.compile(r"-?[0-9]{1,40}(?:\.[0-9]{0,60})?(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)


def fdiv(numerator: int, denominator: int) -> int:
    """Quotient rounded toward minus infinity."""
    return numerator // denominator


def cdiv(numerator: int, denominator: int) -> int:
    """Quotient rounded toward plus infinity."""
    return -(-numerator // denominator)


def tdiv(numerator: int, denominator: int) -> int:
    """Quotient rounded toward zero, as Solidity divides."""
    quotient = abs(numerator) // abs(denominator)
    return quotient if (numerator < 0) == (denominator < 0) else -quotient


def clamp(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


def parse_e18(text: str) -> int:
    """A venue's decimal text as an integer scaled by 1e18, digits beyond the 18th truncated toward zero.

    Raises ValueError on anything but a plain ASCII decimal (so on `NaN`, `Infinity`, `1_000`, an empty text).
    """
    if not _PLAIN.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not a plain decimal number")
    if "e" in text or "E" in text:
        text = format(Decimal(text), "f")
    whole, _, fraction = text.partition(".")
    scaled = int(whole.lstrip("-") or "0") * E18 + int(fraction[:18].ljust(18, "0") or "0")
    return -scaled if text.startswith("-") else scaled


def decimal_of(value_e18: int) -> Decimal:
    """The exact decimal, for people and settings."""
    return Decimal(value_e18).scaleb(-18)


def text_of(value_e18: int) -> str:
    """The exact decimal without trailing zeros, for logs and evidence."""
    sign = "-" if value_e18 < 0 else ""
    whole, fraction = divmod(abs(value_e18), E18)
    tail = f"{fraction:018d}".rstrip("0")
    return f"{sign}{whole}.{tail}" if tail else f"{sign}{whole}"


def deviation_bps(new: int, old: int) -> int:
    """|new − old| / old in basis points, rounded down; the one convention of every trigger. `old` must be positive."""
    return abs(new - old) * BPS // old


def exceeds_bps(new: int, old: int, limit_bps: int) -> bool:
    """Exactly |new − old| · 10⁴ > limit · old, as the contract tests it."""
    return abs(new - old) * BPS > limit_bps * old
