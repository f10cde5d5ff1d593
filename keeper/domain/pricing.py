"""All indices of one conversion graph from one snapshot of quotes, rates before their users: same-tick conversion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from keeper.domain.composition import Given, composed_price
from keeper.domain.conversion import rate_flags, rates_of
from keeper.domain.ids import IndexId, SourceId
from keeper.domain.index import IndexPrice, IndexSpec, Withheld, index_price
from keeper.domain.index_state import START, IndexState, Traded
from keeper.domain.quote import Quotes
from keeper.domain.second_look import looked_at
from keeper.domain.time import Timestamp

_NONE: Mapping[Any, Any] = MappingProxyType({})


def price_component(
    specs: Sequence[IndexSpec],
    quotes: Quotes,
    last: Mapping[IndexId, int],
    now: Timestamp,
    states: Mapping[IndexId, IndexState] = _NONE,
    traded: Mapping[IndexId, Mapping[SourceId, Traded]] = _NONE,
) -> Mapping[IndexId, IndexPrice | Withheld]:
    """Every index of one component at `now`. `specs` in the order that `components` gives; `last` prices scaled 1e18.

    `states` are what indices with a memory left at their last tick (`fold.after` of each result), `traded` what the sources
    of those that go by trades traded.
    """
    priced: dict[IndexId, IndexPrice | Withheld] = {}
    for spec in specs:
        (rates, telling), before = rates_of(spec, priced), last.get(spec.id)
        if spec.composed:
            given = Given(before, states.get(spec.id, START), traded.get(spec.id, _NONE))
            found = composed_price(spec, quotes, rates, given, now)
        else:
            found = index_price(spec, quotes, rates, before, now)
        if telling and isinstance(found, IndexPrice):
            found = replace(found, flags=(*found.flags, *rate_flags(spec, priced, found)))
        if spec.falls_back or spec.reference is not None:
            found = looked_at(spec, found, quotes, now)
        priced[spec.id] = found
    return priced


def rates_behind(specs: Iterable[IndexSpec]) -> Mapping[IndexId, tuple[IndexId, ...]]:
    """For each index those that convert for it, directly or through one another, in the order of their names."""
    by_id = {spec.id: spec for spec in specs}

    def behind(index: IndexId) -> set[IndexId]:
        return {found for need in _needs(by_id[index]) for found in (need, *behind(need))}

    return {index: tuple(sorted(behind(index))) for index in by_id}


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
