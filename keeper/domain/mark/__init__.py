"""Mark methods by the name that an operator writes. A new one is a file, a line here and its vectors in the tests.

The forms come first, then venues' names for them (`venues`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keeper.domain.mark.blend import Blend
from keeper.domain.mark.curie import Curie
from keeper.domain.mark.dated import DatedBasis
from keeper.domain.mark.ema_basis import EmaBasis
from keeper.domain.mark.funding_fair import FundingFair
from keeper.domain.mark.index_only import IndexOnly
from keeper.domain.mark.means import BookTwap, LastTwap, SpotTwap
from keeper.domain.mark.median_of_three import MedianOfThree
from keeper.domain.mark.method import MarkMethod
from keeper.domain.mark.moving_basis import MovingBasis
from keeper.domain.mark.moving_median import MovingMedian
from keeper.domain.mark.quoted_median import QuotedMedian
from keeper.domain.mark.three_markets import ThreeMarkets
from keeper.domain.mark.twap import Twap
from keeper.domain.mark.venues import VENUES

MARK_METHODS: Mapping[str, type[MarkMethod[Any]]] = {
    IndexOnly.name: IndexOnly,
    FundingFair.name: FundingFair,
    EmaBasis.name: EmaBasis,
    MedianOfThree.name: MedianOfThree,
    MovingBasis.name: MovingBasis,
    MovingMedian.name: MovingMedian,
    QuotedMedian.name: QuotedMedian,
    ThreeMarkets.name: ThreeMarkets,
    DatedBasis.name: DatedBasis,
    Blend.name: Blend,
    Curie.name: Curie,
    Twap.name: Twap,
    BookTwap.name: BookTwap,
    LastTwap.name: LastTwap,
    SpotTwap.name: SpotTwap,
    **{venue.name: venue for venue in VENUES},
}
