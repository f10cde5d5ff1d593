"""mark = index · (1 + F · t/T): what the index is worth with the funding still to be paid until the boundary.

https://www.bitmex.com/app/fairPriceMarking ; Gate and Phemex mark by the same formula.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keeper.domain.grade import Grade
from keeper.domain.mark.method import FundingEstimate, MarkFlag, MarkInputs, MarkPrice, NoState, Plain, marked
from keeper.domain.numbers import BPS, E18, cdiv, clamp, parse_e18
from keeper.domain.time import SECOND, Timestamp


def funding_fair_e18(index_e18: int, funding: FundingEstimate | None, now: Timestamp, round_up_s: int = 0) -> int:
    """index + index · F · t/T rounded down, t the time left, between 0 and T; the index itself without an estimate.

    `round_up_s`: t counts in steps of so many seconds, rounded up, as BitMEX counts whole minutes.
    """
    if funding is None:
        return index_e18
    interval_ns, left_ns = funding.interval_s * SECOND, funding.boundary_s * SECOND - now
    if round_up_s:
        left_ns = cdiv(left_ns, round_up_s * SECOND) * round_up_s * SECOND
    left_ns = clamp(left_ns, 0, interval_ns)
    return index_e18 + index_e18 * funding.rate_e18 * left_ns // (E18 * interval_ns)


@dataclass(frozen=True, slots=True)
class FundingFair:
    """Index with the funding still to be paid until the boundary.

    `max_basis_bps` bounds the distance to the index. `round_up_s`: the time left counts in steps of so many seconds, rounded
    up. `mark_tick`: the price is rounded to a multiple of it, halves up; empty: not at all.
    """

    max_basis_bps: int = 50
    round_up_s: int = 0
    mark_tick: str = ""

    name: ClassVar[str] = "funding_fair"
    grade: ClassVar[Grade] = Grade.REPRODUCED
    source: ClassVar[str] = "bitmex.com/app/fairPriceMarking"

    def __post_init__(self) -> None:
        if not 0 <= self.max_basis_bps < BPS or self.round_up_s < 0:
            raise ValueError("need 0 <= max_basis_bps < 10000 and round_up_s >= 0")
        if self.mark_tick and parse_e18(self.mark_tick) <= 0:
            raise ValueError("mark_tick must be positive")

    def start(self) -> NoState:
        return NoState()

    def restore(self, plain: Plain) -> NoState:  # noqa: ARG002 - nothing to restore
        return NoState()

    def step(self, state: NoState, inputs: MarkInputs) -> tuple[NoState, MarkPrice]:
        price = funding_fair_e18(inputs.index.price_e18, inputs.funding, inputs.now, self.round_up_s)
        if self.mark_tick:
            tick = parse_e18(self.mark_tick)
            price = (2 * price + tick) // (2 * tick) * tick
        flags = (MarkFlag.NO_FUNDING,) if inputs.funding is None else ()
        return state, marked(self.name, inputs, price, self.max_basis_bps, (("funding_fair", price),), flags)
