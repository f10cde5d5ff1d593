"""How long to wait before trying again."""

from __future__ import annotations


def full_jitter_s(failures: int, draw: float, base_s: float = 0.5, cap_s: float = 32.0) -> float:
    """`draw` in [0, 1) of min(cap, base · 2^failures), failures counted from 0: no two clients wait alike.

    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ ("full jitter").
    """
    return draw * ceiling_s(failures, base_s, cap_s)


def ceiling_s(failures: int, base_s: float = 0.5, cap_s: float = 32.0) -> float:
    """Longest wait after so many failures. The exponent is bounded, so that a dead month does not overflow."""
    return min(cap_s, base_s * 2.0 ** min(failures, 30))
