"""What one tick of an index says of its sources: the looks that their records are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median_low

from keeper.domain.index import IndexFlag, IndexPrice, IndexSpec, PricedQuote, Rejected, Withheld
from keeper.domain.numbers import BPS
from keeper.domain.scorecard import Look

_AT_FAULT = frozenset({Rejected.FUTURE, Rejected.NON_POSITIVE, Rejected.CROSSED, Rejected.WIDE})
"""What a quote is refused for by itself."""
_BY_OTHERS = frozenset({Rejected.FROZEN, Rejected.OUTLIER})
"""What it is refused for by the others: that counts where they are believed."""
_BELIEVED = frozenset({IndexFlag.PEG_ALERT, IndexFlag.LIMITED, IndexFlag.MEDIAN, IndexFlag.QUARANTINE_LIFTED})
"""Flags of an index that sources can be measured by all the same."""
_ENOUGH = 3
"""Of two sources that differ nobody knows which is wrong."""


def looks_of(spec: IndexSpec, found: IndexPrice | Withheld) -> Iterator[Look]:
    """One for each source. Without an index to believe, only what is wrong with a quote by itself counts.

    What the index is held against has no vote to lose, and so no record.
    """
    levels = _levels(spec, found)
    own = levels.get(None)
    for vote in found.inputs:
        group = vote.spec.quote
        level = levels.get(group, own)
        if level is None:
            yield Look(vote.spec.source, None, None, group)
        else:
            yield Look(vote.spec.source, True, abs(vote.price_e18 - level) * BPS // level, group)
    groups = {source.source: source.quote for source in spec.sources} if found.rejected else {}
    for refused in found.rejected:
        if refused.reason is Rejected.REFERENCE:
            continue
        group, price, reason = groups[refused.source], refused.price_e18, refused.reason
        level = levels.get(group, own)
        apart = None if level is None or price is None else abs(price - level) * BPS // level
        if reason in _AT_FAULT or (level is not None and reason in _BY_OTHERS):
            yield Look(refused.source, False, apart, group)
        else:
            yield Look(
                refused.source, True if reason is Rejected.QUARANTINED and apart is not None else None, apart, group
            )


def _levels(spec: IndexSpec, found: IndexPrice | Withheld) -> Mapping[str | None, int]:
    """What the sources are measured by: the index, under None; or, where the groups are not converted, each its own."""
    if isinstance(found, Withheld) or len(found.inputs) < _ENOUGH or not _BELIEVED.issuperset(found.flags):
        return {}
    return _by_group(found.inputs) if spec.method.by_group else {None: found.exact_e18}


def _by_group(votes: Sequence[PricedQuote]) -> Mapping[str | None, int]:
    groups: dict[str | None, list[int]] = {}
    for vote in votes:
        groups.setdefault(vote.group, []).append(vote.price_e18)
    return {group: median_low(prices) for group, prices in groups.items() if len(prices) >= _ENOUGH}
