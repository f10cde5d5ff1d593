"""The condition of markets and the records of sources in words for people: /status, /readyz, `keeper price`."""

from __future__ import annotations

from typing import Any

from keeper.app.ops import Readiness
from keeper.domain.condition import Condition
from keeper.domain.market import PricedMarket
from keeper.domain.numbers import deviation_bps
from keeper.domain.scorecard import Record
from keeper.domain.time import SECOND, Timestamp


def shown_condition(priced: PricedMarket | None, now: Timestamp) -> dict[str, Any]:
    """`divergence_bps`: of the mark from the index, None without one."""
    if priced is None:
        return {"state": Condition.HALT.name, "causes": ["no_price"], "for_s": None, "divergence_bps": None}
    state, marked = priced.condition, priced.marked
    apart = None if marked is None else deviation_bps(marked.mark.price_e18, marked.entry.index_e18)
    return {
        "state": state.condition.name,
        "causes": [cause.value for cause in state.causes],
        "for_s": None if state.since is None else max(0, (now - state.since) // SECOND),
        "divergence_bps": apart,
    }


def condition_ready(priced: PricedMarket | None) -> Readiness:
    """DEGRADED is ready: it is published. What is not says why."""
    state = None if priced is None else priced.condition
    if priced is None or state is None or state.publishes:
        return Readiness("condition", priced is not None, "" if priced is not None else "no price computed yet")
    by_hand = state.condition is Condition.HALT and priced.plan.condition.manual
    fix = f"keeper ctl resume {priced.plan.market}" if by_hand else "it passes with good prices; see docs/safeguards.md"
    causes = ", ".join(cause.value for cause in state.causes)
    return Readiness("condition", False, f"{state.condition.name}: {causes}", fix)


def shown_record(record: Record | None) -> dict[str, Any] | None:
    if record is None:
        return None
    return {
        "bad_pct": record.bad_pct,
        "apart_bps": record.apart_bps,
        "quarantined": record.benched_at is not None,
    }
