"""mark = median over three markets: the spot index with a moving basis, the own book and trades, other venues' perpetuals.

https://hyperliquid.gitbook.io/hyperliquid-docs/trading/robust-price-indices ; Polymarket's perpetuals document the same with
another table for what is missing (https://docs.polymarket.com/perps/learn-about-trading/mark-price.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

from keeper.domain.aggregation import middle, weighted_median
from keeper.domain.grade import Grade
from keeper.domain.mark.averages import Kind, TickAverage, TickState, restored_ticks
from keeper.domain.mark.components import last_trade, quoted, usable
from keeper.domain.mark.method import MarkFlag, MarkInputs, MarkPrice, Plain, Reference
from keeper.domain.mark.moving import MovingOptions, MovingState, moved, restored_moving, started
from keeper.domain.time import SECOND

_FILL_S = 30


class MarketsState(NamedTuple):
    """`own` is the average that stands in when one of the three is missing."""

    moving: MovingState
    own: TickState = TickState()

    def to_plain(self) -> dict[str, Any]:
        return {"moving": self.moving.to_plain(), "own": self.own.to_plain()}


@dataclass(frozen=True, slots=True)
class ThreeMarkets(MovingOptions):
    """Median of index plus moving basis, the own bid, ask and last trade, and other venues' perpetuals by weight.

    `missing` `fill`: where exactly two of the three are known, a 30-second average of the own market's price is the third.
    `index`: a price that is missing counts as the index, and other venues' as the mean of the two left.
    """

    average: Literal["mean", "ema", "weighted", "elapsed"] = "weighted"
    samples: int = 50
    every_s: int = 3
    max_trade_age_s: int = 60
    missing: Literal["fill", "index"] = "fill"

    name: ClassVar[str] = "three_markets"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "hyperliquid.gitbook.io: robust price indices"

    def __post_init__(self) -> None:
        self.check_limits()
        self.check_moving()
        if self.max_trade_age_s <= 0:
            raise ValueError("max_trade_age_s must be positive")

    def start(self) -> MarketsState:
        return MarketsState(started(self))

    def restore(self, plain: Plain) -> MarketsState:
        if not plain:
            return self.start()
        return MarketsState(restored_moving(self, plain["moving"]), restored_ticks(plain["own"]))

    def step(self, state: MarketsState, inputs: MarkInputs) -> tuple[MarketsState, MarkPrice]:
        index = inputs.index.price_e18
        book = usable(inputs.book, inputs.now, self.max_book_age_s)
        basis = moved(self, state.moving.average, self.distance(book, index), inputs)
        own = quoted(book, last_trade(inputs.trade, inputs.now, self.max_trade_age_s))
        fill = self._fill().step(state.own, own, inputs.now)
        shifted = self.shifted(index, basis.value) if basis.value is not None and basis.warm else None
        if self.missing == "index":
            shifted = index if book is None or shifted is None else shifted
            own = index if own is None else own
        known = {"index_plus_basis": shifted, "own": own, "references": middle_of(inputs.references)}
        known["own_average"] = fill.value if self.missing == "fill" and _count(known) == 2 else None
        components = tuple((name, price) for name, price in known.items() if price is not None)
        price = middle(sorted(price for _, price in components)) if components else index
        cold = (MarkFlag.COLD,) if basis.value is not None and not basis.warm else ()
        flags = (*basis.flags, *cold, *(() if inputs.references else (MarkFlag.NO_REFERENCE,)))
        stride, mark = self.settle(self.name, state.moving.stride, inputs, price, components, flags, self.keep_basis_s)
        return MarketsState(MovingState(basis.state, stride, self.basis), fill), mark

    def _fill(self) -> TickAverage:
        kind: Kind = "weighted"
        return TickAverage(kind, _FILL_S // self.every_s or 1, self.every_s * SECOND, self.keep_basis_s * SECOND, 0)


def middle_of(references: tuple[Reference, ...]) -> int | None:
    """Median by weight; None where there is none."""
    votes = sorted((each.mid_e18, each.weight) for each in references)
    return weighted_median(votes) if votes else None


def _count(known: dict[str, int | None]) -> int:
    return sum(price is not None for price in known.values())
