"""Other venues' perpetuals, judged and converted as a spot source would be."""

from __future__ import annotations

from collections.abc import Sequence

from keeper.domain.index_spec import IndexSpec, SourceSpec
from keeper.domain.mark.method import Reference
from keeper.domain.quote import Quotes
from keeper.domain.screening import PricedQuote, Rates, priced
from keeper.domain.time import Timestamp


def references_of(
    sources: Sequence[SourceSpec], quotes: Quotes, spec: IndexSpec, rates: Rates, now: Timestamp
) -> tuple[Reference, ...]:
    """Those that are fresh, uncrossed and not too wide, in the order of `sources`; `rates` converts as for `spec`."""
    votes = (priced(source, quotes.get(source.source), spec, rates, now) for source in sources)
    return tuple(
        Reference(vote.source, vote.price_e18, vote.spec.weight) for vote in votes if isinstance(vote, PricedQuote)
    )
