"""mark = median of the market's short mean, its long mean, and the index moved by the distance of the two 15-minute means.

Perpetual Protocol v2 (perp-curie-contract, AccountBalance.sol), whose market prices come from its pool. Here they are the own
book's mid, or its last trade.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from keeper.domain.aggregation import middle
from keeper.domain.grade import Grade
from keeper.domain.mark.method import Components, Flags, MarkFlag, MarkInputs, MarkPrice, Plain
from keeper.domain.mark.stride import Stride, restored_stride
from keeper.domain.mark.twap import Of, WindowOptions
from keeper.domain.mark.window import Window, WindowState, restored_window
from keeper.domain.time import SECOND


class CurieState(NamedTuple):
    short: WindowState = WindowState()
    long: WindowState = WindowState()
    spot: WindowState = WindowState()
    stride: Stride = Stride()

    def to_plain(self) -> dict[str, Any]:
        return {
            "long": self.long.to_plain(),
            "short": self.short.to_plain(),
            "spot": self.spot.to_plain(),
            "stride": self.stride.to_plain(),
        }


@dataclass(frozen=True, slots=True)
class Curie(WindowOptions):
    """Median of the market's mean over `short_s`, over `long_s`, and index + (market − index) of the means over `anchor_s`."""

    of: Of = "mid"
    short_s: int = 15
    long_s: int = 1800
    anchor_s: int = 900

    name: ClassVar[str] = "curie"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "perp-curie-contract: AccountBalance.sol"

    def __post_init__(self) -> None:
        self.check_window()
        if not 1 <= self.short_s <= self.anchor_s <= self.long_s <= 86_400 or self.of == "index":
            raise ValueError("need 1 <= short_s <= anchor_s <= long_s <= 86400, and `of` another than index")

    def start(self) -> CurieState:
        return CurieState()

    def restore(self, plain: Plain) -> CurieState:
        if not plain:
            return CurieState()
        short, long, spot = (restored_window(plain[name]) for name in ("short", "long", "spot"))
        return CurieState(short, long, spot, restored_stride(plain["stride"]))

    def step(self, state: CurieState, inputs: MarkInputs) -> tuple[CurieState, MarkPrice]:
        gap, price = self.max_gap_s * SECOND, self.seen(self.of, inputs)
        short, long, anchor = (Window(each * SECOND, gap) for each in (self.short_s, self.long_s, self.anchor_s))
        spot = inputs.index.price_e18
        shorter, longer = short.step(state.short, price, inputs.now), long.step(state.long, price, inputs.now)
        indexed = anchor.step(state.spot, spot, inputs.now)
        means = (
            short.mean(shorter, short.window_ns),
            long.mean(longer, long.window_ns),
            long.mean(longer, anchor.window_ns),
            anchor.mean(indexed, anchor.window_ns),
        )
        chosen = spot
        components: Components = ()
        flags: Flags = (MarkFlag.NO_BOOK,)
        if means[0] is not None and means[1] is not None and means[2] is not None and means[3] is not None:
            moved = spot + means[2] - means[3]
            components = (("market_short", means[0]), ("market_long", means[1]), ("index_moved", moved))
            warm = long.covered_ns(longer) * 100 >= self.warm_pct * anchor.window_ns
            chosen = middle(sorted((means[0], means[1], moved))) if warm else spot
            flags = () if warm else (MarkFlag.COLD,)
        stride, mark = self.settle(self.name, state.stride, inputs, chosen, components, flags, self.max_gap_s)
        return CurieState(shorter, longer, indexed, stride), mark
