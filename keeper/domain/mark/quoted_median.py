"""mark = median of best bid, best ask and last trade, as FTX had it: no index in it but the final clamp around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keeper.domain.grade import Grade
from keeper.domain.mark.components import last_trade, quoted, usable
from keeper.domain.mark.method import MarkFlag, MarkInputs, MarkPrice, Plain
from keeper.domain.mark.moving import LimitOptions
from keeper.domain.mark.stride import Stride, restored_stride


@dataclass(frozen=True, slots=True)
class QuotedMedian(LimitOptions):
    """Median of best bid, best ask and last trade; without a trade the mid, without a book the trade, then the index."""

    max_trade_age_s: int = 60
    max_book_age_s: int = 10

    name: ClassVar[str] = "quoted_median"
    grade: ClassVar[Grade] = Grade.REPRODUCED
    source: ClassVar[str] = "FTX's recorded marks"

    def __post_init__(self) -> None:
        self.check_limits()
        if min(self.max_trade_age_s, self.max_book_age_s) <= 0:
            raise ValueError("max_trade_age_s and max_book_age_s must be positive")

    def start(self) -> Stride:
        return Stride()

    def restore(self, plain: Plain) -> Stride:
        return restored_stride(plain)

    def step(self, state: Stride, inputs: MarkInputs) -> tuple[Stride, MarkPrice]:
        book = usable(inputs.book, inputs.now, self.max_book_age_s)
        last = last_trade(inputs.trade, inputs.now, self.max_trade_age_s)
        price = quoted(book, last)
        no_book = () if book is not None else (MarkFlag.NO_BOOK,)
        flags = no_book if last is not None else (*no_book, MarkFlag.NO_TRADE)
        components = () if last is None else (("last", last),)
        return self.settle(
            self.name, state, inputs, inputs.index.price_e18 if price is None else price, components, flags
        )
