"""What each vote counted for, computed again by the rules of then: a record holds configured weights alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keeper.domain.ids import IndexId, SourceId
from keeper.domain.index import IndexFlag, IndexPrice, IndexSpec
from keeper.domain.pricing import price_component
from keeper.domain.recall import recall

Shares = Mapping[SourceId, float]
_WEIGHTLESS = frozenset({IndexFlag.MEDIAN, IndexFlag.HELD, IndexFlag.CLOSED})
"""Flags of an index that no weights made."""


def shares_of(document: Mapping[str, Any], specs: Sequence[IndexSpec]) -> Mapping[IndexId, Shares]:
    """Percent of the weight by index and source. An index is left out where weights do not count, and where these rules and
    this version do not give the price that is recorded.
    """
    try:
        given = recall(document)
        found = price_component(specs, given.quotes, given.last, given.now, given.states, given.traded, given.benched)
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}
    by_id = {spec.id: spec for spec in specs}
    told = {each["id"]: each["price"] for each in document["indices"]}
    return {
        index: _shares(priced)
        for index, priced in found.items()
        if isinstance(priced, IndexPrice) and told.get(index) == str(priced.price_e18) and _weighs(by_id[index], priced)
    }


def _weighs(spec: IndexSpec, index: IndexPrice) -> bool:
    return not spec.method.by_number and _WEIGHTLESS.isdisjoint(index.flags)


def _shares(index: IndexPrice) -> Shares:
    weights = index.weights or [vote.spec.weight for vote in index.inputs]
    total = sum(weights)
    return {vote.source: round(100 * weight / total, 1) for vote, weight in zip(index.inputs, weights, strict=True)}
