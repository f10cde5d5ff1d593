"""Dated futures: mark = index · (1 + yearly basis · years left), the yearly basis from the book's impact prices.

https://www.bitmex.com/app/fairPriceMarking . The rate is rounded; while the impact prices are further apart than the
maintenance margin the rate from before stays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from keeper.domain.grade import Grade
from keeper.domain.mark.averages import optional
from keeper.domain.mark.components import usable
from keeper.domain.mark.method import Flags, MarkFlag, MarkInputs, MarkPrice, Plain
from keeper.domain.mark.moving import LimitOptions
from keeper.domain.mark.stride import Stride, restored_stride
from keeper.domain.numbers import BPS, E18
from keeper.domain.premium import ImpactPrices, impact_prices
from keeper.domain.time import SECOND, Timestamp

YEAR_NS = 365 * 86_400 * SECOND


class DatedState(NamedTuple):
    """`rate_e18` a year, and when a book last gave one."""

    rate_e18: int | None = None
    at: Timestamp | None = None
    stride: Stride = Stride()

    def to_plain(self) -> dict[str, Any]:
        return {"at": self.at, "rate_e18": self.rate_e18, "stride": self.stride.to_plain()}


def yearly_rate_e18(impact: ImpactPrices, index_e18: int, left_ns: int, decimals: int) -> int:
    """(impact mid / index − 1) / years left, rounded to `decimals`, halves away from zero."""
    unit: int = E18 // 10**decimals
    top = (impact.bid_e18 + impact.ask_e18 - 2 * index_e18) * E18 * YEAR_NS
    bottom = 2 * index_e18 * left_ns * unit
    rounded = (2 * abs(top) + bottom) // (2 * bottom)
    return rounded * unit if top >= 0 else -rounded * unit


@dataclass(frozen=True, slots=True)
class DatedBasis(LimitOptions):
    """Index times 1 + yearly basis of the impact mid until `expires_at_s` (seconds since 1970), as BitMEX marks its futures.

    `max_impact_spread_bps` is the contract's maintenance margin: with impact prices further apart the basis from before
    stays, for `keep_basis_s` at most.
    """

    expires_at_s: int = field(kw_only=True)
    impact_notional_usd: int = 10_000
    max_impact_spread_bps: int = 200
    decimals: int = 2
    max_basis_bps: int = 2000
    max_book_age_s: int = 10
    keep_basis_s: int = 3600

    name: ClassVar[str] = "dated_basis"
    grade: ClassVar[Grade] = Grade.REPRODUCED
    source: ClassVar[str] = "bitmex.com/app/fairPriceMarking"

    def __post_init__(self) -> None:
        self.check_limits()
        if min(self.expires_at_s, self.impact_notional_usd, self.max_book_age_s, self.keep_basis_s) <= 0:
            raise ValueError("expires_at_s, impact_notional_usd, max_book_age_s and keep_basis_s must be positive")
        if not 0 < self.max_impact_spread_bps < BPS or not 0 <= self.decimals <= 18:
            raise ValueError("need 0 < max_impact_spread_bps < 10000 and 0 <= decimals <= 18")

    def start(self) -> DatedState:
        return DatedState()

    def restore(self, plain: Plain) -> DatedState:
        if not plain:
            return DatedState()
        at = optional(plain["at"])
        return DatedState(
            optional(plain["rate_e18"]), None if at is None else Timestamp(at), restored_stride(plain["stride"])
        )

    def step(self, state: DatedState, inputs: MarkInputs) -> tuple[DatedState, MarkPrice]:
        index, left = inputs.index.price_e18, max(0, self.expires_at_s * SECOND - inputs.now)
        impact = self._impact(inputs)
        rate, at = state.rate_e18, state.at
        flags: Flags = (MarkFlag.KEPT_BASIS,)
        if impact is not None and left > 0:
            rate, at, flags = yearly_rate_e18(impact, index, left, self.decimals), inputs.now, ()
        elif at is None or abs(inputs.now - at) > self.keep_basis_s * SECOND:
            rate, at, flags = None, None, (MarkFlag.NO_BOOK,)
        price = index if rate is None else index + index * rate * left // (E18 * YEAR_NS)
        components = () if rate is None else (("fair", price), ("yearly_basis", rate))
        stride, mark = self.settle(self.name, state.stride, inputs, price, components, flags, self.keep_basis_s)
        return DatedState(rate, at, stride), mark

    def _impact(self, inputs: MarkInputs) -> ImpactPrices | None:
        """None where the book is unusable, not deep enough or too wide."""
        book = usable(inputs.book, inputs.now, self.max_book_age_s)
        impact = None if book is None else impact_prices(book, self.impact_notional_usd * E18)
        if impact is None:
            return None
        wide = (impact.ask_e18 - impact.bid_e18) * BPS > self.max_impact_spread_bps * inputs.index.price_e18
        return None if wide else impact
