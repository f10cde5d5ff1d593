"""One position with margin of its own: where it is liquidated, and where nothing is left of it.

    LP  solves  margin + worth(M) − worth(E) = MM(|worth(M)|)          BP  solves  margin + worth(M) − worth(E) = 0

which is, with q = |size| · multiplier, s the side, and the rate and amount of the tier that holds at LP,

    linear, quanto   LP = (margin + amount − s·q·E) / (q·(rate − s))         BP = E − s·margin/q
    inverse          LP = q·(s + rate) / (margin + amount + s·q/E)           BP = s·q / (margin + s·q/E)

None of these where it is not positive. https://www.binance.com/en/support/faq/b3c689c1f50a44cabb3a84e663b81d93
"""

from __future__ import annotations

from dataclasses import dataclass

from keeper.domain.margining.contracts import Contract
from keeper.domain.margining.threshold import Leg, Unreachable, healthy_prices, one_sided
from keeper.domain.margining.tiers import NO_MAINTENANCE, TierTable


@dataclass(frozen=True, slots=True)
class Isolated:
    """`margin_e18` is what the position was given, additions and settled funding included, in settlement currency."""

    contract: Contract
    size_e18: int
    entry_e18: int
    margin_e18: int
    table: TierTable

    def __post_init__(self) -> None:
        if self.size_e18 == 0:
            raise ValueError("size_e18: 0 is no position")


def liquidation_price(position: Isolated) -> int | Unreachable:
    """The last price at which the position is healthy; one unit beyond it, it is liquidatable."""
    return _price(position, position.table)


def bankruptcy_price(position: Isolated) -> int | Unreachable:
    """The last price at which the position is worth nothing or more. An unleveraged linear long has none."""
    return _price(position, NO_MAINTENANCE)


def is_liquidatable(position: Isolated, mark_e18: int) -> bool:
    """AV < MM, exactly; equality is healthy."""
    worth = position.contract.worth(position.size_e18, mark_e18)
    gained = worth - position.contract.worth(position.size_e18, position.entry_e18)
    return position.margin_e18 + gained < position.table.exact(abs(worth))


def _price(position: Isolated, table: TierTable) -> int | Unreachable:
    contract, size = position.contract, position.size_e18
    cash = position.margin_e18 - contract.worth(size, position.entry_e18)
    return one_sided(healthy_prices(contract, cash, [Leg(contract.slope(size), table)]), size)
