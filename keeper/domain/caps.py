"""No venue, operator or quote group holds more of the weight than its cap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keeper.domain.numbers import BPS
from keeper.domain.source_spec import SourceSpec

_FINE = 10**18
"""Parts of a unit of weight: what the caps leave is no whole number."""
_SWEEPS = 64
"""Lowering a venue may lift a group's share above its own cap, and so on: the caps are applied in turns, so often at most."""


@dataclass(frozen=True, slots=True)
class Caps:
    """Largest share of the weight, in bps; None: no cap. An operator's venues count together."""

    venue_bps: int | None = None
    operator_bps: int | None = None
    quote_group_bps: int | None = None

    def __post_init__(self) -> None:
        for name in ("venue_bps", "operator_bps", "quote_group_bps"):
            limit = getattr(self, name)
            if limit is not None and not 0 < limit < BPS:
                raise ValueError(f"need 0 < {name} < 10000")

    @property
    def lowest_bps(self) -> int:
        limits = (self.venue_bps, self.operator_bps, self.quote_group_bps)
        return min((limit for limit in limits if limit is not None), default=BPS)

    def problem(self, sources: Sequence[SourceSpec]) -> str | None:
        """Why not even all of them together could keep the caps."""
        for name, limit, owners in self._kinds(sources):
            if len(set(owners)) * limit < BPS:
                return f"caps: {name} {limit} leaves no weights to {len(set(owners))}"
        return None

    def weights(self, sources: Sequence[SourceSpec], weights: Sequence[int]) -> list[int] | None:
        """The weights, lowered where a cap asks for it, in parts of a unit; None where no weights keep the caps.

        What exceeds a cap is lowered to it, all of one owner by the same factor. The order of the sources does not matter.
        """
        order = sorted(range(len(sources)), key=lambda number: sources[number].source)
        found = [weights[number] * _FINE for number in order]
        kinds = self._kinds([sources[number] for number in order])
        for _ in range(_SWEEPS):
            before = found
            for _, limit, owners in kinds:
                capped = _capped(found, owners, limit)
                if capped is None:
                    return None
                found = capped
            if not any(found):
                return None  # caps that contradict each other take everything, a turn at a time
            if found == before:
                return [weight for _, weight in sorted(zip(order, found, strict=True))]
        return None

    def _kinds(self, sources: Sequence[SourceSpec]) -> list[tuple[str, int, list[str]]]:
        wanted = (
            ("venue_bps", self.venue_bps, [source.venue for source in sources]),
            ("operator_bps", self.operator_bps, [source.run_by for source in sources]),
            ("quote_group_bps", self.quote_group_bps, [source.quote for source in sources]),
        )
        return [(name, limit, owners) for name, limit, owners in wanted if limit is not None]


def _capped(weights: list[int], owners: Sequence[str], limit_bps: int) -> list[int] | None:
    """With the largest k owners capped, each holds limit · rest / (1 − k · limit): the least k that lets the next be."""
    totals: dict[str, int] = {}
    for owner, weight in zip(owners, weights, strict=True):
        totals[owner] = totals.get(owner, 0) + weight
    rest, over = sum(totals.values()), list[str]()
    for owner in sorted(totals, key=lambda name: (-totals[name], name)):
        level = limit_bps * rest // (BPS - len(over) * limit_bps)
        if totals[owner] <= level:
            return _lowered(weights, owners, totals, dict.fromkeys(over, level)) if over else weights
        rest -= totals[owner]
        over.append(owner)
    return None


def _lowered(
    weights: Sequence[int], owners: Sequence[str], totals: dict[str, int], levels: dict[str, int]
) -> list[int]:
    """Shares of each level, as the weights were to their owner's total; they add up to the level exactly."""
    passed, result = dict.fromkeys(levels, 0), []
    for owner, weight in zip(owners, weights, strict=True):
        if owner not in levels:
            result.append(weight)
            continue
        level, total, before = levels[owner], totals[owner], passed[owner]
        passed[owner] = before + weight
        result.append(level * passed[owner] // total - level * before // total)
    return result
