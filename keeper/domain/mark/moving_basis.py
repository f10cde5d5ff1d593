"""mark = index + moving basis of the own book: OKX, the Deribit family, dated futures of Bybit.

Without a warm average it is the index: a book that has just opened moves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keeper.domain.grade import Grade
from keeper.domain.mark.components import usable
from keeper.domain.mark.method import Components, MarkFlag, MarkInputs, MarkPrice, Plain
from keeper.domain.mark.moving import MovingOptions, MovingState, moved, restored_moving, started


@dataclass(frozen=True, slots=True)
class MovingBasis(MovingOptions):
    """Index plus the moving average of the own book's distance from it."""

    name: ClassVar[str] = "moving_basis"
    grade: ClassVar[Grade] = Grade.REPRODUCED
    source: ClassVar[str] = "bit.com's recorded marks, with 30 samples by `ema`"

    def start(self) -> MovingState:
        return started(self)

    def restore(self, plain: Plain) -> MovingState:
        return restored_moving(self, plain)

    def step(self, state: MovingState, inputs: MarkInputs) -> tuple[MovingState, MarkPrice]:
        index = inputs.index.price_e18
        distance = self.distance(usable(inputs.book, inputs.now, self.max_book_age_s), index)
        basis = moved(self, state.average, distance, inputs)
        price, flags = index, basis.flags
        components: Components = ()
        if basis.value is not None:
            shifted = self.shifted(index, basis.value)
            components = (("basis", basis.value), ("index_plus_basis", shifted))
            price, flags = (shifted, flags) if basis.warm else (index, (*flags, MarkFlag.COLD))
        stride, mark = self.settle(self.name, state.stride, inputs, price, components, flags, self.keep_basis_s)
        return MovingState(basis.state, stride, self.basis), mark
