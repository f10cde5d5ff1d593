"""The real daemon with a venue that is wrong for long, and with none at all: a lost vote earned back, a halt and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keeper.app.registries import REGISTRIES
from keeper.app.replay import replay
from keeper.settings.load import load
from tests.process.stage import KeeperProcess, stage
from tests.process.test_faults import metric, refused, source, used, within_honest_range

pytestmark = pytest.mark.timeout(240)

OKX = "okx:BTC-USDT"
Status = dict[str, Any]


def quick(_settings: dict[str, Any], markets: dict[str, dict[str, Any]]) -> None:
    """Records of seconds in place of minutes."""
    for document in markets.values():
        document["scorecard"] = {"memory_s": 12, "warm_s": 6, "readmit_s": 8}
    markets["BTC-USD"]["condition"] = {"halt": {"after_s": 3, "recover_s": 2, "manual": True}}
    markets["ETH-USD"]["condition"] = {"halt": {"after_s": 3, "recover_s": 2}}


def is_at(state: str, market: str = "BTC-USD") -> Callable[[Status], bool]:
    return lambda status: bool(status["markets"][market]["condition"]["state"] == state)


async def failing_checks(keeper: KeeperProcess, market: str) -> set[str]:
    checks = (await keeper.get(f"/readyz?market={market}"))[1]["checks"]
    return {check["check"] for check in checks if not check["ok"]}


async def test_wrong_unit__for_long__costs_the_vote_through_a_kill_and_until_the_record_is_good(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        config = scene.configure(quick)
        keeper = await scene.keeper(config)
        await keeper.published()
        await keeper.until(used(OKX))
        scene.venues["okx"].faults.switch("wrong_unit", symbol="BTC-USDT")
        status = await keeper.until(lambda status: source(status, OKX)["record"]["quarantined"], 40)
        assert source(status, OKX)["reason"] == "quarantined" or source(status, OKX)["reason"] == "outlier"
        assert source(status, OKX)["record"]["bad_pct"] >= 50
        await within_honest_range(scene, keeper, {"okx"})
        await asyncio.sleep(5.5)  # the snapshot is written every five seconds
        keeper.kill()
        await keeper.process.wait()

        keeper = await scene.keeper(config)
        await keeper.until(lambda status: source(status, OKX)["price"] is not None)
        scene.venues["okx"].faults.clear()
        await keeper.until(refused(OKX, "quarantined"))
        await keeper.until(used(OKX), 60)
        (benched,) = [entry for entry in keeper.events("source.quarantined") if entry["source"] == OKX]
        assert (benched["market"], benched["level"]) == ("BTC-USD", "warning")
        assert [entry["source"] for entry in keeper.events("source.readmitted")] == [OKX]
        text = (await keeper.get("/metrics"))[1]
        assert metric(text, "keeper_source_quarantined") == 0
        assert metric(text, "keeper_quotes_rejected_total", source=OKX, reason="quarantined") >= 1
        assert await keeper.stop() == 0


async def test_all_venues__gone__then_the_markets_halt_and_come_back_as_their_files_say(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        keeper = await scene.keeper(scene.configure(quick))
        await keeper.published()
        await keeper.until(is_at("NORMAL"))
        assert await failing_checks(keeper, "BTC-USD") == set()
        for venue in scene.venues.values():
            venue.faults.switch("half_open")
        await keeper.until(is_at("STALE"), 40)
        await keeper.until(is_at("HALT"), 40)
        assert "condition" in await failing_checks(keeper, "BTC-USD")
        halted = [entry for entry in keeper.events("condition.halted") if entry["market"] == "BTC-USD"]
        assert [(entry["level"], entry["causes"][0]) for entry in halted] == [("critical", "too_long")]
        assert "keeper ctl resume BTC-USD" in halted[0]["advice"]
        text = (await keeper.get("/metrics"))[1]
        assert metric(text, "keeper_market_condition", market="BTC-USD") == 3

        for venue in scene.venues.values():
            venue.faults.clear()
        await keeper.until(is_at("NORMAL", "ETH-USD"), 90)
        found = await keeper.until(
            lambda status: status["markets"]["BTC-USD"]["condition"]["causes"] == ["operator"], 90
        )
        assert found["markets"]["BTC-USD"]["decision"] == {"kind": "hold", "reason": "halted"}
        code, printed = await scene.command("ctl", "resume", "BTC-USD", "--config", str(keeper.config))
        assert (code, "halt is lifted" in printed) == (0, True), printed
        await keeper.until(is_at("NORMAL"))
        code, printed = await scene.command("price", "BTC-USD", "--config", str(keeper.config))
        assert (code, '"state": "NORMAL"' in printed) == (0, True), printed
        assert len(keeper.events("condition.lifted")) == 1
        assert await keeper.stop() == 0
        settings = load(keeper.config, REGISTRIES, {})
        played = await asyncio.to_thread(replay, keeper.config.parent / "state" / "tape", settings)
        assert played.events["condition.lifted"] == 1
