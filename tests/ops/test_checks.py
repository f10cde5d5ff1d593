"""What verify says of one batch, check by check, without a chain."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from keeper.app.provenance.batches import Batch
from keeper.app.provenance.checks import _entries, _recomputed
from keeper.domain.ids import DeploymentId, MarketId
from keeper.domain.report import MarketPrice, PriceReport, SeenReport
from keeper.domain.time import MILLISECOND, SECOND
from tests.services.test_recompute import plan, record, service, walked

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


@pytest.mark.parametrize(("number", "faults"), [(1, []), (2, ["entry no. 1, its market has no. 2"])])
def test_prices__of_another_markets_number__fail(number: int, faults: list[str]) -> None:
    """Ether's price, however well it is computed again, is none for the number that is bitcoin's."""
    chosen = replace(plan("index"), market_no=number)
    priced = walked(plan("index"), [(10_000, None, None, 1_000)])[-1]
    config: Any = SimpleNamespace(
        plans={chosen.market: chosen},
        markets={chosen.market: SimpleNamespace(session=None)},
        specs_of=lambda _names: (chosen.spec,),
    )
    assert list(_recomputed(record(priced, service()), config)) == faults
