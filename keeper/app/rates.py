"""The chosen funding method's estimate, in words for people: /status and `keeper price --trace`."""

from __future__ import annotations

from typing import Any

from keeper.domain.market import Marked
from keeper.domain.numbers import text_of
from keeper.domain.rates.method import Charge


def shown_rate(marked: Marked | None) -> dict[str, Any] | None:
    """What the boundary to come would charge by that method, to be held beside the chain's predicted rate."""
    if marked is None or marked.rated is None:
        return None
    estimate = marked.rated.estimate
    return {
        "method": estimate.method,
        "boundary_s": estimate.span.boundary_s,
        "interval_s": estimate.span.interval_s,
        **_shown(estimate.charge),
        "last_boundary_s": None if estimate.last is None else estimate.last.span.boundary_s,
        "last_rate": None if estimate.last is None else text_of(estimate.last.charge.rate_e18),
    }


def traced_rate(marked: Marked | None) -> dict[str, Any] | None:
    """The same with the chain's own estimate, and the state that it was computed from."""
    shown = shown_rate(marked)
    if shown is None or marked is None or marked.rated is None:
        return None
    chain, before = marked.inputs.funding, marked.rated.before
    return {
        **shown,
        "chain_rate": None if chain is None else text_of(chain.rate_e18),
        "chain_boundary_s": None if chain is None else chain.boundary_s,
        "state_before": None if before is None else before.to_plain(),
    }


def _shown(charge: Charge) -> dict[str, Any]:
    return {
        "rate": text_of(charge.rate_e18),
        "premium": text_of(charge.premium_e18),
        "seen_bps": charge.seen_bps,
        "flags": [flag.value for flag in charge.flags],
    }
