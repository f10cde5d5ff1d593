"""What every benchmark says of its figures: quantiles, the machine, and whether a goal was met."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed. Raises ValueError without values."""
    if not values:
        raise ValueError("no values")
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def machine() -> str:
    """Cores and their load now: on a shared machine ratios tell more than times."""
    return f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}"


def verdict(met: bool, goal: str, seen: str) -> str:
    """The line by which `python -m benchmarks` knows the outcome."""
    return f"goal {goal}: {'reached' if met else 'MISSED'} ({seen})"
