"""A limit of one update around a method that has none of its own: the mark moves by so much at a time, the rest follows.

The rule is that of `stride`. What the method itself remembers goes on beneath as if nobody limited it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from keeper.domain.grade import Grade
from keeper.domain.mark.method import MarkFlag, MarkInputs, MarkMethod, MarkPrice, Plain, within
from keeper.domain.mark.stride import Stride, StrideLimit, restored_stride
from keeper.domain.numbers import BPS
from keeper.domain.time import SECOND

_KEEP_S = 60
"""A mark older than that limits nothing."""


class SteppedState(NamedTuple):
    """`inner` is the state of the method called `method`."""

    method: str
    inner: Any
    stride: Stride = Stride()

    def to_plain(self) -> dict[str, Any]:
        return {"inner": self.inner.to_plain(), "method": self.method, "stride": self.stride.to_plain()}


@dataclass(frozen=True, slots=True)
class Stepped:
    """At most `max_step_bps` of the mark before, per `step_s`. Where the method bounds the distance to the index, that bound
    counts more; where it has none, as `index`, the mark trails the index. Not rounded to the method's tick again.
    """

    inner: MarkMethod[Any]
    max_step_bps: int
    step_s: int = 3

    name: ClassVar[str] = "stepped"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "hyperliquid.gitbook.io: HIP-3, for any method"

    def __post_init__(self) -> None:
        if not 0 < self.max_step_bps < BPS or self.step_s <= 0:
            raise ValueError("need 0 < max_step_bps < 10000 and step_s > 0")

    def start(self) -> SteppedState:
        return SteppedState(self.inner.name, self.inner.start())

    def restore(self, plain: Plain) -> SteppedState:
        """The state of another method begins anew. Raises KeyError or ValueError on a document that `to_plain` did not write."""
        if not plain or plain["method"] != self.inner.name:
            return self.start()
        return SteppedState(self.inner.name, self.inner.restore(plain["inner"]), restored_stride(plain["stride"]))

    def step(self, state: SteppedState, inputs: MarkInputs) -> tuple[SteppedState, MarkPrice]:
        inner, mark = self.inner.step(state.inner, inputs)
        limit = StrideLimit(self.max_step_bps, self.step_s * SECOND, _KEEP_S * SECOND)
        stride = limit.open(state.stride, inputs.now)
        limited = limit.limited(stride, mark.price_e18)
        bound = getattr(self.inner, "max_basis_bps", None)
        price = limited if bound is None else within(limited, mark.index_e18, bound)
        flags = _flags(mark, price, limited)
        after = SteppedState(self.inner.name, inner, stride._replace(latest_e18=price, at=inputs.now))
        return after, MarkPrice(
            mark.market, price, mark.as_of, mark.index, mark.index_e18, mark.method, mark.components, flags
        )


def _flags(mark: MarkPrice, price_e18: int, limited_e18: int) -> tuple[MarkFlag, ...]:
    """What it adds to the method's own: nothing where the mark is the method's after all."""
    if price_e18 == mark.price_e18:
        return mark.flags
    clamped = (MarkFlag.CLAMPED,) if price_e18 != limited_e18 else ()
    return (*(flag for flag in mark.flags if flag not in clamped), MarkFlag.STEPPED, *clamped)
