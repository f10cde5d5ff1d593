"""Moving average of the own book's basis, mid / index − 1, weighted by elapsed time.

A sample counts for as long as it stood, not for the number of times that it was looked at: how often a tick is evaluated is
an accident of scheduling and does not change the average.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from keeper.domain.mark.decay import ONE_BITS, decay, half_life_ns
from keeper.domain.mark.method import Flags, MarkFlag, Plain
from keeper.domain.numbers import BPS, E18, clamp
from keeper.domain.premium import impact_prices, readable
from keeper.domain.quote import Depth
from keeper.domain.time import SECOND, Timestamp


# Tuples and not dataclasses, because each tick makes them anew for each market.
class BasisState(NamedTuple):
    """`average_e18` as of `at`; `standing_e18` is the sample that has stood since, None while the book said nothing.

    `seen_at` is when the book was last usable, `covered_ns` how much time the average has seen, counted up to its window.
    """

    average_e18: int | None = None
    standing_e18: int | None = None
    at: Timestamp | None = None
    seen_at: Timestamp | None = None
    covered_ns: int = 0

    def to_plain(self) -> dict[str, Any]:
        return {
            "at": self.at,
            "average_e18": self.average_e18,
            "covered_ns": self.covered_ns,
            "seen_at": self.seen_at,
            "standing_e18": self.standing_e18,
        }


def restored(plain: Plain) -> BasisState:
    """Raises KeyError or ValueError on a document that `to_plain` did not write."""
    if not plain:
        return BasisState()
    at, seen_at = _number(plain["at"]), _number(plain["seen_at"])
    return BasisState(
        _number(plain["average_e18"]),
        _number(plain["standing_e18"]),
        None if at is None else Timestamp(at),
        None if seen_at is None else Timestamp(seen_at),
        int(plain["covered_ns"]),
    )


def _number(value: Any) -> int | None:
    return None if value is None else int(value)


class Basis(NamedTuple):
    """The average's parameters.

    Samples are the mid of the best prices, or of the impact prices for `impact_notional_e18` where that is positive, each
    cut to ±`max_basis_bps`. After `keep_ns` without a usable book the average is forgotten; it counts once it has seen
    `warm_pct` percent of `window_ns`.
    """

    window_ns: int
    max_basis_bps: int
    book_age_ns: int
    keep_ns: int
    warm_pct: int
    impact_notional_e18: int

    def distance(self, book: Depth | None, index_e18: int, now: Timestamp) -> int | None:
        """The book's basis now, rounded down; None if the book is missing, old, one-sided, crossed or not deep enough."""
        if book is None or not readable(book, now, self.book_age_ns):
            return None
        bid, ask = book.bids[0].price_e18, book.asks[0].price_e18
        if self.impact_notional_e18 > 0:
            impact = impact_prices(book, self.impact_notional_e18)
            if impact is None:
                return None
            bid, ask = impact.bid_e18, impact.ask_e18
        return (bid + ask - 2 * index_e18) * E18 // (2 * index_e18)

    def sample(self, distance: int | None) -> int | None:
        """The distance as it enters the average."""
        limit = self.max_basis_bps * (E18 // BPS)
        return None if distance is None else clamp(distance, -limit, limit)

    def step(self, state: BasisState, sample: int | None, now: Timestamp) -> BasisState:
        """Folds the time since the last step with the sample that stood then; `sample` stands from now on."""
        if state.average_e18 is None or self._forgotten(state, now):
            return BasisState() if sample is None else BasisState(sample, sample, now, now, 0)
        average, covered = state.average_e18, state.covered_ns
        if state.standing_e18 is not None and state.at is not None:
            elapsed = max(0, now - state.at)
            weight = decay(elapsed, half_life_ns(self.window_ns))
            average = state.standing_e18 + ((average - state.standing_e18) * weight >> ONE_BITS)
            covered = min(self.window_ns, covered + elapsed)
        return BasisState(average, sample, now, state.seen_at if sample is None else now, covered)

    def _forgotten(self, state: BasisState, now: Timestamp) -> bool:
        return state.seen_at is None or abs(now - state.seen_at) > self.keep_ns

    def is_warm(self, state: BasisState) -> bool:
        return state.covered_ns * 100 >= self.warm_pct * self.window_ns


@dataclass(frozen=True, slots=True)
class BasisOptions:
    """What an operator may choose about the moving basis. `impact_notional_usd` 0: the mid of the best prices."""

    basis_window_s: int = 30
    max_basis_bps: int = 50
    max_book_age_s: int = 10
    keep_basis_s: int = 60
    warm_pct: int = 30
    impact_notional_usd: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.max_basis_bps < BPS:
            raise ValueError("need 0 < max_basis_bps < 10000")
        if min(self.basis_window_s, self.max_book_age_s, self.keep_basis_s) <= 0:
            raise ValueError("basis_window_s, max_book_age_s and keep_basis_s must be positive")
        if not 0 <= self.warm_pct <= 100 or self.impact_notional_usd < 0:
            raise ValueError("need 0 <= warm_pct <= 100 and impact_notional_usd >= 0")

    def basis(self) -> Basis:
        return Basis(
            self.basis_window_s * SECOND,
            self.max_basis_bps,
            self.max_book_age_s * SECOND,
            self.keep_basis_s * SECOND,
            self.warm_pct,
            self.impact_notional_usd * E18,
        )


def sampled_flags(distance: int | None, sample: int | None) -> Flags:
    """What became of the book's distance at this look."""
    if distance is None:
        return (MarkFlag.KEPT_BASIS,)
    return () if sample == distance else (MarkFlag.CLAMPED,)


def plus_basis(index_e18: int, basis_e18: int) -> int:
    """index · (1 + basis), rounded down."""
    return index_e18 + index_e18 * basis_e18 // E18
