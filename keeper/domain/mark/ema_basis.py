"""mark = index · (1 + moving basis of the own book), the moving basis bounded.

The form of Deribit (https://www.deribit.com/kb/deribit-linear-perpetual) and OKX. Without a warm average it is the index: a
book that has just opened moves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keeper.domain.grade import Grade
from keeper.domain.mark.basis import BasisOptions, BasisState, plus_basis, restored, sampled_flags
from keeper.domain.mark.method import MarkFlag, MarkInputs, MarkPrice, Plain, marked


@dataclass(frozen=True, slots=True)
class EmaBasis(BasisOptions):
    """Index times 1 + basis, the basis averaged exponentially by elapsed time."""

    name: ClassVar[str] = "ema_basis"
    grade: ClassVar[Grade] = Grade.REPRODUCED
    source: ClassVar[str] = "one second of it is bit.com's recorded mark"

    def start(self) -> BasisState:
        return BasisState()

    def restore(self, plain: Plain) -> BasisState:
        return restored(plain)

    def step(self, state: BasisState, inputs: MarkInputs) -> tuple[BasisState, MarkPrice]:
        basis, index = self.basis(), inputs.index.price_e18
        distance = basis.distance(inputs.book, index, inputs.now)
        sample = basis.sample(distance)
        after = basis.step(state, sample, inputs.now)
        average = after.average_e18
        if average is None:
            return after, marked(self.name, inputs, index, self.max_basis_bps, (), (MarkFlag.NO_BOOK,))
        flags = sampled_flags(distance, sample)
        components = (("basis", average), ("index_plus_basis", plus_basis(index, average)))
        if not basis.is_warm(after):
            return after, marked(self.name, inputs, index, self.max_basis_bps, components, (*flags, MarkFlag.COLD))
        return after, marked(self.name, inputs, components[1][1], self.max_basis_bps, components, flags)
