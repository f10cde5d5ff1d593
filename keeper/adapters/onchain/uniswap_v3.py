"""The time-weighted geometric mean of a Uniswap v3 pool, from the pool's own sums. Never its momentary price.

https://docs.uniswap.org/concepts/protocol/oracle · UniswapV3Pool.observe
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from keeper.adapters.onchain.source import (
    Answer,
    Known,
    Learnt,
    Reading,
    Unusable,
    ask,
    normalized,
    result,
    revert_words,
    view,
)
from keeper.domain.chain import BlockRef, Call
from keeper.domain.ids import Address
from keeper.domain.numbers import text_of
from keeper.domain.ticks import MAX_TICK, Decimals, harmonic_liquidity, mean_tick, tick_price
from keeper.domain.time import from_seconds
from keeper.errors import ConfigError, Reverted

OBSERVE = view("observe", ["uint32[]"], ["int56[]", "uint160[]"])
_TOKENS = (view("token0", [], ["address"]), view("token1", [], ["address"]))
_DECIMALS = view("decimals", [], ["uint8"])
MIN_WINDOW_S = 600
_MAX_WINDOW_S = 7 * 86_400
_MAX_DECIMALS = 36
_GROW = (
    "the pool's oldest observation is younger than window_s: anybody may call its"
    " increaseObservationCardinalityNext, then wait; or shorten the window"
)
_REFUSALS = {
    "OLD": ("old", _GROW),
    "I": ("uninitialised", "the pool has no price yet"),
}


@dataclass(frozen=True, slots=True)
class Pair:
    """`decimals` None: the tokens are known and not yet asked. `inverted`: the base is token1."""

    tokens: tuple[Address, Address]
    inverted: bool
    decimals: Decimals | None = None


@dataclass(frozen=True, slots=True)
class UniswapV3:
    """`base` is the token that is priced, in the pool's other one. `min_liquidity` is the least harmonic mean of the liquidity
    in range over the window: what `keeper check` shows, and a pool that is drained falls below.
    """

    kind: ClassVar[str] = "uniswap_v3"

    address: Address
    base: Address
    min_liquidity: int
    window_s: int = 1800

    def __post_init__(self) -> None:
        normalized(self, "address", "base")
        if not MIN_WINDOW_S <= self.window_s <= _MAX_WINDOW_S:
            raise ConfigError(f"window_s must lie in {MIN_WINDOW_S}…{_MAX_WINDOW_S}: a short mean is cheap to move")
        if self.min_liquidity < 1:
            raise ConfigError("min_liquidity must be positive")

    @property
    def told_every_s(self) -> float:
        return 0.0

    def calls(self, known: Known) -> tuple[Call, ...]:
        if known is None:
            return tuple(ask(self.address, token) for token in _TOKENS)
        if known.decimals is None:
            return tuple(ask(token, _DECIMALS) for token in known.tokens)
        return (ask(self.address, OBSERVE, (self.window_s, 0)),)

    def read(self, known: Known, answers: Sequence[Answer], at: BlockRef) -> Reading | Unusable | Learnt:
        if known is None:
            return self._introduced(answers)
        if known.decimals is None:
            zero, one = (int(result(_DECIMALS, answer)[0]) for answer in answers)
            if max(zero, one) > _MAX_DECIMALS:
                return Unusable("decimals", f"{zero} and {one} decimals")
            decimals = Decimals(one, zero) if known.inverted else Decimals(zero, one)
            return Learnt(Pair(known.tokens, known.inverted, decimals))
        if isinstance(answers[0], Reverted):
            words = revert_words(answers[0])
            return Unusable(*_REFUSALS.get(words, ("refused", words)))
        return self._averaged(known.inverted, known.decimals, result(OBSERVE, answers[0]), at)

    def _introduced(self, answers: Sequence[Answer]) -> Unusable | Learnt:
        zero, one = (result(token, answer)[0] for token, answer in zip(_TOKENS, answers, strict=True))
        if self.base not in (zero, one):
            return Unusable("base", f"the pool trades {zero} and {one}; base is neither")
        return Learnt(Pair((zero, one), self.base == one))

    def _averaged(
        self, inverted: bool, decimals: Decimals, observed: Sequence[Sequence[int]], at: BlockRef
    ) -> Reading | Unusable:
        ticks, sums = observed
        if len(ticks) != 2 or len(sums) != 2:
            return Unusable("unreadable", f"{len(ticks)} and {len(sums)} sums where two were asked for")
        liquidity = harmonic_liquidity(sums[0], sums[1], self.window_s)
        if liquidity is None or liquidity < self.min_liquidity:
            return Unusable("thin", f"harmonic mean liquidity {liquidity or 0} of {self.min_liquidity}")
        tick = mean_tick(ticks[0], ticks[1], self.window_s)
        if abs(tick) > MAX_TICK:
            return Unusable("unreadable", f"mean tick {tick}")
        price_e18 = tick_price(tick, decimals, inverted)
        if price_e18 == 0:
            return Unusable("not_positive", f"tick {tick} vanishes")
        detail = f"{text_of(price_e18)}, mean of {self.window_s} s, harmonic mean liquidity {liquidity}"
        return Reading(price_e18, from_seconds(at.timestamp_s), detail)
