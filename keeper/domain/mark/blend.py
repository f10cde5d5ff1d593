"""mark = a large part spot price and a small part impact mid, as BTSE had it until it took a median.

Where the result stands too far from the own book's mid, it is the index.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keeper.domain.grade import Grade
from keeper.domain.mark.components import impact_mid_of_size, mid, usable
from keeper.domain.mark.method import MarkFlag, MarkInputs, MarkPrice, Plain
from keeper.domain.mark.moving import LimitOptions
from keeper.domain.mark.stride import Stride, restored_stride
from keeper.domain.numbers import BPS, parse_e18


@dataclass(frozen=True, slots=True)
class Blend(LimitOptions):
    """`index_pct` percent index and the rest the own book's impact mid for `impact_size` base units on each side.

    `apart_bps` from the book's mid or further, it is the index alone.
    """

    index_pct: int = 90
    impact_size: str = "10"
    apart_bps: int = 200
    max_book_age_s: int = 10

    name: ClassVar[str] = "blend"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "support.btse.com 43000557589"

    def __post_init__(self) -> None:
        self.check_limits()
        if not 0 <= self.index_pct <= 100 or not 0 < self.apart_bps < BPS or self.max_book_age_s <= 0:
            raise ValueError("need 0 <= index_pct <= 100, 0 < apart_bps < 10000 and max_book_age_s > 0")
        if parse_e18(self.impact_size) <= 0:
            raise ValueError("impact_size must be positive")

    def start(self) -> Stride:
        return Stride()

    def restore(self, plain: Plain) -> Stride:
        return restored_stride(plain)

    def step(self, state: Stride, inputs: MarkInputs) -> tuple[Stride, MarkPrice]:
        index, book = inputs.index.price_e18, usable(inputs.book, inputs.now, self.max_book_age_s)
        impact = None if book is None else impact_mid_of_size(book, parse_e18(self.impact_size))
        if book is None or impact is None:
            return self.settle(self.name, state, inputs, index, (), (MarkFlag.NO_BOOK,))
        price = (self.index_pct * index + (100 - self.index_pct) * impact) // 100
        components = (("impact_mid", impact), ("blend", price))
        if abs(price - mid(book)) * BPS >= self.apart_bps * mid(book):
            return self.settle(self.name, state, inputs, index, components, (MarkFlag.APART,))
        return self.settle(self.name, state, inputs, price, components, ())
