"""mark = index · (1 + F · t/T): what the index is worth with the funding still to be paid until the boundary.

https://www.bitmex.com/app/fairPriceMarking ; Gate and Phemex mark by the same formula.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keeper.domain.mark.method import FundingEstimate, MarkFlag, MarkInputs, MarkPrice, NoState, Plain, marked
from keeper.domain.numbers import BPS, E18, clamp
from keeper.domain.time import SECOND, Timestamp


def funding_fair_e18(index_e18: int, funding: FundingEstimate | None, now: Timestamp) -> int:
    """index + index · F · t/T rounded down, t the time left, between 0 and T; the index itself without an estimate."""
    if funding is None:
        return index_e18
    interval_ns = funding.interval_s * SECOND
    left_ns = clamp(funding.boundary_s * SECOND - now, 0, interval_ns)
    return index_e18 + index_e18 * funding.rate_e18 * left_ns // (E18 * interval_ns)


@dataclass(frozen=True, slots=True)
class FundingFair:
    """`max_basis_bps` bounds the distance to the index."""

    max_basis_bps: int = 50

    name: ClassVar[str] = "funding_fair"

    def __post_init__(self) -> None:
        if not 0 <= self.max_basis_bps < BPS:
            raise ValueError("need 0 <= max_basis_bps < 10000")

    def start(self) -> NoState:
        return NoState()

    def restore(self, plain: Plain) -> NoState:  # noqa: ARG002 - nothing to restore
        return NoState()

    def step(self, state: NoState, inputs: MarkInputs) -> tuple[NoState, MarkPrice]:
        price = funding_fair_e18(inputs.index.price_e18, inputs.funding, inputs.now)
        flags = (MarkFlag.NO_FUNDING,) if inputs.funding is None else ()
        return state, marked(self.name, inputs, price, self.max_basis_bps, (("funding_fair", price),), flags)
