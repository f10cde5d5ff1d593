"""What a funding method is: a fold over one interval, and the rate that it gives at the interval's scheduled boundary.

Which interval runs, and which version of the parameters it has, is decided outside (`keeper.domain.rates.fold`): a method is
asked about one span only, so that a settlement that comes late still charges by its own interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple, NewType, Protocol, TypeVar

from keeper.domain.grade import Grade
from keeper.domain.numbers import E18
from keeper.domain.quote import Depth
from keeper.domain.rates.pace import Switching
from keeper.domain.time import SECOND, Timestamp

Ratio = NewType("Ratio", int)
"""A fraction scaled by 1e18. An operator writes it as a decimal: `0.0001` is a hundredth of a percent."""

Plain = Mapping[str, Any]
"""A state as a document of integers, texts and None; numbers may come back as their decimal text."""

BASIS_POINT = E18 // 10_000
HOUR_S, EIGHT_HOURS_S, DAY_S = 3_600, 28_800, 86_400


class Span(NamedTuple):
    """One interval: samples from `opened_s` on count, those from `boundary_s` on belong to the next."""

    opened_s: int
    boundary_s: int

    @property
    def interval_s(self) -> int:
        return self.boundary_s - self.opened_s

    def elapsed_ns(self, now: Timestamp) -> int:
        """Since the opening, at least 0 and at most the whole interval."""
        return max(0, min(now - self.opened_s * SECOND, self.interval_s * SECOND))


class Pool(NamedTuple):
    """What only some protocols have: a pool that takes the other side. `skew_e18` is long minus short, in base."""

    skew_e18: int
    reserved_units: int
    pool_units: int


class RateInputs(NamedTuple):
    """What can be seen at one instant. `book` is the perp's own and usable; None where it is not."""

    now: Timestamp
    index_e18: int
    mark_e18: int
    book: Depth | None
    impact_notional_e18: int
    pool: Pool | None = None


class RateFlag(StrEnum):
    THIN = "thin"
    """Too few samples: the interest alone is charged."""
    CAPPED = "capped"
    STEPPED = "stepped"
    """The change against the last interval's rate was cut."""
    RAISED = "raised"
    """Smaller than the smallest rate that is charged."""
    NO_POOL = "no_pool"
    """The protocol has no pool, or does not tell: nothing to charge by."""
    UNSEEN = "unseen"
    """Nobody looked during this interval."""


class Charge(NamedTuple):
    """Rate of one interval (a fraction, positive: longs pay), what it was made of, and the part of the samples seen."""

    rate_e18: int
    premium_e18: int
    seen_bps: int
    flags: tuple[RateFlag, ...] = ()


class WindowState(Protocol):
    def to_plain(self) -> dict[str, Any]:
        """A JSON-able document from which `FundingMethod.restored` makes an equal state."""
        ...


W = TypeVar("W", bound=WindowState)


class FundingMethod(Protocol[W]):
    """A frozen dataclass whose fields are the method's options."""

    name: ClassVar[str]
    grade: ClassVar[Grade]
    source: ClassVar[str]
    """Where the formula and its constants are from, in one line."""
    formula: ClassVar[str]
    """Of the family, as documents show it."""
    impact_notional: ClassVar[str]
    """What the venue's impact prices fill, as its documents say; empty where ours do not."""

    @property
    def interval_s(self) -> int: ...

    @property
    def offset_s(self) -> int:
        """Boundaries are multiples of the interval since the epoch, plus this."""
        ...

    @property
    def switching(self) -> Switching | None:
        """How the interval answers to rates at the cap; None: it stays."""
        ...

    def opened(self, before: W | None) -> W:
        """The state at the start of an interval; `before` is that at the end of the last one."""
        ...

    def restored(self, plain: Plain) -> W:
        """The state that `to_plain` wrote. Raises ValueError or KeyError on anything else."""
        ...

    def sampled(self, window: W, span: Span, last_e18: int, inputs: RateInputs) -> W:
        """`last_e18` is the rate of the last interval, 0 when there is none."""
        ...

    def charge(self, window: W, span: Span, last_e18: int, now: Timestamp) -> Charge:
        """What the boundary would charge if it were now. Frozen from the boundary on."""
        ...


@dataclass(frozen=True, slots=True)
class Scheduled:
    """The options that every method has."""

    interval_s: int = EIGHT_HOURS_S
    offset_s: int = 0

    impact_notional: ClassVar[str] = ""

    def __post_init__(self) -> None:
        if self.interval_s <= 0:
            raise ValueError("interval_s must be positive")
        if not 0 <= self.offset_s < self.interval_s:
            raise ValueError("need 0 <= offset_s < interval_s")

    @property
    def switching(self) -> Switching | None:
        return None
