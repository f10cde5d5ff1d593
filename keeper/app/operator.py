"""What `keeper ctl resume` can mean to a market's prices, by the word for it on the tape."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from keeper.domain.ids import MarketId
from keeper.services.pricing import PricingService

WORDS: Mapping[str, Callable[[PricingService, MarketId], bool]] = {
    "resumed": PricingService.resume,
    "lifted": PricingService.lift,
    "accepted": PricingService.accept,
}
"""Each says whether it meant anything."""
