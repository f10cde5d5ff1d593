"""Perpetual Protocol v2 (Curie): what is owed grows with every second by the difference of two 15-minute means.

payment = base · Σ premium · Δt / 86 400, premium = clamp(mean mark − mean index, ±10 % of mean index). No boundary exists;
a paused market's time stands still. https://github.com/perpetual-protocol/perp-curie-contract, Exchange.sol, Funding.sol.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keeper.domain.numbers import BPS, E18, clamp, tdiv
from keeper.domain.rates.method import DAY_S, Charge, RateFlag, RateInputs, Ratio, Span
from keeper.domain.rates.twaps import Pair, Twaps, TwoMeans, added, means
from keeper.domain.time import SECOND, Timestamp


def bounded_premium(mark_e18: int, index_e18: int, max_premium_e18: int) -> int:
    """mark − index in the price's own scale, at most a part of the index."""
    limit = index_e18 * max_premium_e18 // E18
    return clamp(mark_e18 - index_e18, -limit, limit)


def owed_by_growth(base_e18: int, growth_e18: int) -> int:
    """base · growth / 86 400: positive is a debit. `growth_e18` is Σ premium · seconds; toward zero."""
    return tdiv(base_e18 * growth_e18, E18 * DAY_S)


@dataclass(frozen=True, slots=True)
class Growth(TwoMeans):
    """`interval_s` is only how long one figure is shown for. `hold_s`: longer without a look, nothing grows."""

    window_s: int = 900
    max_premium: Ratio = Ratio(E18 // 10)
    hold_s: int = 60

    formula: ClassVar[str] = "∫ clamp(mean mark − mean index, ±10 %) dt / day, means over 15 min"

    def __post_init__(self) -> None:
        TwoMeans.__post_init__(self)
        if not 0 < self.max_premium <= E18 or self.hold_s <= 0:
            raise ValueError("need 0 < max_premium <= 1 and hold_s > 0")

    def sampled(self, window: Twaps, span: Span, last_e18: int, inputs: RateInputs) -> Twaps:  # noqa: ARG002
        grown = window._replace(growth_e18=self._growth(window, span, inputs.now))
        return added(grown, inputs, self.window_s * SECOND, self.every_s * SECOND)

    def _growth(self, window: Twaps, span: Span, now: Timestamp) -> int:
        """Σ premium · ns so far. The premium of the last look counts until `now`; what lies before the span does not."""
        pair = self._pair(window, now)
        if pair is None:
            return window.growth_e18
        looked = window.points[-1].at
        until = min(now, span.boundary_s * SECOND, looked + self.hold_s * SECOND)
        held = max(0, until - max(looked, span.opened_s * SECOND))
        return window.growth_e18 + bounded_premium(pair.mark_e18, pair.index_e18, self.max_premium) * held

    def _pair(self, window: Twaps, now: Timestamp) -> Pair | None:
        return means(window, now, self.window_s * SECOND)

    def charge(self, window: Twaps, span: Span, last_e18: int, now: Timestamp) -> Charge:  # noqa: ARG002
        """What the interval has grown so far, as a part of the mean index."""
        now = Timestamp(min(now, span.boundary_s * SECOND))
        pair = self._pair(window, now)
        if pair is None:
            return Charge(0, 0, 0, (RateFlag.THIN,))
        premium = bounded_premium(pair.mark_e18, pair.index_e18, self.max_premium)
        rate = tdiv(self._growth(window, span, now) * E18, DAY_S * SECOND * pair.index_e18)
        seen = self.seen_bps(pair)
        return Charge(
            rate, tdiv(premium * E18, pair.index_e18), min(BPS, seen), (RateFlag.THIN,) if 2 * seen < BPS else ()
        )
