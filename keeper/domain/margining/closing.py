"""How much of an account is closed: the smallest share that restores a buffer above maintenance margin.

    AV' = AV − fee·f·N ≥ buffer · MM·(1 − f)      ⇒      f = (buffer·MM − AV) / (buffer·MM − fee·N)

Closing only helps while it frees more margin than it costs (buffer·MM > fee·N); otherwise everything is closed. With
tiers MM falls by at least that share, so the buffer is restored then too, though a little less might have done.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from keeper.domain.margining.contracts import ceil
from keeper.domain.margining.cross import Standing
from keeper.domain.numbers import E18

WHOLE, NOTHING = Fraction(1), Fraction(0)


@dataclass(frozen=True, slots=True)
class ClosingRules:
    """`fee` of the closed notional; `whole_below` of AV / MM. Amounts in settlement currency, `lot_e18` in contracts.

    `slice_above_e18` and `slice_share`: of a larger notional at most that share every `slice_every_s`, None for no limit.
    """

    fee: Fraction
    buffer: Fraction = Fraction(11, 10)
    whole_below: Fraction = Fraction(1, 2)
    dust_e18: int = 0
    small_e18: int = 100 * E18
    slice_above_e18: int | None = 100_000 * E18
    slice_share: Fraction = Fraction(1, 5)
    slice_every_s: int = 30

    def __post_init__(self) -> None:
        if self.fee < 0 or self.buffer < 1 or not 0 < self.slice_share <= 1:
            raise ValueError("fee must be at least 0, buffer at least 1, slice_share above 0 and at most 1")


class Why(StrEnum):
    HEALTHY = "AV covers MM"
    BUFFER = "the smallest share that restores the buffer"
    DEEP = "AV is too small a part of MM"
    SMALL = "the position is small"
    DUST = "the rest would be dust"
    NO_RELIEF = "closing costs as much as it frees"
    SLICE = "a large position is closed in slices"
    COOLING = "the last slice is too recent"


@dataclass(frozen=True, slots=True)
class Share:
    """Of every position alike. Exact: `lots_of` rounds it."""

    fraction: Fraction
    why: Why


def buffer_share(state: Standing, fee: Fraction, buffer: Fraction) -> Fraction | None:
    """f alone, between 0 and 1; None if no share restores the buffer."""
    lacking = buffer * state.maintenance_e18 - state.equity_e18
    relief = buffer * state.maintenance_e18 - fee * state.notional_e18
    if lacking <= 0:
        return NOTHING
    return lacking / relief if lacking <= relief else None


def share_to_close(state: Standing, rules: ClosingRules, since_slice_s: int | None = None) -> Share:
    """The special cases, first that holds: healthy, small, deep, a slice too recent, no relief, slice, dust.

    An account that is deep under water is not sliced: what it has left would be gone before the last slice.
    `since_slice_s` is the time since the account's last slice, None if there was none.
    """
    if not state.is_liquidatable:
        return Share(NOTHING, Why.HEALTHY)
    if state.notional_e18 <= rules.small_e18:
        return Share(WHOLE, Why.SMALL)
    if state.equity_e18 < rules.whole_below * state.maintenance_e18:
        return Share(WHOLE, Why.DEEP)
    if rules.slice_above_e18 is not None and state.notional_e18 > rules.slice_above_e18:
        return _sliced(state, rules, since_slice_s)
    return _enough(state, rules)


def _sliced(state: Standing, rules: ClosingRules, since_slice_s: int | None) -> Share:
    if since_slice_s is not None and since_slice_s < rules.slice_every_s:
        return Share(NOTHING, Why.COOLING)
    wanted = _enough(state, rules)
    return Share(rules.slice_share, Why.SLICE) if wanted.fraction > rules.slice_share else wanted


def _enough(state: Standing, rules: ClosingRules) -> Share:
    share = buffer_share(state, rules.fee, rules.buffer)
    if share is None:
        return Share(WHOLE, Why.NO_RELIEF)
    dust = NOTHING < state.notional_e18 * (1 - share) < rules.dust_e18
    return Share(WHOLE, Why.DUST) if dust else Share(share, Why.BUFFER)


def lots_of(size_e18: int, share: Share, lot_e18: int) -> int:
    """Of a position of `size_e18` (signed or not), in whole lots, rounded up: less would not restore the buffer."""
    held = abs(size_e18)
    return min(held, ceil(held * share.fraction / lot_e18) * lot_e18)
