"""dYdX v4: block proposers vote on the premium; a minute's sample is the median of its votes, an hour's premium their mean.

rate of 8 h = clamp(premium + default, ±6 · (IM − MM)). Fewer votes than `min_votes` in a minute are filled up with zeros, and
so are missing minutes. https://github.com/dydxprotocol/v4-chain, x/perpetuals/keeper/perpetual.go: the default is added before
the clamp. One keeper is one voter, once for each `vote_s`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from keeper.domain.numbers import BPS, E18, clamp, tdiv
from keeper.domain.rates.limits import margin_cap, symmetric
from keeper.domain.rates.method import EIGHT_HOURS_S, HOUR_S, Charge, RateFlag, RateInputs, Ratio, Scheduled, Span
from keeper.domain.rates.sample import SampleOf, sample
from keeper.domain.time import SECOND, Timestamp

PPM = 1_000_000


class Ballot(NamedTuple):
    """`votes` of the minute that runs, and the sum of the medians of those before it."""

    minute: int = 0
    slot: int = -1
    votes: tuple[int, ...] = ()
    total_e18: int = 0
    samples: int = 0

    def to_plain(self) -> dict[str, Any]:
        return {
            "minute": self.minute,
            "samples": self.samples,
            "slot": self.slot,
            "total_e18": self.total_e18,
            "votes": list(self.votes),
        }


def sample_of(votes: Sequence[int], min_votes: int) -> int:
    """The median of the votes, zeros added up to `min_votes`; between two middle ones their mean, toward zero."""
    padded = sorted([*votes, *(0 for _ in range(min_votes - len(votes)))])
    middle = len(padded) // 2
    return padded[middle] if len(padded) % 2 else tdiv(padded[middle - 1] + padded[middle], 2)


def index_delta(rate_8h_ppm: int, elapsed_s: int, quote_quantums_per_base: int) -> int:
    """Growth of the funding index: rate · Δt / 8 h · quote quantums per base quantum · 1e6, toward zero.

    `quote_quantums_per_base` is scaled by 1e6, as a rate in ppm makes the product.
    """
    return tdiv(rate_8h_ppm * elapsed_s * quote_quantums_per_base, EIGHT_HOURS_S * PPM)


@dataclass(frozen=True, slots=True)
class Votes(Scheduled):
    """`default` is per 8 h (isolated markets: 0.01 %, which is 0.125 basis points an hour); the factors are the network's."""

    interval_s: int = HOUR_S
    sample_s: int = 60
    vote_s: int = 1
    min_votes: int = 15
    default: Ratio = Ratio(0)
    initial_margin: Ratio = Ratio(E18 // 20)
    maintenance_margin: Ratio = Ratio(3 * E18 // 100)
    rate_factor: int = 6
    vote_factor: int = 60

    formula: ClassVar[str] = "F = clamp(mean of minutes' median votes + default, ±6 (IM − MM)) · interval / 8 h"

    def __post_init__(self) -> None:
        Scheduled.__post_init__(self)
        if not 0 < self.vote_s <= self.sample_s <= self.interval_s or self.interval_s % self.sample_s:
            raise ValueError("need 0 < vote_s <= sample_s <= interval_s, and whole samples in an interval")
        if not 0 < self.maintenance_margin < self.initial_margin:
            raise ValueError("need 0 < maintenance_margin < initial_margin")
        if min(self.min_votes, self.rate_factor, self.vote_factor) <= 0:
            raise ValueError("min_votes, rate_factor and vote_factor must be positive")

    def opened(self, before: Ballot | None) -> Ballot:  # noqa: ARG002 - each interval has its own votes
        return Ballot()

    def restored(self, plain: Mapping[str, Any]) -> Ballot:
        return Ballot(
            int(plain["minute"]),
            int(plain["slot"]),
            tuple(int(vote) for vote in plain["votes"]),
            int(plain["total_e18"]),
            int(plain["samples"]),
        )

    def _bound(self, factor: int) -> int:
        return margin_cap(self.initial_margin, self.maintenance_margin, factor * BPS)

    def sampled(self, window: Ballot, span: Span, last_e18: int, inputs: RateInputs) -> Ballot:
        elapsed = span.elapsed_ns(inputs.now)
        slot = elapsed // (self.vote_s * SECOND)
        if slot <= window.slot:
            return window
        found = sample(SampleOf("impact", "index"), inputs, span, last_e18)
        if found is None:
            return window
        bound = self._bound(self.vote_factor)
        vote = clamp(found, -bound, bound)
        closed = self._closed(window, elapsed // (self.sample_s * SECOND))
        return closed._replace(slot=slot, votes=(*closed.votes, vote))

    def _closed(self, window: Ballot, minute: int) -> Ballot:
        """The ballot with the minutes before `minute` counted."""
        if minute <= window.minute:
            return window
        counted = sample_of(window.votes, self.min_votes) if window.votes else 0
        cast = 1 if window.votes else 0
        return Ballot(minute, window.slot, (), window.total_e18 + counted, window.samples + cast)

    def charge(self, window: Ballot, span: Span, last_e18: int, now: Timestamp) -> Charge:
        """Until the boundary over the minutes that are complete; at the boundary over all of them, missing ones as zeros."""
        minutes = span.elapsed_ns(now) // (self.sample_s * SECOND)
        closed = self._closed(window, minutes)
        premium = tdiv(closed.total_e18, minutes) if minutes > 0 else 0
        bound = symmetric(self._bound(self.rate_factor))
        rate, flags = bound.apply(premium + self.default, last_e18)
        seen = closed.samples * BPS // minutes if minutes > 0 else 0
        thin = (RateFlag.THIN,) if 2 * seen < BPS else ()
        return Charge(tdiv(rate * span.interval_s, EIGHT_HOURS_S), premium, seen, (*thin, *flags))
