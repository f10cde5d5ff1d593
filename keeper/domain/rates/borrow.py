"""GMX v1: no funding between sides but a fee that both pay the pool for what is reserved of it.

rate of an interval = factor · reserved / pool, scaled by a million; time counts in whole intervals, so that nothing is owed
inside the first one. https://github.com/gmx-io/gmx-contracts, Vault.sol, VaultUtils.sol.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from keeper.domain.numbers import E18
from keeper.domain.rates.method import EIGHT_HOURS_S, Charge, Pool, RateFlag, RateInputs, Scheduled, Span
from keeper.domain.time import Timestamp

PRECISION = 1_000_000


def next_rate(factor: int, pool: Pool, elapsed_s: int, interval_s: int) -> int:
    """What the cumulative rate grows by, in millionths, rounded down; 0 while the pool is empty."""
    intervals = elapsed_s // interval_s
    return factor * pool.reserved_units * intervals // pool.pool_units if pool.pool_units else 0


def fee(size_units: int, cumulative: int, entry: int) -> int:
    """What a position of either side owes, rounded down."""
    return size_units * (cumulative - entry) // PRECISION


class Lent(NamedTuple):
    """The newest look at the pool."""

    pool: Pool | None = None

    def to_plain(self) -> dict[str, Any]:
        return {"pool": None if self.pool is None else list(self.pool)}


@dataclass(frozen=True, slots=True)
class Borrow(Scheduled):
    """`factor` in millionths of an interval at full use. The rate is paid by both sides: a positive one by shorts too."""

    interval_s: int = EIGHT_HOURS_S
    factor: int = 100

    formula: ClassVar[str] = "fee = factor · reserved / pool per whole interval, from both sides"

    def __post_init__(self) -> None:
        Scheduled.__post_init__(self)
        if not 0 <= self.factor <= 10_000:
            raise ValueError("need 0 <= factor <= 10000")

    def opened(self, before: Lent | None) -> Lent:
        return before or Lent()

    def restored(self, plain: Mapping[str, Any]) -> Lent:
        found = plain["pool"]
        return Lent(None if found is None else Pool(*(int(value) for value in found)))

    def sampled(self, window: Lent, span: Span, last_e18: int, inputs: RateInputs) -> Lent:  # noqa: ARG002
        return window if inputs.pool is None else Lent(inputs.pool)

    def charge(self, window: Lent, span: Span, last_e18: int, now: Timestamp) -> Charge:  # noqa: ARG002
        if window.pool is None:
            return Charge(0, 0, 0, (RateFlag.NO_POOL,))
        rate = next_rate(self.factor, window.pool, span.interval_s, self.interval_s)
        return Charge(rate * (E18 // PRECISION), 0, 10_000)
