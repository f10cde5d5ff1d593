"""When many sources together are believed against an expectation: they must agree for a while, and then stay believed.

Time counts as agreed between two consecutive observations that both agree, and silence between them counts as one second at
most. A trust once earned holds for its direction until the move has paused for as
long as the confirmation took: a crash that goes on is not asked again at every tick.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from keeper.domain.numbers import BPS
from keeper.domain.screening import PricedQuote
from keeper.domain.time import SECOND, Timestamp

LONGEST_STEP_NS = SECOND
"""Two observations further apart count as this far apart: what happened between them was not seen."""


# A tuple and not a dataclass, because each tick makes it anew for each market.
class ConfirmationState(NamedTuple):
    """`direction` is that of the move being confirmed: 1, −1, or 0 for none."""

    direction: int = 0
    agreed_ns: int = 0
    agreed_at: Timestamp | None = None
    trusted_direction: int = 0
    trusted_until: Timestamp | None = None

    def trusts(self, direction: int, now: Timestamp, confirm_ns: int) -> bool:
        """A trust that ends later than one earned now is of a clock that was ahead, and none."""
        if self.trusted_until is None or direction != self.trusted_direction:
            return False
        return 0 <= self.trusted_until - now <= confirm_ns

    def interrupted(self) -> ConfirmationState:
        """Nothing was observed: the time until the next observation does not count as agreed."""
        return self if self.agreed_at is None else self._replace(agreed_at=None)

    def idle(self) -> ConfirmationState:
        """Nothing to confirm now; an earned trust stays."""
        if self.direction == 0 and self.agreed_at is None:
            return self
        return ConfirmationState(0, 0, None, self.trusted_direction, self.trusted_until)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """At least `sources` in at least `quote_groups`, within `agree_bps`, for `confirm_ns`."""

    confirm_ns: int = 3 * SECOND
    sources: int = 3
    quote_groups: int = 2
    agree_bps: int = 100

    def __post_init__(self) -> None:
        if self.confirm_ns < 0 or self.agree_bps < 0 or not 1 <= self.quote_groups <= self.sources:
            raise ValueError("need confirm_ns >= 0, agree_bps >= 0 and 1 <= quote_groups <= sources")

    def enough(self, backers: Sequence[PricedQuote]) -> bool:
        return len(backers) >= self.sources and len({vote.spec.quote for vote in backers}) >= self.quote_groups

    def step(
        self, state: ConfirmationState, direction: int, agree: bool, now: Timestamp
    ) -> tuple[ConfirmationState, bool]:
        """One observation of a move. True once it is confirmed, at this observation or by trust earned before.

        Without agreement nothing is confirmed, and the time agreed so far is kept: a tick lost to one late venue does
        not start a crash's confirmation anew.
        """
        same = direction == state.direction
        agreed = state.agreed_ns if same else 0
        if not agree:
            kept = ConfirmationState(direction, agreed, None, state.trusted_direction, state.trusted_until)
            return kept, False
        if same and state.agreed_at is not None:
            agreed += max(0, min(now - state.agreed_at, LONGEST_STEP_NS))
        if agreed < self.confirm_ns and not state.trusts(direction, now, self.confirm_ns):
            return ConfirmationState(direction, agreed, now, state.trusted_direction, state.trusted_until), False
        until = Timestamp(now + self.confirm_ns)
        return ConfirmationState(direction, agreed, now, direction, until), True


def backers(votes: Sequence[PricedQuote], price_e18: int, direction: int, agree_bps: int) -> list[PricedQuote]:
    """Votes that back a move to `price_e18`: within `agree_bps` of it or beyond it in the move's direction.

    Beyond counts because while a market runs the quicker venues are already further on. With direction 0 only the near do.
    """
    near = agree_bps * price_e18
    return [
        vote
        for vote in votes
        if abs(vote.price_e18 - price_e18) * BPS <= near or (vote.price_e18 - price_e18) * direction > 0
    ]
