"""/status shows a funding method beside the chain's rate, where a market names one."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from keeper.app.boards import Boards
from keeper.app.status import StatusPage
from keeper.domain.market import MarketPlan
from keeper.domain.time import SECOND, Timestamp
from keeper.runtime.pulse import Pulse
from tests.domain.rates.test_market import HOUR_S, chosen, ticks


class HandClock:
    def now(self) -> Timestamp:
        return Timestamp((HOUR_S + 60) * SECOND)


def shown(plan: MarketPlan) -> dict[str, Any]:
    boards, clock = Boards(), HandClock()
    _, seen = ticks(plan, ["100.11"] * 12, every_s=5)
    boards.prices.put(plan.market, seen[-1])
    switches: Any = SimpleNamespace(causes=dict)
    page = StatusPage("run", "c0ffee", boards, {plan.market: plan}, (), (), clock, Pulse(clock), switches)
    return page.status()["markets"][plan.market]


def test_status__of_a_market_with_a_method__shows_what_it_would_charge() -> None:
    assert shown(chosen("hyperliquid"))["funding_method"] == {
        "method": "hyperliquid",
        "boundary_s": HOUR_S + 3_600,
        "interval_s": 3_600,
        "rate": "0.0000625",
        "premium": "0.001",
        "seen_bps": 10_000,
        "flags": [],
        "last_boundary_s": None,
        "last_rate": None,
    }


def test_status__of_a_market_without_one__is_as_ever() -> None:
    assert "funding_method" not in shown(replace(chosen("hyperliquid"), rates=None))
