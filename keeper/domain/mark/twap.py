"""mark = time-weighted mean of the own mid, of the own last trade, or of the spot index.

The mean of the own market alone can be moved by whoever moves that market; what bounds it is the clamp around the index.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

from keeper.domain.grade import Grade
from keeper.domain.mark.components import last_trade, micro, mid, usable
from keeper.domain.mark.method import Flags, MarkFlag, MarkInputs, MarkPrice, Plain
from keeper.domain.mark.moving import LimitOptions
from keeper.domain.mark.stride import Stride, restored_stride
from keeper.domain.mark.window import Window, WindowState, restored_window
from keeper.domain.time import SECOND

Of = Literal["mid", "micro", "last", "index"]


class TwapState(NamedTuple):
    window: WindowState = WindowState()
    stride: Stride = Stride()

    def to_plain(self) -> dict[str, Any]:
        return {"stride": self.stride.to_plain(), "window": self.window.to_plain()}


@dataclass(frozen=True, slots=True)
class WindowOptions(LimitOptions):
    """`max_gap_s`: after so long without a price all from before is forgotten. Cold until `warm_pct` of the window was seen."""

    max_gap_s: int = 60
    warm_pct: int = 30
    max_book_age_s: int = 10

    def check_window(self) -> None:
        """Raises ValueError when they could never work."""
        self.check_limits()
        if min(self.max_gap_s, self.max_book_age_s) <= 0 or not 0 <= self.warm_pct <= 100:
            raise ValueError("need max_gap_s > 0, max_book_age_s > 0 and 0 <= warm_pct <= 100")

    def seen(self, of: Of, inputs: MarkInputs) -> int | None:
        """The price now, or None."""
        if of == "index":
            return inputs.index.price_e18
        if of == "last":
            return last_trade(inputs.trade, inputs.now, self.max_gap_s)
        book = usable(inputs.book, inputs.now, self.max_book_age_s)
        return None if book is None else (micro(book) if of == "micro" else mid(book))


@dataclass(frozen=True, slots=True)
class Twap(WindowOptions):
    """Time-weighted mean over `window_s` of the own `mid`, `micro` price or `last` trade, or of the spot `index`."""

    of: Of = "mid"
    window_s: int = 900

    name: ClassVar[str] = "twap"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "by definition"

    def __post_init__(self) -> None:
        self.check_window()
        if not 1 <= self.window_s <= 86_400:
            raise ValueError("need 1 <= window_s <= 86400")

    def start(self) -> TwapState:
        return TwapState()

    def restore(self, plain: Plain) -> TwapState:
        return TwapState(restored_window(plain["window"]), restored_stride(plain["stride"])) if plain else TwapState()

    def step(self, state: TwapState, inputs: MarkInputs) -> tuple[TwapState, MarkPrice]:
        window = Window(self.window_s * SECOND, self.max_gap_s * SECOND)
        after = window.step(state.window, self.seen(self.of, inputs), inputs.now)
        mean = window.mean(after, window.window_ns)
        price = inputs.index.price_e18
        flags: Flags = ()
        if mean is None:
            flags = (MarkFlag.NO_TRADE if self.of == "last" else MarkFlag.NO_BOOK,)
        elif window.covered_ns(after) * 100 < self.warm_pct * window.window_ns:
            flags = (MarkFlag.COLD,)
        else:
            price = mean
        components = () if mean is None else (("twap", mean),)
        stride, mark = self.settle(self.name, state.stride, inputs, price, components, flags, self.max_gap_s)
        return TwapState(after, stride), mark
