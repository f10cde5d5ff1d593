"""What verify says of one batch, check by check, without a chain."""

from __future__ import annotations

from typing import Any

import pytest

from keeper.app.provenance.batches import Batch
from keeper.app.provenance.checks import _entries
from keeper.domain.ids import DeploymentId, MarketId
from keeper.domain.report import MarketPrice, PriceReport, SeenReport
from keeper.domain.time import MILLISECOND, SECOND

ROUND = 1_700_000_000_123
ENTRY = {"index": "100", "mark": "101", "no": "1", "premium": "0"}


def batch(**record: Any) -> Batch:
    report = PriceReport(
        deployment=DeploymentId("d"),
        round_id=ROUND,
        observed_at_s=ROUND // 1_000,
        valid_until_s=ROUND // 1_000 + 60,
        signer_epoch=1,
        evidence=bytes(32),
        prices=(MarketPrice(MarketId("BTC-USD"), 1, 100, 101, 0),),
    )
    document = {"entry": ENTRY, "now": str(ROUND * MILLISECOND), "due": {"round": str(ROUND)}, "market": "BTC-USD"}
    seen = SeenReport(report, ())
    return Batch("0x", (), [document | record], None, "", False, None, None, None, None, seen)


@pytest.mark.parametrize("late_ns", [0, -2 * SECOND, MILLISECOND - 1])
def test_entries__made_for_this_round__say_the_same(late_ns: int) -> None:
    assert _entries(batch(now=str(ROUND * MILLISECOND + late_ns))).status == "ok"


@pytest.mark.parametrize("late_ns", [-3 * SECOND, -3_600 * SECOND, 3 * SECOND])
def test_entries__of_a_price_of_another_time__fail(late_ns: int) -> None:
    """What was computed an hour ago has no price of now to give, however well it is computed again."""
    found = _entries(batch(now=str(ROUND * MILLISECOND + late_ns)))
    assert (found.status, found.detail.split(":")[0]) == ("failed", "BTC-USD")


def test_entries__of_another_round__fail() -> None:
    found = _entries(batch(due={"round": str(ROUND - 1_000)}))
    assert found.detail == f"BTC-USD: its record is of round {ROUND - 1_000}"
    assert _entries(batch(due=None)).status == "ok"
