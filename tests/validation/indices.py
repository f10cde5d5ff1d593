"""Components that a venue published, priced by the whole engine: quotes in, screened, judged, combined, rounded."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from keeper.domain.ids import IndexId, SourceId
from keeper.domain.index import IndexPrice, IndexSpec, SourceSpec
from keeper.domain.pricing import price_component
from keeper.domain.quote import Quote
from keeper.domain.time import SECOND, Timestamp
from tests.validation.data import e18

NOW = Timestamp(1_700_000_000 * SECOND)
INDEX = IndexId("X-USD")


def spec_of(weights: Sequence[Decimal | int]) -> IndexSpec:
    """All in one currency, each with its weight scaled by 1e18. What a venue does besides is replaced in it."""
    sources = tuple(SourceSpec(SourceId(f"v{n}:X"), "USD", e18(weight)) for n, weight in enumerate(weights))
    return IndexSpec(INDEX, sources, min_quote_groups=1)


def priced(spec: IndexSpec, prices: Sequence[Decimal | int]) -> Decimal:
    """The index of last trades at `prices`. Raises ValueError where it is withheld."""
    quotes = {
        source.source: Quote(source.source, NOW, NOW, last_e18=e18(price))
        for source, price in zip(spec.sources, prices, strict=True)
    }
    found = price_component((spec,), quotes, {}, NOW)[INDEX]
    if not isinstance(found, IndexPrice):
        raise ValueError(found.detail)
    return Decimal(found.price_e18).scaleb(-18)
