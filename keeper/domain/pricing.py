"""All indices of one conversion graph from one snapshot of quotes, rates before their users: same-tick conversion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from keeper.domain.conversion import rates_of
from keeper.domain.ids import IndexId
from keeper.domain.index import IndexPrice, IndexSpec, Withheld, index_price
from keeper.domain.quote import Quotes
from keeper.domain.time import Timestamp


def price_component(
    specs: Sequence[IndexSpec], quotes: Quotes, last: Mapping[IndexId, int], now: Timestamp
) -> Mapping[IndexId, IndexPrice | Withheld]:
    """Every index of one component at `now`. `specs` in the order that `components` gives; `last` prices scaled 1e18."""
    priced: dict[IndexId, IndexPrice | Withheld] = {}
    for spec in specs:
        priced[spec.id] = index_price(spec, quotes, rates_of(spec, priced), last.get(spec.id), now)
    return priced


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
