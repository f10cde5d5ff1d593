"""mark = median of funding-fair price, index plus moving basis, and the own last trade.

The form of Binance (https://www.binance.com/en/support/faq/360033525071), Bybit and KuCoin: one corrupted input cannot move it
beyond the other two. What it does while inputs are missing is a table, in the order of `_choose`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keeper.domain.aggregation import middle
from keeper.domain.mark.basis import BasisOptions, BasisState, plus_basis, restored
from keeper.domain.mark.funding_fair import funding_fair_e18
from keeper.domain.mark.method import MarkFlag, MarkInputs, MarkPrice, Plain, marked
from keeper.domain.numbers import exceeds_bps
from keeper.domain.quote import Trade
from keeper.domain.time import SECOND, Timestamp

Choice = tuple[int, tuple[MarkFlag, ...]]


@dataclass(frozen=True, slots=True)
class MedianOfThree(BasisOptions):
    """`max_trade_age_s`: oldest last trade that counts. `apart_bps`: two prices left further apart are not averaged."""

    max_trade_age_s: int = 60
    apart_bps: int = 50

    name: ClassVar[str] = "median3"

    def start(self) -> BasisState:
        return BasisState()

    def restore(self, plain: Plain) -> BasisState:
        return restored(plain)

    def step(self, state: BasisState, inputs: MarkInputs) -> tuple[BasisState, MarkPrice]:
        basis, index = self.basis(), inputs.index.price_e18
        sample = basis.sample(inputs.book, index, inputs.now)
        after = basis.step(state, sample, inputs.now)
        fair = funding_fair_e18(index, inputs.funding, inputs.now)
        last = self._last(inputs.trade, inputs.now)
        components = [("funding_fair", fair)]
        flags: tuple[MarkFlag, ...] = () if inputs.funding is not None else (MarkFlag.NO_FUNDING,)
        if last is not None:
            components.append(("last", last))
        if after.average_e18 is None:
            choice: Choice = ((fair + index) // 2, (MarkFlag.NO_BOOK,))
        else:
            shifted = plus_basis(index, after.average_e18)
            components += [("basis", after.average_e18), ("index_plus_basis", shifted)]
            choice = self._choose(fair, shifted, last, basis.is_warm(after))
            flags = flags if sample is not None else (*flags, MarkFlag.KEPT_BASIS)
        flags = (*flags, *choice[1])
        return after, marked(self.name, inputs, choice[0], self.max_basis_bps, tuple(components), flags)

    def _choose(self, fair: int, shifted: int, last: int | None, warm: bool) -> Choice:
        """Cold average: the funding-fair price. No trade: the mean of the two left, or the basis price if they are apart."""
        if not warm:
            return fair, (MarkFlag.COLD,)
        if last is not None:
            return middle(sorted((fair, shifted, last))), ()
        if exceeds_bps(fair, shifted, self.apart_bps):
            return shifted, (MarkFlag.NO_TRADE, MarkFlag.APART)
        return (fair + shifted) // 2, (MarkFlag.NO_TRADE,)

    def _last(self, trade: Trade | None, now: Timestamp) -> int | None:
        if trade is None or trade.price_e18 <= 0:
            return None
        oldest = trade.received_at if trade.observed_at is None else min(trade.received_at, trade.observed_at)
        return trade.price_e18 if now - oldest <= self.max_trade_age_s * SECOND else None
