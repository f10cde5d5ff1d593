"""What venues changed, with the first boundary that each version was charged at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keeper.domain.rates.method import BASIS_POINT, EIGHT_HOURS_S, HOUR_S, FundingMethod, Ratio
from keeper.domain.rates.presets import Hyperliquid
from keeper.domain.rates.versions import Versions

HYPERLIQUID_FIRST_S = 1_683_849_600
"""2023-05-12 00:00 UTC: nothing is known of the time before."""

_HYPERLIQUID: Versions[FundingMethod[Any]] = Versions(
    (
        (HYPERLIQUID_FIRST_S, Hyperliquid(interval_s=EIGHT_HOURS_S, clamp=Ratio(3 * BASIS_POINT))),
        (1_686_186_000, Hyperliquid(interval_s=HOUR_S, clamp=Ratio(3 * BASIS_POINT))),  # 2023-06-08 01:00
        (1_686_949_200, Hyperliquid(interval_s=HOUR_S, interest=Ratio(0), clamp=Ratio(0))),  # 2023-06-16 21:00
        (1_689_390_000, Hyperliquid()),  # 2023-07-15 03:00
    )
)

HISTORY: Mapping[str, Versions[FundingMethod[Any]]] = {Hyperliquid.name: _HYPERLIQUID}
"""By method. Without options of his own an operator gets these; with any, one version that holds always."""
