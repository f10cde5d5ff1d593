"""mark = index. What dYdX v4 margins by (https://help.dydx.trade/en/articles/166992)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keeper.domain.grade import Grade
from keeper.domain.mark.method import MarkInputs, MarkPrice, NoState, Plain, marked


@dataclass(frozen=True, slots=True)
class IndexOnly:
    """mark = index."""

    name: ClassVar[str] = "index"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "by definition"

    def start(self) -> NoState:
        return NoState()

    def restore(self, plain: Plain) -> NoState:  # noqa: ARG002 - nothing to restore
        return NoState()

    def step(self, state: NoState, inputs: MarkInputs) -> tuple[NoState, MarkPrice]:
        return state, marked(self.name, inputs, inputs.index.price_e18, 0, (), ())
