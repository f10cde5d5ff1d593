"""A jump of the index is held until enough sources confirm it, and then published whatever its size."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from keeper.domain.confirmation import Confirmation, ConfirmationState, backers
from keeper.domain.index import IndexPrice
from keeper.domain.numbers import deviation_bps, exceeds_bps
from keeper.domain.time import MILLISECOND, Timestamp


class HeldReason(StrEnum):
    BACKING = "backing"
    """Too few sources, or of too few quote groups, back the jump at this moment."""
    UNCONFIRMED = "unconfirmed"
    """Enough back it, but not for long enough yet."""


# Tuples and not dataclasses, because each tick makes them anew for each market.
class Pass(NamedTuple):
    """`jump_bps` from the anchor, rounded down; `confirmed` if that made it a jump."""

    price_e18: int
    jump_bps: int
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    reason: HeldReason
    since: Timestamp
    detail: str
    price_e18: int
    jump_bps: int


class GuardState(NamedTuple):
    """`passed_e18` is the last price that passed, at the start the chain's, or None.

    The anchor is the price that jumps are measured from: the last passed when it was set, at `anchored_at`.
    """

    passed_e18: int | None = None
    anchor_e18: int | None = None
    anchored_at: Timestamp | None = None
    held_since: Timestamp | None = None
    confirmation: ConfirmationState = ConfirmationState()


@dataclass(frozen=True, slots=True)
class Guard:
    """A fold over one index. `confirmation` is what it takes to pass a move of more than `max_jump_bps`.

    A move is measured from the price passed last, but an anchor stands for as long as a confirmation takes: what would be a
    jump in one tick is a jump in twenty small ones too, and whether a crash is confirmed does not depend on the rate of
    ticks. A move slower than that has been seen by enough sources on its way.
    """

    max_jump_bps: int = 200
    confirmation: Confirmation = field(default_factory=Confirmation)

    def __post_init__(self) -> None:
        if not 0 <= self.confirmation.agree_bps <= self.max_jump_bps:
            raise ValueError("agree_bps must not exceed max_jump_bps: the unmoved would back the move")

    def start(self, on_chain_e18: int | None) -> GuardState:
        """Measures the first price against the chain's, if it has one."""
        return GuardState(on_chain_e18 or None)

    def skip(self, state: GuardState) -> GuardState:
        """The index was withheld: whatever was being confirmed was not confirmed meanwhile."""
        return state._replace(confirmation=state.confirmation.interrupted())

    def step(self, state: GuardState, index: IndexPrice, now: Timestamp) -> tuple[GuardState, Pass | Held]:
        price = index.price_e18
        anchor, anchored_at = self._anchor(state, now)
        if anchor is None:
            return GuardState(price, price, now, None, state.confirmation.idle()), Pass(price, 0)
        jump = deviation_bps(price, anchor)
        if not exceeds_bps(price, anchor, self.max_jump_bps):
            return GuardState(price, anchor, anchored_at, None, state.confirmation.idle()), Pass(price, jump)
        direction = 1 if price > anchor else -1
        behind = backers(index.inputs, price, direction, self.confirmation.agree_bps)
        agree = self.confirmation.enough(behind)
        confirmation, confirmed = self.confirmation.step(state.confirmation, direction, agree, now)
        if confirmed:
            return GuardState(price, price, now, None, confirmation), Pass(price, jump, confirmed=True)
        since = now if state.held_since is None else state.held_since
        reason = HeldReason.UNCONFIRMED if agree else HeldReason.BACKING
        held = GuardState(state.passed_e18, anchor, anchored_at, since, confirmation)
        return held, Held(reason, since, self._detail(confirmation, len(behind)), price, jump)

    def _anchor(self, state: GuardState, now: Timestamp) -> tuple[int | None, Timestamp]:
        """The anchor in force: renewed once it has stood for the time of a confirmation, but never during a hold."""
        if state.anchor_e18 is None or state.anchored_at is None:
            return state.passed_e18, now
        old = not 0 <= now - state.anchored_at < self.confirmation.confirm_ns
        if old and state.held_since is None:
            return state.passed_e18, now
        return state.anchor_e18, state.anchored_at

    def _detail(self, state: ConfirmationState, behind: int) -> str:
        wanted = self.confirmation
        return (
            f"{state.agreed_ns // MILLISECOND} of {wanted.confirm_ns // MILLISECOND} ms confirmed; backed by {behind} sources,"
            f" asked {wanted.sources} in {wanted.quote_groups} quote groups"
        )
