"""Averages over samples taken once per fixed tick, as venues define theirs.

What venues call a 30-second exponential average is n = 30 samples, one a second, each entering with 2/(n+1): the past loses
half its weight in 10.4 s. It is not an average with a time constant of 30 s, whose half-life is 20.8 s.

The first look in a tick is its sample; further looks in the same tick change nothing. A tick that nobody looked at gets what
stood before it.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from keeper.domain.mark.decay import ONE_BITS, decay
from keeper.domain.mark.method import Plain
from keeper.domain.numbers import E18, fdiv
from keeper.domain.time import Timestamp

Kind = Literal["mean", "ema", "weighted"]


# Tuples and not dataclasses, because each tick makes them anew for each market.
class TickState(NamedTuple):
    """The average is `total` / `weight`. `kept`: the samples of a mean, oldest first, None for a tick without one.

    `seen`: number of samples, up to n. `standing` was seen last, None while there was none; `seen_at` is when there was one.
    `of`: kind, samples and tick of the average that it belongs to, None: of any.
    """

    kept: tuple[int | None, ...] = ()
    total: int = 0
    weight: int = 0
    seen: int = 0
    tick: int | None = None
    standing: int | None = None
    seen_at: Timestamp | None = None
    of: tuple[str, int, int] | None = None

    @property
    def value(self) -> int | None:
        """Rounded down."""
        return fdiv(self.total, self.weight) if self.weight else None

    def stand(self, sample: int | None, now: Timestamp) -> TickState:
        """The same, seen last with `sample`."""
        return self._replace(standing=sample, seen_at=self.seen_at if sample is None else now)

    def to_plain(self) -> dict[str, Any]:
        return {
            "kept": list(self.kept),
            "of": None if self.of is None else list(self.of),
            "seen": self.seen,
            "seen_at": self.seen_at,
            "standing": self.standing,
            "tick": self.tick,
            "total": self.total,
            "weight": self.weight,
        }


def restored_ticks(plain: Plain) -> TickState:
    """Raises KeyError or ValueError on a document that `to_plain` did not write."""
    if not plain:
        return TickState()
    seen_at, of = optional(plain["seen_at"]), plain["of"]
    return TickState(
        tuple(optional(each) for each in plain["kept"]),
        int(plain["total"]),
        int(plain["weight"]),
        int(plain["seen"]),
        optional(plain["tick"]),
        optional(plain["standing"]),
        None if seen_at is None else Timestamp(seen_at),
        None if of is None else (str(of[0]), int(of[1]), int(of[2])),
    )


def optional(value: Any) -> int | None:
    """A number of a stored state, which may have become text, or may be missing."""
    return None if value is None else int(value)


class TickAverage(NamedTuple):
    """`kind`: the mean of the last `samples`; or exponential, each sample entering with 2/(samples+1); or weighted by time,
    numerator and denominator both decaying with the time constant samples · every.

    After `keep_ns` without a sample all is forgotten, and so is a state that was kept with other parameters. It counts once `warm_pct` percent of `samples` were seen.
    """

    kind: Kind
    samples: int
    every_ns: int
    keep_ns: int
    warm_pct: int

    def step(self, state: TickState, sample: int | None, now: Timestamp) -> TickState:
        tick, of = now // self.every_ns, (self.kind, self.samples, self.every_ns)
        gone = state.tick is None or state.seen_at is None or abs(now - state.seen_at) > self.keep_ns
        if gone or state.tick is None or state.of not in (None, of):
            return (
                TickState() if sample is None else self._enter(TickState(tick=tick, of=of), sample).stand(sample, now)
            )
        if tick > state.tick:
            for _ in range(tick - state.tick - 1):
                state = self._enter(state, state.standing)
            state = self._enter(state, sample)
        return state._replace(tick=tick).stand(sample, now)

    def _enter(self, state: TickState, sample: int | None) -> TickState:
        """One tick more."""
        if self.kind == "mean":
            return self._slide(state, sample)
        if sample is None:
            return state
        count = min(self.samples, state.seen + 1)
        if self.kind == "ema":
            n, before = self.samples, sample if state.weight == 0 else state.total
            return state._replace(total=fdiv((n - 1) * before + 2 * sample, n + 1), weight=1, seen=count)
        past, time = decay(self.every_ns, self._half_life_ns()), self.every_ns * E18
        total = (state.total * past >> ONE_BITS) + sample * time
        return state._replace(total=total, weight=(state.weight * past >> ONE_BITS) + time, seen=count)

    def _half_life_ns(self) -> int:
        """ln 2 times the time constant."""
        return self.samples * self.every_ns * 693_147_181 // 1_000_000_000

    def _slide(self, state: TickState, sample: int | None) -> TickState:
        oldest = state.kept[0] if len(state.kept) == self.samples else None
        total = state.total + (sample or 0) - (oldest or 0)
        count = state.seen + (sample is not None) - (oldest is not None)
        return state._replace(kept=(*state.kept, sample)[-self.samples :], total=total, weight=count, seen=count)

    def is_warm(self, state: TickState) -> bool:
        return state.seen * 100 >= self.warm_pct * self.samples
