"""A daemon whose markets name funding methods: seen everywhere, recorded, kept over a restart, and charged nowhere."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from keeper.devnet.demo.world import journal_of
from keeper.devnet.verify.journal import Record, is_canonical, records
from tests.process.stage import stage

pytestmark = pytest.mark.timeout(240)

METHODS = {"BTC-USD": {"method": "hyperliquid", "every_s": 1}, "ETH-USD": {"method": "drift"}}


def named(_settings: dict[str, Any], markets: dict[str, dict[str, Any]]) -> None:
    for market, options in METHODS.items():
        markets[market]["funding"].update(options)


async def test_methods__of_two_markets__are_shown_recorded_and_go_on_after_a_restart(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        path = scene.configure(named)
        keeper = await scene.keeper(path)
        await keeper.published("BTC-USD")
        status = await keeper.until(
            lambda status: all(
                market.get("funding_method") and market["funding"] for market in status["markets"].values()
            )
        )
        for market, options in METHODS.items():
            shown = status["markets"][market]["funding_method"]
            assert (shown["method"], shown["interval_s"]) == (options["method"], 3_600)
            assert status["markets"][market]["funding"]["predicted_rate"] is not None
        _, metrics = await keeper.get("/metrics")
        assert 'keeper_funding_estimate_ratio{market="BTC-USD"}' in metrics

        code, printed = await scene.command("price", "BTC-USD", "--trace", "--config", str(path))
        assert code == 0, printed
        rate = json.loads(printed)["trace"]["rate"]
        assert rate["method"] == "hyperliquid"
        assert rate["chain_rate"] is not None
        assert int(rate["state_before"]["window"]["samples"]) > 0
        assert await keeper.stop() == 0

        found = list(records(journal_of(path.parent)))
        assert all("rates" in record.document for record in found)
        assert {record.document["rates"]["method"] for record in found} == {"hyperliquid", "drift"}
        assert all(is_canonical(record) for record in found)

        again = await scene.keeper(path)
        await again.until(lambda status: bool(status["markets"]["BTC-USD"].get("funding_method")))
        _, printed = await scene.command("price", "BTC-USD", "--trace", "--config", str(path))
        kept = json.loads(printed)["trace"]["rate"]["state_before"]
        if kept["span"] == rate["state_before"]["span"]:
            assert int(kept["window"]["samples"]) >= int(rate["state_before"]["window"]["samples"])
        assert not again.events("pricing.snapshot_refused")
        assert not again.events("market.halted")
        scene.market.jump("BTC", 0.003)
        before = (await again.market())["onchain"]["round_id"]
        await again.until(lambda status: status["markets"]["BTC-USD"]["onchain"]["round_id"] > before)
        assert await again.stop() == 0
    assert_never_fewer([record for record in records(journal_of(path.parent)) if record.entry[0] == 1])


def assert_never_fewer(found: list[Record]) -> None:
    """Samples of one interval only grow, over the restart too."""
    states = [record.document["rates"]["state_before"] for record in found]
    seen = [(state["span"], int(state["window"]["samples"])) for state in states if state is not None]
    for (span, before), (later, after) in pairwise(seen):
        assert after >= before or later != span
