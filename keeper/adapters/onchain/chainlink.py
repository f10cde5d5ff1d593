"""A Chainlink feed, read through its proxy, because aggregators are replaced behind it.

https://docs.chain.link/data-feeds/api-reference · https://docs.chain.link/data-feeds/selecting-data-feeds
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from keeper.adapters.onchain.source import Answer, Known, Learnt, Reading, Unusable, ask, normalized, result, view
from keeper.domain.chain import BlockRef, Call
from keeper.domain.ids import Address
from keeper.domain.numbers import E18, text_of
from keeper.domain.time import from_seconds
from keeper.errors import ConfigError, Reverted

LATEST_ROUND = view("latestRoundData", [], ["uint80", "int256", "uint256", "uint256", "uint80"])
_DECIMALS = view("decimals", [], ["uint8"])
_AGGREGATOR = view("aggregator", [], ["address"])
_BOUNDS = tuple(
    view(name, [], ["int256"]) for name in ("minAnswer", "maxAnswer", "minSubmissionValue", "maxSubmissionValue")
)
"""Of aggregators that report off chain (int192), and of the older ones that do not."""
_MAX_DECIMALS = 36


@dataclass(frozen=True, slots=True)
class Facts:
    """`aggregator` None: the address is no proxy. `low` and `high` are the aggregator's own bounds, None where it has none."""

    decimals: int
    aggregator: Address | None
    low: int | None = None
    high: int | None = None
    bounded: bool = False


@dataclass(frozen=True, slots=True)
class Chainlink:
    """`heartbeat_s` is the feed's own, as its page states it for this chain; it may be late by `margin_s`."""

    kind: ClassVar[str] = "chainlink"

    address: Address
    heartbeat_s: float
    margin_s: float = 60.0

    def __post_init__(self) -> None:
        normalized(self, "address")
        if self.heartbeat_s <= 0 or self.margin_s < 0:
            raise ConfigError("heartbeat_s must be positive and margin_s not negative")

    @property
    def told_every_s(self) -> float:
        return self.heartbeat_s + self.margin_s

    def calls(self, known: Known) -> tuple[Call, ...]:
        if known is None:
            return ask(self.address, _DECIMALS), ask(self.address, _AGGREGATOR)
        if not known.bounded:
            return tuple(ask(known.aggregator or self.address, bound) for bound in _BOUNDS)
        latest = ask(self.address, LATEST_ROUND)
        return (latest,) if known.aggregator is None else (latest, ask(self.address, _AGGREGATOR))

    def read(self, known: Known, answers: Sequence[Answer], at: BlockRef) -> Reading | Unusable | Learnt:
        if known is None:
            return self._introduced(answers)
        if not known.bounded:
            low, high, older_low, older_high = (_bound(place, answer) for place, answer in enumerate(answers))
            low, high = older_low if low is None else low, older_high if high is None else high
            return Learnt(replace(known, low=low, high=high, bounded=True))
        if known.aggregator is not None and result(_AGGREGATOR, answers[1])[0] != known.aggregator:
            return Learnt(None)
        return self._judged(known, result(LATEST_ROUND, answers[0]), at)

    def _introduced(self, answers: Sequence[Answer]) -> Unusable | Learnt:
        decimals = result(_DECIMALS, answers[0])[0]
        if decimals > _MAX_DECIMALS:
            return Unusable("decimals", f"{decimals} decimals")
        proxied = not isinstance(answers[1], Reverted)
        return Learnt(Facts(decimals, result(_AGGREGATOR, answers[1])[0] if proxied else None))

    def _judged(self, facts: Facts, told: Sequence[int], at: BlockRef) -> Reading | Unusable:
        _round, answer, _started_s, updated_s, _answered_in = told
        if updated_s == 0:
            return Unusable("incomplete", "the round has no time: it is not finished")
        price_e18 = answer * E18 // 10**facts.decimals
        if price_e18 <= 0:
            return Unusable("not_positive", f"answer {answer} of {facts.decimals} decimals")
        if updated_s > at.timestamp_s:
            return Unusable("future", f"updated {updated_s - at.timestamp_s} s after its block")
        if (age_s := at.timestamp_s - updated_s) > self.told_every_s:
            return Unusable("stale", f"{age_s} s old; it promises one each {self.heartbeat_s:g} s")
        if (facts.low is not None and answer <= facts.low) or (facts.high is not None and answer >= facts.high):
            return Unusable("bound", f"answer {answer} is the aggregator's own limit: the market may be beyond it")
        return Reading(price_e18, from_seconds(updated_s), f"{text_of(price_e18)}, {age_s} s old")


def _bound(place: int, answer: Answer) -> int | None:
    """Newer aggregators have none and refuse the question."""
    return None if isinstance(answer, Reverted) or not answer else int(result(_BOUNDS[place], answer)[0])
