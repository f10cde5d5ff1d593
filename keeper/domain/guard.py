"""A jump of the index is held until enough sources confirm it, and then published whatever its size."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from keeper.domain.confirmation import Confirmation, ConfirmationState, backers
from keeper.domain.index import IndexPrice
from keeper.domain.numbers import deviation_bps, exceeds_bps
from keeper.domain.time import MILLISECOND, Timestamp


class HeldReason(StrEnum):
    BACKING = "backing"
    """Too few sources, or of too few quote groups, back the jump at this moment."""
    UNCONFIRMED = "unconfirmed"
    """Enough back it, but not for long enough yet."""


@dataclass(frozen=True, slots=True)
class Pass:
    """`jump_bps` from the price passed before, rounded down; `confirmed` if it was a jump."""

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


@dataclass(frozen=True, slots=True)
class GuardState:
    """`passed_e18` is the price that jumps are measured from: the last that passed, at the start the chain's, or None."""

    passed_e18: int | None = None
    held_since: Timestamp | None = None
    confirmation: ConfirmationState = field(default_factory=ConfirmationState)


@dataclass(frozen=True, slots=True)
class Guard:
    """A fold over one index. `confirmation` is what it takes to pass a move of more than `max_jump_bps`."""

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
        return replace(state, confirmation=state.confirmation.interrupted())

    def step(self, state: GuardState, index: IndexPrice, now: Timestamp) -> tuple[GuardState, Pass | Held]:
        price, before = index.price_e18, state.passed_e18
        if before is None or not exceeds_bps(price, before, self.max_jump_bps):
            moved = 0 if before is None else deviation_bps(price, before)
            return GuardState(price, None, state.confirmation.idle()), Pass(price, moved)
        direction = 1 if price > before else -1
        behind = backers(index.inputs, price, direction, self.confirmation.agree_bps)
        agree = self.confirmation.enough(behind)
        confirmation, confirmed = self.confirmation.step(state.confirmation, direction, agree, now)
        jump = deviation_bps(price, before)
        if confirmed:
            return GuardState(price, None, confirmation), Pass(price, jump, confirmed=True)
        since = now if state.held_since is None else state.held_since
        held = GuardState(before, since, confirmation)
        if not agree:
            detail = f"backed by {len(behind)} of {self.confirmation.sources} sources, or too few quote groups"
            return held, Held(HeldReason.BACKING, since, detail, price, jump)
        detail = (
            f"{confirmation.agreed_ns // MILLISECOND} of {self.confirmation.confirm_ns // MILLISECOND} ms confirmed"
        )
        return held, Held(HeldReason.UNCONFIRMED, since, detail, price, jump)
