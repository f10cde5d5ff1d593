"""What a market's index is outside its underlying's sessions and while they open. A fold with explicit state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from keeper.domain.gate import Doubt
from keeper.domain.ids import IndexId
from keeper.domain.index import IndexFlag, IndexPrice, Withheld, WithheldReason
from keeper.domain.mark.decay import ONE_BITS, decay
from keeper.domain.numbers import BPS, cdiv, clamp
from keeper.domain.session import Hours, OffHours, Phase, SessionRules
from keeper.domain.time import Timestamp, to_seconds

_STEPS_BITS = 12
_TRADING = frozenset({Phase.OPEN, Phase.OPENING})


class Close(NamedTuple):
    """The last index of a session that the guard let pass, and when."""

    price_e18: int
    at: Timestamp


class SessionFold(NamedTuple):
    """`drift_e18` is the index that follows the own book while closed, as of `stepped_at`."""

    close: Close | None = None
    drift_e18: int | None = None
    stepped_at: Timestamp | None = None
    phase: Phase | None = None

    def to_plain(self) -> dict[str, Any]:
        return {
            "close": None if self.close is None else [self.close.price_e18, self.close.at],
            "drift": self.drift_e18,
            "phase": None if self.phase is None else self.phase.value,
            "stepped_at": self.stepped_at,
        }


def restored_session(plain: Mapping[str, Any]) -> SessionFold:
    """What `to_plain` wrote. Raises KeyError, TypeError or ValueError on anything else."""
    close, drift, stepped_at = plain["close"], plain["drift"], plain["stepped_at"]
    return SessionFold(
        None if close is None else Close(int(close[0]), Timestamp(int(close[1]))),
        None if drift is None else int(drift),
        None if stepped_at is None else Timestamp(int(stepped_at)),
        None if plain["phase"] is None else Phase(plain["phase"]),
    )


class SessionTurn(NamedTuple):
    """One tick: the state before it and the one it leaves, the hours, and the index of the market (`priced`)."""

    before: SessionFold
    after: SessionFold
    hours: Hours
    priced: IndexPrice | Withheld
    own_mid_e18: int | None

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """Why nothing is liquidated."""
        if self.hours.phase is Phase.OPEN:
            return ()
        return (Doubt.OPENING if self.hours.phase is Phase.OPENING else Doubt.CLOSED,)

    @property
    def reopened(self) -> bool:
        return self.before.phase is Phase.CLOSED and self.hours.phase in _TRADING

    def passed(self, price_e18: int, now: Timestamp) -> SessionFold:
        """The state after the guard let this price pass: of a session's prices the last is its close."""
        if self.hours.phase not in _TRADING:
            return self.after
        return self.after._replace(close=Close(price_e18, now))


def session_turn(
    rules: SessionRules, fold: SessionFold, index: IndexPrice | Withheld, own_mid_e18: int | None, now: Timestamp
) -> SessionTurn:
    """`index` is what the sources say; `own_mid_e18` the middle of the own book's impact prices, if it has them."""
    hours = rules.hours(now)
    after = fold._replace(phase=hours.phase, drift_e18=None, stepped_at=None)
    if hours.phase is Phase.OPEN:
        return SessionTurn(fold, after, hours, index, None)
    if hours.phase is Phase.OPENING:
        return SessionTurn(fold, after, hours, _opening(rules, index), None)
    if hours.phase is Phase.UNKNOWN:
        return SessionTurn(fold, after, hours, _withheld(index, "the calendar does not reach this day", now), None)
    close = _close_of(rules, fold, now)
    if rules.off_hours is OffHours.WITHHOLD or close is None:
        return SessionTurn(fold, after, hours, _withheld(index, _closed_words(rules, close, hours), now), None)
    if rules.off_hours is OffHours.HOLD:
        held = IndexPrice(index.index, close.price_e18, close.at, (), index.rejected, (IndexFlag.CLOSED,))
        return SessionTurn(fold, after, hours, held, None)
    drift, stepped_at = _drifted(rules, fold, close, own_mid_e18, now)
    after = after._replace(drift_e18=drift, stepped_at=stepped_at)
    return SessionTurn(fold, after, hours, _drifting(index.index, drift, index, now), own_mid_e18)


def _close_of(rules: SessionRules, fold: SessionFold, now: Timestamp) -> Close | None:
    """Of the last session: where there was no index in it, an earlier one's close is no price any more."""
    return fold.close if fold.close is not None and fold.close.at >= rules.calendar.opened(now) else None


def _closed_words(rules: SessionRules, close: Close | None, hours: Hours) -> str:
    opens = "" if hours.until is None else f", opens at {to_seconds(hours.until)}"
    unknown = "" if rules.off_hours is OffHours.WITHHOLD or close else ", and no index of its session is known"
    return f"{rules.calendar.name} is closed{opens}{unknown}"


def _withheld(index: IndexPrice | Withheld, detail: str, now: Timestamp) -> Withheld:
    return Withheld(index.index, WithheldReason.CLOSED, detail, now, (), index.rejected, index.fold)


def _opening(rules: SessionRules, index: IndexPrice | Withheld) -> IndexPrice | Withheld:
    if isinstance(index, Withheld):
        return index
    have = len(index.inputs)
    if have < rules.opening_sources:
        detail = f"{have} of {rules.opening_sources} sources while {rules.calendar.name} opens"
        return Withheld(
            index.index, WithheldReason.OPENING, detail, index.as_of, index.inputs, index.rejected, index.fold
        )
    return replace(index, flags=(*index.flags, IndexFlag.OPENING))


def _drifting(name: IndexId, drift_e18: int, index: IndexPrice | Withheld, now: Timestamp) -> IndexPrice:
    return IndexPrice(name, drift_e18, now, (), index.rejected, (IndexFlag.CLOSED,))


def _drifted(
    rules: SessionRules, fold: SessionFold, close: Close, own_mid_e18: int | None, now: Timestamp
) -> tuple[int, Timestamp]:
    """Toward the own book by elapsed time, rounded toward where it was, never further from the close than the band.

    It moves once each 4,096th part of the half-life: `decay` cuts shorter times, so that the way would depend on the ticks.
    Time without a book does not count.
    """
    before = close.price_e18 if fold.drift_e18 is None else fold.drift_e18
    if own_mid_e18 is None or fold.stepped_at is None or now < fold.stepped_at:
        return before, now
    if now - fold.stepped_at < rules.drift_half_life_ns >> _STEPS_BITS:
        return before, fold.stepped_at
    distance = own_mid_e18 - before
    kept = decay(now - fold.stepped_at, rules.drift_half_life_ns)
    moved = abs(distance) * ((1 << ONE_BITS) - kept) >> ONE_BITS
    low = cdiv(close.price_e18 * (BPS - rules.drift_band_bps), BPS)
    high = close.price_e18 * (BPS + rules.drift_band_bps) // BPS
    return clamp(before + (moved if distance > 0 else -moved), low, high), now
