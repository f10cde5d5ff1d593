"""What methods with a moving basis share: options, sample, average and limits. The forms themselves are files of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from keeper.domain.mark.averages import TickAverage, TickState, restored_ticks
from keeper.domain.mark.basis import Basis, BasisState, plus_basis, restored, sampled_flags
from keeper.domain.mark.components import BookPrice, book_price
from keeper.domain.mark.method import MarkFlag, MarkInputs, MarkPrice, Plain, marked
from keeper.domain.mark.stride import Stride, StrideLimit, restored_stride
from keeper.domain.numbers import BPS, E18, clamp
from keeper.domain.quote import Depth
from keeper.domain.time import SECOND


@dataclass(frozen=True, slots=True)
class LimitOptions:
    """`max_basis_bps` bounds the distance to the index; `max_step_bps` the move per `step_s`, 0: unbounded."""

    max_basis_bps: int = 200
    max_step_bps: int = 0
    step_s: int = 3

    def __post_init__(self) -> None:
        self.check_limits()

    def check_limits(self) -> None:
        """Raises ValueError when they contradict each other."""
        if not 0 < self.max_basis_bps < BPS or not 0 <= self.max_step_bps < BPS or self.step_s <= 0:
            raise ValueError("need 0 < max_basis_bps < 10000, 0 <= max_step_bps < 10000 and step_s > 0")

    def settle(
        self,
        method: str,
        before: Stride,
        inputs: MarkInputs,
        price_e18: int,
        components: tuple[tuple[str, int], ...],
        flags: tuple[MarkFlag, ...],
        keep_s: int = 60,
    ) -> tuple[Stride, MarkPrice]:
        """The mark within both limits; where they contradict each other, the one around the index counts."""
        if not self.max_step_bps:
            return before, marked(method, inputs, price_e18, self.max_basis_bps, components, flags)
        limit = StrideLimit(self.max_step_bps, self.step_s * SECOND, keep_s * SECOND)
        stride = limit.open(before, inputs.now)
        price = limit.limited(stride, price_e18)
        stepped = (*flags, MarkFlag.STEPPED) if price != price_e18 else flags
        mark = marked(method, inputs, price, self.max_basis_bps, components, stepped)
        return stride._replace(latest_e18=mark.price_e18, at=inputs.now), mark


@dataclass(frozen=True, slots=True)
class MovingOptions(LimitOptions):
    """The average's `samples` are taken every `every_s`. `average`: `mean`, `ema` (2/(samples+1) each), `weighted` (numerator
    and denominator, time constant samples · every_s) or `elapsed` (as `ema`, but by elapsed time).

    `price`: `mid` or `micro` of the best prices; with `impact_notional_usd` the mid of the impact prices instead. `basis`:
    `absolute` is price − index, `relative` is divided by the index. A sample beyond `max_sample_bps` of the index enters there.
    """

    average: Literal["mean", "ema", "weighted", "elapsed"] = "mean"
    samples: int = 300
    every_s: int = 1
    price: BookPrice = "mid"
    impact_notional_usd: int = 0
    basis: Literal["absolute", "relative"] = "absolute"
    max_sample_bps: int = 500
    max_book_age_s: int = 10
    keep_basis_s: int = 60
    warm_pct: int = 30

    def __post_init__(self) -> None:
        self.check_limits()
        self.check_moving()

    def check_moving(self) -> None:
        """Raises ValueError when they could never work."""
        if not 1 <= self.samples <= 3600 or self.every_s <= 0:
            raise ValueError("need 1 <= samples <= 3600 and every_s > 0")
        if not 0 < self.max_sample_bps < BPS or min(self.max_book_age_s, self.keep_basis_s) <= 0:
            raise ValueError("need 0 < max_sample_bps < 10000, max_book_age_s > 0 and keep_basis_s > 0")
        if not 0 <= self.warm_pct <= 100 or self.impact_notional_usd < 0:
            raise ValueError("need 0 <= warm_pct <= 100 and impact_notional_usd >= 0")
        if self.keep_basis_s < 2 * self.every_s:
            raise ValueError("keep_basis_s must span at least two samples: keep_basis_s >= 2 * every_s")

    def averaged(self) -> TickAverage | Basis:
        keep, window = self.keep_basis_s * SECOND, self.samples * self.every_s * SECOND
        if self.average == "elapsed":
            return Basis(window, self.max_sample_bps, self.max_book_age_s * SECOND, keep, self.warm_pct, 0)
        return TickAverage(self.average, self.samples, self.every_s * SECOND, keep, self.warm_pct)

    def distance(self, book: Depth | None, index_e18: int) -> int | None:
        """Of a usable book: how far its price stands from the index, rounded down; None if it is not deep enough."""
        price = None if book is None else book_price(book, self.price, self.impact_notional_usd)
        if price is None:
            return None
        return (price - index_e18) * self._scale(index_e18) // index_e18

    def sample(self, distance: int | None, index_e18: int) -> int | None:
        """The distance as it enters the average."""
        limit = self.max_sample_bps * self._scale(index_e18) // BPS
        return None if distance is None else clamp(distance, -limit, limit)

    def _scale(self, index_e18: int) -> int:
        return E18 if self.basis == "relative" else index_e18

    def shifted(self, index_e18: int, basis: int) -> int:
        return plus_basis(index_e18, basis) if self.basis == "relative" else index_e18 + basis


class MovingState(NamedTuple):
    """`basis`: whether the average is one of prices or of parts of the index; None: as the options say."""

    average: TickState | BasisState
    stride: Stride = Stride()
    basis: str | None = None

    def to_plain(self) -> dict[str, Any]:
        return {"average": self.average.to_plain(), "basis": self.basis, "stride": self.stride.to_plain()}


class Moved(NamedTuple):
    """The basis after one step: its state, its value (None: forgotten), whether it counts, and what became of the sample."""

    state: TickState | BasisState
    value: int | None
    warm: bool
    flags: tuple[MarkFlag, ...]


def started(options: MovingOptions) -> MovingState:
    return MovingState(BasisState() if options.average == "elapsed" else TickState(), Stride(), options.basis)


def restored_moving(options: MovingOptions, plain: Plain) -> MovingState:
    """Raises KeyError or ValueError on a document that `to_plain` did not write.

    An average kept with another kind of average or of basis is not the same number: it begins anew.
    """
    if not plain or plain["basis"] not in (None, options.basis):
        return started(options)
    average, elapsed = plain["average"], "covered_ns" in plain["average"]
    if elapsed is not (options.average == "elapsed"):
        return started(options)
    return MovingState(
        restored(average) if elapsed else restored_ticks(average), restored_stride(plain["stride"]), options.basis
    )


def moved(options: MovingOptions, state: TickState | BasisState, distance: int | None, inputs: MarkInputs) -> Moved:
    """Folds one look at the book, cut to its limit. Without one the average from before counts for `keep_basis_s`."""
    average, sample = options.averaged(), options.sample(distance, inputs.index.price_e18)
    if isinstance(average, Basis):
        after = average.step(state if isinstance(state, BasisState) else BasisState(), sample, inputs.now)
        return Moved(after, after.average_e18, average.is_warm(after), _told(after.average_e18, distance, sample))
    ticks = average.step(state if isinstance(state, TickState) else TickState(), sample, inputs.now)
    return Moved(ticks, ticks.value, average.is_warm(ticks), _told(ticks.value, distance, sample))


def _told(value: int | None, distance: int | None, sample: int | None) -> tuple[MarkFlag, ...]:
    return (MarkFlag.NO_BOOK,) if value is None else sampled_flags(distance, sample)
