"""What a replay saw, thinned for plots, and what it decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from keeper.domain.ahead import UnderWay
from keeper.domain.ids import DeploymentId, MarketId, SourceId
from keeper.domain.index import IndexPrice
from keeper.domain.market import PricedMarket
from keeper.domain.numbers import decimal_of
from keeper.domain.time import MILLISECOND, Timestamp
from keeper.ports.clock import Clock

_EVERY_NS = 200 * MILLISECOND


class Look(NamedTuple):
    """One market at one instant; `spot` (the index) and `mark` None while withheld. `venues`: accepted prices, `refused`: why not."""

    at: Timestamp
    spot: Decimal | None
    mark: Decimal | None
    venues: Mapping[SourceId, Decimal]
    refused: Mapping[SourceId, str]
    reason: str = ""


class Tick(NamedTuple):
    at: Timestamp
    index_e18: int
    mark_e18: int


class Said(NamedTuple):
    at: Timestamp
    market: MarketId
    round_id: int
    index_e18: int
    mark_e18: int
    premium_e18: int


@dataclass(slots=True)
class Series:
    clock: Clock
    looks: dict[MarketId, list[Look]] = field(default_factory=dict)
    ticks: dict[MarketId, list[Tick]] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)
    priced: dict[MarketId, int] = field(default_factory=dict)
    withheld: dict[MarketId, int] = field(default_factory=dict)

    def price(self, market: MarketId, priced: PricedMarket) -> None:
        """Follows the board of prices."""
        whole = isinstance(priced.index, IndexPrice)
        counts = self.priced if whole else self.withheld
        counts[market] = counts.get(market, 0) + 1
        ticks = self.ticks.setdefault(market, [])
        if priced.marked is not None:
            ticks.append(Tick(priced.as_of, priced.marked.entry.index_e18, priced.marked.entry.mark_e18))
        looks = self.looks.setdefault(market, [])
        if not looks or priced.as_of - looks[-1].at >= _EVERY_NS or whole is (looks[-1].spot is None):
            looks.append(_look(priced))

    def report(self, _deployment: DeploymentId, way: UnderWay) -> None:
        """Follows the board of reports under way."""
        for each in way.report.prices:
            self.said.append(
                Said(
                    self.clock.now(), each.market, way.report.round_id, each.index_e18, each.mark_e18, each.premium_e18
                )
            )


def _look(priced: PricedMarket) -> Look:
    index = priced.index
    venues = {vote.source: decimal_of(vote.price_e18) for vote in index.inputs}
    refused = {each.source: each.reason.value for each in index.rejected}
    mark = None if priced.marked is None else decimal_of(priced.marked.mark.price_e18)
    if isinstance(index, IndexPrice):
        return Look(priced.as_of, decimal_of(index.price_e18), mark, venues, refused)
    return Look(priced.as_of, None, None, venues, refused, index.reason.value)
