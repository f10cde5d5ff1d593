"""mark = median of funding-fair price, index plus moving basis, and the own last trade.

The form of Binance (https://www.binance.com/en/support/faq/360033525071), Bybit and KuCoin: one corrupted input cannot move it
beyond the other two. What it does while inputs are missing is the table of `choice`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keeper.domain.grade import Grade
from keeper.domain.mark.basis import BasisOptions, BasisState, plus_basis, restored, sampled_flags
from keeper.domain.mark.choice import Choice, choose
from keeper.domain.mark.components import last_trade
from keeper.domain.mark.funding_fair import funding_fair_e18
from keeper.domain.mark.method import MarkFlag, MarkInputs, MarkPrice, Plain, marked


@dataclass(frozen=True, slots=True)
class MedianOfThree(BasisOptions):
    """Median of funding-fair price, index times 1 + basis averaged by elapsed time, and the own last trade.

    `max_trade_age_s`: oldest last trade that counts. `apart_bps`: two prices left further apart are not averaged.
    """

    max_trade_age_s: int = 60
    apart_bps: int = 50

    name: ClassVar[str] = "median3"
    grade: ClassVar[Grade] = Grade.CONSISTENT
    source: ClassVar[str] = "each of its parts reproduces recorded marks; no record holds all three with the result"

    def start(self) -> BasisState:
        return BasisState()

    def restore(self, plain: Plain) -> BasisState:
        return restored(plain)

    def step(self, state: BasisState, inputs: MarkInputs) -> tuple[BasisState, MarkPrice]:
        basis, index = self.basis(), inputs.index.price_e18
        distance = basis.distance(inputs.book, index, inputs.now)
        sample = basis.sample(distance)
        after = basis.step(state, sample, inputs.now)
        fair = funding_fair_e18(index, inputs.funding, inputs.now)
        last = last_trade(inputs.trade, inputs.now, self.max_trade_age_s)
        components = [("funding_fair", fair)]
        flags: tuple[MarkFlag, ...] = () if inputs.funding is not None else (MarkFlag.NO_FUNDING,)
        if last is not None:
            components.append(("last", last))
        if after.average_e18 is None:
            choice: Choice = ((fair + index) // 2, (MarkFlag.NO_BOOK,))
        else:
            shifted = plus_basis(index, after.average_e18)
            components += [("basis", after.average_e18), ("index_plus_basis", shifted)]
            choice = choose(fair, shifted, last, basis.is_warm(after), self.apart_bps)
            flags = (*flags, *sampled_flags(distance, sample))
        flags = (*flags, *choice[1])
        return after, marked(self.name, inputs, choice[0], self.max_basis_bps, tuple(components), flags)
