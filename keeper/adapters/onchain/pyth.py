"""A Pyth price as its contract on this chain holds it: of any age, so that the age is judged here.

https://docs.pyth.network/price-feeds/core/api-reference/evm/get-price-unsafe ·
https://docs.pyth.network/price-feeds/core/best-practices
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from keeper.adapters.encoding.keccak import keccak
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
from keeper.domain.numbers import BPS, text_of
from keeper.domain.time import from_seconds
from keeper.errors import ConfigError, Reverted

GET_PRICE = view("getPriceUnsafe", ["bytes32"], ["int64", "uint64", "int32", "uint256"])
_NOT_FOUND = keccak(b"PriceFeedNotFound()")[:4]
_FEED = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
_MAX_EXPONENT = 36
_SCALE = 18


@dataclass(frozen=True, slots=True)
class Pyth:
    """`feed` is the price feed's id. `max_conf_bps`: widest confidence interval, of the price.

    A price may be stamped up to `max_ahead_s` after its block: publishers' clocks run apart from the chain's.
    """

    kind: ClassVar[str] = "pyth"

    address: Address
    feed: str
    max_age_s: float = 60.0
    max_conf_bps: int = 100
    max_ahead_s: float = 5.0

    def __post_init__(self) -> None:
        normalized(self, "address")
        if not _FEED.fullmatch(self.feed):
            raise ConfigError("feed is 0x and 64 hexadecimal digits, in quotes")
        if self.max_age_s <= 0 or self.max_ahead_s < 0 or not 0 < self.max_conf_bps < BPS:
            raise ConfigError("need max_age_s > 0, max_ahead_s >= 0 and 0 < max_conf_bps < 10000")

    @property
    def told_every_s(self) -> float:
        return self.max_age_s

    def calls(self, _known: Known) -> tuple[Call, ...]:
        return (ask(self.address, GET_PRICE, bytes.fromhex(self.feed[2:])),)

    def read(self, _known: Known, answers: Sequence[Answer], at: BlockRef) -> Reading | Unusable | Learnt:
        answer = answers[0]
        if isinstance(answer, Reverted):
            unknown = answer.data[:4] == _NOT_FOUND
            return Unusable("refused", f"no feed {self.feed[:10]}… there" if unknown else revert_words(answer))
        return self._judged(result(GET_PRICE, answer), at)

    def _judged(self, told: Sequence[int], at: BlockRef) -> Reading | Unusable:
        price, confidence, exponent, published_s = told
        age_s = at.timestamp_s - published_s
        price_e18 = _scaled(price, exponent) if abs(exponent) <= _MAX_EXPONENT else 0
        faults = (
            (abs(exponent) > _MAX_EXPONENT, "exponent", f"exponent {exponent}"),
            (price_e18 <= 0, "not_positive", f"price {price}e{exponent}"),
            (published_s == 0 or age_s > self.max_age_s, "stale", f"{age_s} s old, limit {self.max_age_s:g} s"),
            (-age_s > self.max_ahead_s, "future", f"published {-age_s} s after its block"),
            (
                confidence * BPS > self.max_conf_bps * price,
                "confidence",
                f"± {confidence * BPS // max(price, 1)} bps, limit {self.max_conf_bps}",
            ),
        )
        found = next((Unusable(reason, detail) for wrong, reason, detail in faults if wrong), None)
        detail = f"{text_of(price_e18)} ± {confidence * BPS // max(price, 1)} bps, {age_s} s old"
        return found or Reading(price_e18, from_seconds(published_s), detail)


def _scaled(price: int, exponent: int) -> int:
    """Rounded down to 18 digits."""
    power = exponent + _SCALE
    return int(price * 10**power) if power >= 0 else price // 10**-power
