"""mark = median of funding-fair price, index plus moving basis, and a third price of the own market.

Binance, Bybit, KuCoin and BTSE take the last trade as third, Lighter the impact mid. What it does while inputs are missing is the
table of `choice`. Prices that a venue sets by hand in extreme conditions are not part of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from keeper.domain.grade import Grade
from keeper.domain.mark.choice import Choice, choose
from keeper.domain.mark.components import book_price, last_trade, quoted, usable
from keeper.domain.mark.funding_fair import funding_fair_e18
from keeper.domain.mark.method import MarkFlag, MarkInputs, MarkPrice, Plain
from keeper.domain.mark.moving import MovingOptions, MovingState, moved, restored_moving, started
from keeper.domain.numbers import BPS
from keeper.domain.quote import Depth


@dataclass(frozen=True, slots=True)
class MovingMedian(MovingOptions):
    """Median of funding-fair price, index plus moving basis, and the own market's price.

    `third`: the `last` trade, the median of `quoted` bid, ask and last, or the book's `impact` price. `apart_bps`: two prices
    left further apart are not averaged. `correct_bps`: a price further from the median is left out, 0: never. `round_up_s`:
    the time left to the funding counts in steps of so many seconds, rounded up.
    """

    third: Literal["last", "quoted", "impact"] = "last"
    max_trade_age_s: int = 60
    apart_bps: int = 50
    correct_bps: int = 0
    round_up_s: int = 0

    name: ClassVar[str] = "moving_median"
    grade: ClassVar[Grade] = Grade.CONSISTENT
    source: ClassVar[str] = "each of its parts reproduces recorded marks; no record holds all three with the result"

    def __post_init__(self) -> None:
        self.check_limits()
        self.check_moving()
        if self.max_trade_age_s <= 0 or not 0 <= self.apart_bps < BPS:
            raise ValueError("need max_trade_age_s > 0 and 0 <= apart_bps < 10000")
        if not 0 <= self.correct_bps < BPS or self.round_up_s < 0:
            raise ValueError("need 0 <= correct_bps < 10000 and round_up_s >= 0")

    def start(self) -> MovingState:
        return started(self)

    def restore(self, plain: Plain) -> MovingState:
        return restored_moving(self, plain)

    def step(self, state: MovingState, inputs: MarkInputs) -> tuple[MovingState, MarkPrice]:
        index = inputs.index.price_e18
        book = usable(inputs.book, inputs.now, self.max_book_age_s)
        basis = moved(self, state.average, self.distance(book, index), inputs)
        fair = funding_fair_e18(index, inputs.funding, inputs.now, self.round_up_s)
        third = self._third(book, inputs)
        components = [("funding_fair", fair)] if third is None else [("funding_fair", fair), (self.third, third)]
        if basis.value is None:
            choice: Choice = ((fair + index) // 2, ())
        else:
            shifted = self.shifted(index, basis.value)
            components += [("basis", basis.value), ("index_plus_basis", shifted)]
            choice = choose(fair, shifted, third, basis.warm, self.apart_bps, self.correct_bps)
        unknown = () if inputs.funding is not None else (MarkFlag.NO_FUNDING,)
        flags = (*unknown, *basis.flags, *choice[1])
        stride, mark = self.settle(
            self.name, state.stride, inputs, choice[0], tuple(components), flags, self.keep_basis_s
        )
        return MovingState(basis.state, stride, self.basis), mark

    def _third(self, book: Depth | None, inputs: MarkInputs) -> int | None:
        if self.third == "impact":
            return None if book is None else book_price(book, self.price, self.impact_notional_usd)
        last = last_trade(inputs.trade, inputs.now, self.max_trade_age_s)
        return quoted(book, last) if self.third == "quoted" else last
