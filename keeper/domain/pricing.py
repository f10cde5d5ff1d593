"""All indices of one conversion graph from one snapshot of quotes, rates before their users: same-tick conversion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from keeper.domain.composition import Given, composed_price
from keeper.domain.conversion import rate_flags, rates_of
from keeper.domain.ids import IndexId, SourceId
from keeper.domain.index import (
    NOBODY,
    IndexFlag,
    IndexPrice,
    IndexSpec,
    Rejected,
    Withheld,
    WithheldReason,
    index_price,
)
from keeper.domain.index_state import START, IndexState, Traded
from keeper.domain.quote import Quotes
from keeper.domain.screening import Rates
from keeper.domain.second_look import looked_at
from keeper.domain.time import Timestamp

_NONE: Mapping[Any, Any] = MappingProxyType({})
_WANTING = frozenset(
    {
        WithheldReason.SOURCES,
        WithheldReason.QUOTE_GROUPS,
        WithheldReason.OPERATORS,
        WithheldReason.PAIR,
        WithheldReason.CAPS,
    }
)
"""Why an index is withheld that more sources could make."""


def price_component(
    specs: Sequence[IndexSpec],
    quotes: Quotes,
    last: Mapping[IndexId, int],
    now: Timestamp,
    states: Mapping[IndexId, IndexState] = _NONE,
    traded: Mapping[IndexId, Mapping[SourceId, Traded]] = _NONE,
    benched: Mapping[IndexId, frozenset[SourceId]] = _NONE,
    before: Mapping[IndexId, IndexPrice | Withheld] = _NONE,
) -> Mapping[IndexId, IndexPrice | Withheld]:
    """Every index of one component at `now`. `specs` in the order that `components` gives; `last` prices scaled 1e18.

    `states` are what indices with a memory left at their last tick (`fold.after` of each result), `traded` what the sources
    of those that go by trades traded, `benched` their sources that sit out. `before` are earlier results of these specs:
    they save work and change nothing.
    """
    priced: dict[IndexId, IndexPrice | Withheld] = {}
    for spec in specs:
        (rates, telling), level, earlier = rates_of(spec, priced), last.get(spec.id), before.get(spec.id)
        if spec.composed or (benched and spec.id in benched):
            given = Given(level, states.get(spec.id, START), traded.get(spec.id, _NONE), benched.get(spec.id, NOBODY))
            priced_by = _with_quarantine if given.benched else _price
            found = priced_by(spec, quotes, rates, given, now)
        else:
            inputs = () if earlier is None else earlier.inputs
            found = index_price(spec, quotes, rates, level, now, before=inputs)
            if spec.falls_back:
                found = _with_spares(spec, found, quotes, rates, Given(level, START, _NONE), now)
        if telling and isinstance(found, IndexPrice):
            found = replace(found, flags=(*found.flags, *rate_flags(spec, priced, found)))
        if spec.falls_back or spec.reference is not None:
            found = looked_at(spec, found, quotes, now)
        priced[spec.id] = found
    return priced


def _price(spec: IndexSpec, quotes: Quotes, rates: Rates, given: Given, now: Timestamp) -> IndexPrice | Withheld:
    found = _looked(spec, quotes, rates, given, now)
    return _with_spares(spec, found, quotes, rates, given, now) if spec.falls_back else found


def _looked(spec: IndexSpec, quotes: Quotes, rates: Rates, given: Given, now: Timestamp) -> IndexPrice | Withheld:
    if spec.composed:
        return composed_price(spec, quotes, rates, given, now)
    return index_price(spec, quotes, rates, given.last_e18, now, given.benched, spares=given.spares)


def _with_spares(
    spec: IndexSpec, found: IndexPrice | Withheld, quotes: Quotes, rates: Rates, given: Given, now: Timestamp
) -> IndexPrice | Withheld:
    """Where outliers left fewer of the others than the quorum, the fallbacks vote too. They never take a price away."""
    enough = len(found.inputs) >= spec.min_sources
    if enough or not any(refused.reason is Rejected.SPARE for refused in found.rejected):
        return found
    whole = _looked(spec, quotes, rates, given._replace(spares=True), now)
    if isinstance(whole, IndexPrice) or (isinstance(found, Withheld) and whole.reason in _WANTING):
        return whole
    return found


def _with_quarantine(
    spec: IndexSpec, quotes: Quotes, rates: Rates, given: Given, now: Timestamp
) -> IndexPrice | Withheld:
    """Without the benched; where they alone are what the quorum misses, with them, and flagged."""
    found = _price(spec, quotes, rates, given, now)
    if _short(spec, found) and any(refused.reason is Rejected.QUARANTINED for refused in found.rejected):
        whole = _price(spec, quotes, rates, given._replace(benched=NOBODY), now)
        if isinstance(whole, IndexPrice) and (isinstance(found, Withheld) or not _short(spec, whole)):
            return replace(whole, flags=(*whole.flags, IndexFlag.QUARANTINE_LIFTED), benched=given.benched)
    return replace(found, benched=given.benched)


def _short(spec: IndexSpec, found: IndexPrice | Withheld) -> bool:
    """Withheld for want of sources, or made of fewer than the quorum by some rung below it."""
    return found.reason in _WANTING if isinstance(found, Withheld) else len(found.inputs) < spec.min_sources


def rates_behind(specs: Iterable[IndexSpec]) -> Mapping[IndexId, tuple[IndexId, ...]]:
    """For each index those that convert for it, directly or through one another, in the order of their names."""
    by_id = {spec.id: spec for spec in specs}

    def behind(index: IndexId) -> set[IndexId]:
        return {found for need in _needs(by_id[index]) for found in (need, *behind(need))}

    return {index: tuple(sorted(behind(index))) for index in by_id}


def users_of(specs: Iterable[IndexSpec]) -> Mapping[SourceId, tuple[IndexId, ...]]:
    """For each source the indices that it has a vote in, in the order of `specs`."""
    found: dict[SourceId, tuple[IndexId, ...]] = {}
    for spec in specs:
        for source in spec.sources:
            found[source.source] = (*found.get(source.source, ()), spec.id)
    return found


def components(specs: Iterable[IndexSpec]) -> tuple[tuple[IndexSpec, ...], ...]:
    """Groups indices that convert through one another, each group in an order that prices rates first.

    The result does not depend on the order of `specs`. Raises ValueError naming the indices of a conversion cycle, an
    index named twice, or a conversion to an index that does not exist.
    """
    by_id: dict[IndexId, IndexSpec] = {}
    for spec in sorted(specs, key=lambda spec: spec.id):
        if spec.id in by_id:
            raise ValueError(f"index {spec.id} is defined twice")
        by_id[spec.id] = spec
    order = _ordered(by_id)
    home = _connected(by_id)
    groups: dict[IndexId, list[IndexSpec]] = {}
    for index in order:
        groups.setdefault(home[index], []).append(by_id[index])
    return tuple(tuple(groups[name]) for name in sorted(groups))


def _needs(spec: IndexSpec) -> list[IndexId]:
    return sorted({peg.index for peg in spec.conversions.values()})


def _ordered(by_id: Mapping[IndexId, IndexSpec]) -> list[IndexId]:
    """Depth first, rates before users."""
    done: dict[IndexId, None] = {}

    def visit(index: IndexId, path: tuple[IndexId, ...]) -> None:
        if index in path:
            raise ValueError(f"conversion cycle: {' → '.join((*path[path.index(index) :], index))}")
        if index in done:
            return
        if index not in by_id:
            raise ValueError(f"index {path[-1]} converts through {index}, which is not defined")
        for need in _needs(by_id[index]):
            visit(need, (*path, index))
        done[index] = None

    for index in by_id:
        visit(index, ())
    return list(done)


def _connected(by_id: Mapping[IndexId, IndexSpec]) -> dict[IndexId, IndexId]:
    """Each index with the smallest id of its component."""
    home = {index: index for index in by_id}
    changed = True
    while changed:
        changed = False
        for index, spec in by_id.items():
            ring = [index, *_needs(spec)]
            lowest = min(home[member] for member in ring)
            for member in ring:
                if home[member] != lowest:
                    home[member] = lowest
                    changed = True
    return home
