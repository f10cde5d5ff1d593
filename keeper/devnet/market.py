"""The hidden market behind every local venue: seeded random walks in USD, and moves on command."""

from __future__ import annotations

import asyncio
import math
import random
from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from keeper.domain.time import SECOND, Timestamp
from keeper.ports.clock import Clock

YEAR_S = 31_557_600.0
BASES: Mapping[str, float] = MappingProxyType({"BTC": 64_000.0, "ETH": 3_200.0})
STABLES: Mapping[str, float] = MappingProxyType({"USDT": 1.0, "USDC": 1.0})


@dataclass(slots=True)
class _Ramp:
    """A commanded move: what is left of it, in log price and in seconds."""

    asset: str
    log_left: float
    seconds_left: float


@dataclass(slots=True, eq=False)
class HiddenMarket:
    """True prices in USD. Driven by `run`; everything else may be called at any time from the same event loop.

    The path of every asset is kept for `remember_s`, so that a venue may lag and a verifier may look back.
    """

    clock: Clock
    seed: int = 1
    start: Mapping[str, float] = field(default_factory=lambda: BASES)
    pegs: Mapping[str, float] = field(default_factory=lambda: STABLES)
    rate_hz: float = 20.0
    annual_volatility: float = 0.5
    peg_noise: float = 0.00002
    remember_s: float = 3_600.0

    _targets: dict[str, float] = field(init=False)
    _paths: dict[str, deque[tuple[Timestamp, float]]] = field(init=False)
    _ramps: list[_Ramp] = field(init=False, default_factory=list)
    _rng: random.Random = field(init=False)
    _stepped_at: Timestamp = field(init=False)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)  # noqa: S311  a simulation that repeats
        self._stepped_at = self.clock.now()
        self._targets = {**self.start, **self.pegs}
        length = max(2, int(self.remember_s * self.rate_hz))
        self._paths = {a: deque([(self._stepped_at, p)], length) for a, p in self._targets.items()}

    def usd(self, asset: str, at: Timestamp | None = None) -> float:
        """Price in USD now, or at the last step not after `at` (the oldest one known where `at` lies before it)."""
        if asset == "USD":
            return 1.0
        path = self._paths[asset]
        if at is None or at >= path[-1][0]:
            return path[-1][1]
        return path[max(0, bisect_right(path, at, key=lambda point: point[0]) - 1)][1]

    def price(self, base: str, quote: str, at: Timestamp | None = None) -> float:
        return self.usd(base, at) / self.usd(quote, at)

    def path(self, asset: str) -> tuple[tuple[Timestamp, float], ...]:
        """What was true when, oldest first."""
        return tuple(self._paths[asset])

    def jump(self, base: str, fraction: float, over_s: float = 0.0) -> None:
        """Moves `base` by `fraction` (−0.1 is ten per cent down), at once or spread over `over_s`."""
        self._ramp(base, math.log1p(fraction), over_s)

    def depeg(self, stable: str, price: float, over_s: float = 0.0) -> None:
        """Moves a stablecoin to `price` USD; 1.0 brings it back."""
        pending = sum(ramp.log_left for ramp in self._ramps if ramp.asset == stable)
        self._ramp(stable, math.log(price / self._targets[stable]) - pending, over_s)

    def step(self) -> None:
        """One step of every walk, sized by the time since the last one."""
        now = self.clock.now()
        elapsed_s = max(0.0, (now - self._stepped_at) / SECOND)
        self._stepped_at = now
        self._advance_ramps(elapsed_s)
        sigma = self.annual_volatility * math.sqrt(elapsed_s / YEAR_S)
        for asset in self.start:
            self._targets[asset] *= math.exp(sigma * self._rng.gauss(0.0, 1.0))
            self._paths[asset].append((now, self._targets[asset]))
        for stable in self.pegs:
            self._paths[stable].append(
                (now, self._targets[stable] * (1.0 + self.peg_noise * self._rng.gauss(0.0, 1.0)))
            )

    async def run(self) -> None:
        while True:
            self.step()
            await asyncio.sleep(1.0 / self.rate_hz)

    def _ramp(self, asset: str, log_move: float, over_s: float) -> None:
        self._ramps.append(_Ramp(asset, log_move, over_s))
        if over_s <= 0.0:
            self.step()

    def _advance_ramps(self, elapsed_s: float) -> None:
        for ramp in self._ramps:
            share = 1.0 if ramp.seconds_left <= elapsed_s else elapsed_s / ramp.seconds_left
            self._targets[ramp.asset] *= math.exp(ramp.log_left * share)
            ramp.log_left *= 1.0 - share
            ramp.seconds_left -= elapsed_s
        self._ramps = [ramp for ramp in self._ramps if ramp.seconds_left > 0.0]
