"""Configurations at the edge of what is allowed, and an operator's orders to the daemon that runs with them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from keeper.app.registries import REGISTRIES
from keeper.app.replay import replay
from keeper.devnet.configure import LISTINGS
from keeper.settings.load import load
from tests.process.ledger import People, events
from tests.process.stage import KeeperProcess, Stage, stage

pytestmark = pytest.mark.timeout(240)

HOUR_S = 3600
PRICING_PATIENCE_S = 10
HOURLY = tuple(replace(each, feed=replace(each.feed, interval_s=HOUR_S, hold_s=120)) for each in LISTINGS)
Document = dict[str, Any]


def sources_of(status: Document, market: str) -> list[str]:
    return [each["source"] for each in status["markets"][market]["sources"] if each["used"]]


def narrowed(market: Document, *venues: str) -> None:
    """Only these venues, USD only, and as many of them asked for as there are (three at least)."""
    market["sources"] = [each for each in market["sources"] if each["kind"] in venues and each["quote"] == "USD"]
    assert len(market["sources"]) == len(venues)
    market.pop("conversions", None)
    market["index"].update(min_sources=len(venues), min_quote_groups=1, allow_two=len(venues) == 2)
    market["guard"].update(confirm_sources=len(venues), confirm_quote_groups=1)
    market["liquidation"]["gate"]["min_sources"] = len(venues)


def three_sources(_settings: Document, markets: dict[str, Document]) -> None:
    for name in ("BTC-USD", "ETH-USD"):
        narrowed(markets[name], "coinbase", "kraken", "bitstamp")
    del markets["USDT-USD"]


def two_sources(settings: Document, markets: dict[str, Document]) -> None:
    three_sources(settings, markets)
    narrowed(markets["ETH-USD"], "coinbase", "kraken")


async def test_few_sources__three_and_then_two_and_an_hourly_funding__then_they_are_published(tmp_path: Path) -> None:
    async with stage(tmp_path, listings=HOURLY) as scene:
        path = scene.configure(three_sources)
        keeper = await scene.keeper(path)
        status = await keeper.until(
            lambda status: all(
                market["onchain"] is not None and market["funding"] is not None for market in status["markets"].values()
            )
        )
        assert len(sources_of(status, "BTC-USD")) == 3
        for market in status["markets"].values():
            boundary = market["funding"]["next_boundary_s"]
            assert boundary % HOUR_S == 0
            assert 0 < boundary - status["block"]["timestamp_s"] <= HOUR_S

        rewrite(path.parent / "markets" / "ETH-USD.yaml", lambda document: narrowed(document, "coinbase", "kraken"))
        code, printed = await ctl(scene, "ctl", "reload")
        assert code == 0, printed
        await keeper.until(lambda status: len(sources_of(status, "ETH-USD")) == 2)
        before = (await keeper.market("ETH-USD"))["onchain"]["round_id"]
        scene.market.jump("ETH", 0.003)
        await keeper.until(lambda status: status["markets"]["ETH-USD"]["onchain"]["round_id"] > before)

        # With one of three gone three are asked for, with one of two gone there is no pair: both are withheld.
        scene.venues["kraken"].faults.switch("stall")
        status = await keeper.until(
            lambda status: all(market["withheld"] is not None for market in status["markets"].values())
        )
        assert {market["withheld"]["reason"] for market in status["markets"].values()} == {"sources"}
        scene.venues["kraken"].faults.clear()
        await keeper.until(lambda status: all(market["withheld"] is None for market in status["markets"].values()))
        assert await keeper.stop() == 0


async def test_few_sources__two_from_the_first_start_on__then_the_operator_must_vouch_for_them(tmp_path: Path) -> None:
    async with stage(tmp_path, listings=HOURLY) as scene:
        keeper = await scene.keeper(scene.configure(two_sources))
        await keeper.published("BTC-USD")
        await keeper.until(lambda status: paired(status, "no last index"))
        assert (await ctl(scene, "ctl", "resume", "ETH-USD"))[0] == 0
        await keeper.published("ETH-USD")
        assert keeper.events("index.accepted")
        assert await keeper.stop() == 0
        played = await asyncio.to_thread(
            replay, keeper.config.parent / "state" / "tape", load(keeper.config, REGISTRIES, {})
        )
        assert played.events["index.accepted"] == 1
        assert played.series.priced["ETH-USD"], "withheld to its end, if the word were not on the tape"


async def test_reload__that_prices_two_markets_in_one_loop__then_nobody_waits_for_the_other_one(tmp_path: Path) -> None:
    """They have a conversion in common from then on. The watchdog, and a standby, end a keeper of which a loop is late."""
    async with stage(tmp_path) as scene:
        path = scene.configure()
        markets = path.parent / "markets"
        joined = {file: file.read_text() for file in markets.iterdir()}
        for name in ("BTC-USD", "ETH-USD"):
            rewrite(markets / f"{name}.yaml", lambda document: narrowed(document, "coinbase", "kraken", "bitstamp"))
        (markets / "USDT-USD.yaml").unlink()
        keeper = await scene.keeper(path)
        await keeper.published()
        for file, text in joined.items():
            file.write_text(text)
        code, printed = await ctl(scene, "ctl", "reload")
        assert code == 0, printed
        reloaded = time.monotonic()
        status = await keeper.until(lambda _status: time.monotonic() - reloaded > PRICING_PATIENCE_S + 2)
        assert status["late"] == {}
        assert await keeper.stop() == 0


def paired(status: dict[str, Any], detail: str) -> bool:
    withheld = status["markets"]["ETH-USD"]["withheld"]
    return withheld is not None and withheld["reason"] == "pair" and detail in withheld["detail"]


async def test_few_sources__two_that_agree_on_a_move_of_three_per_cent__then_it_is_published_once_vouched_for(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path, listings=HOURLY) as scene:
        path = scene.configure(three_sources)
        keeper = await scene.keeper(path)
        await keeper.published("ETH-USD")
        rewrite(path.parent / "markets" / "ETH-USD.yaml", lambda document: narrowed(document, "coinbase", "kraken"))
        assert (await ctl(scene, "ctl", "reload"))[0] == 0
        await keeper.until(lambda status: len(sources_of(status, "ETH-USD")) == 2)
        scene.market.jump("ETH", 0.03)
        await keeper.until(lambda status: paired(status, "from the last index"))
        assert (await ctl(scene, "ctl", "resume", "ETH-USD"))[0] == 0
        await keeper.until(lambda status: status["markets"]["ETH-USD"]["withheld"] is None)


async def test_orders__of_an_operator__then_the_running_keeper_obeys_or_says_why_not(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        path = scene.configure()
        keeper = await scene.keeper(path)
        await keeper.published()
        await pause_and_resume(scene, keeper)
        await price_and_accounts(scene, keeper)
        await reload(scene, keeper)
        assert await keeper.stop() == 0
        code, printed = await scene.command("ctl", "status", "--config", str(path))
        assert code == 1
        assert "no keeper runs here" in printed


async def ctl(scene: Stage, *words: str) -> tuple[int, str]:
    return await scene.command(*words, "--config", str(scene.directory / "keeper" / "keeper.yaml"))


async def pause_and_resume(scene: Stage, keeper: KeeperProcess) -> None:
    """Only the paused market stands still; a pause outlives a kill; resume takes it up again."""
    code, printed = await ctl(scene, "ctl", "pause", "BTC-USD")
    assert (code, "BTC-USD is paused" in printed) == (0, True)
    await keeper.until(lambda status: status["markets"]["BTC-USD"]["decision"] == {"kind": "hold", "reason": "paused"})
    pending = await keeper.until(lambda status: not status["transactions"]["pending"])
    before = {name: market["onchain"]["round_id"] for name, market in pending["markets"].items()}
    for base in ("BTC", "ETH"):
        scene.market.jump(base, 0.003)
    status = await keeper.until(lambda status: status["markets"]["ETH-USD"]["onchain"]["round_id"] > before["ETH-USD"])
    assert status["markets"]["BTC-USD"]["onchain"]["round_id"] == before["BTC-USD"]
    assert (await keeper.get("/readyz?market=BTC-USD"))[0] == 503

    code, _ = await ctl(scene, "ctl", "resume", "BTC-USD")
    assert code == 0
    await keeper.until(lambda status: status["markets"]["BTC-USD"]["onchain"]["round_id"] > before["BTC-USD"])

    code, printed = await ctl(scene, "ctl", "pause", "DOGE-USD")
    assert code == 78
    assert "the markets are BTC-USD, ETH-USD" in printed


async def price_and_accounts(scene: Stage, keeper: KeeperProcess) -> None:
    code, printed = await ctl(scene, "price", "BTC-USD", "--trace")
    found = json.loads(printed)
    assert code == 0
    assert found["trace"]["mark_method"] == "median3"
    assert found["trace"]["method"] == "clamped_weighted_mean"
    assert found["trace"]["index_flags"] == []
    assert len(found["trace"]["votes"]) >= 3
    assert all(vote["price"] and vote["stated"] for vote in found["trace"]["votes"])

    people = People(scene)
    thin, _safe = await people.longs(300, 5_000)
    await keeper.until(lambda status: status["markets"]["BTC-USD"]["accounts"] == 3)
    code, printed = await ctl(scene, "accounts", "--at-risk")
    assert code == 0
    assert [row["account"] for row in json.loads(printed)["main"]] == [thin]
    code, printed = await ctl(scene, "accounts")
    assert len(json.loads(printed)["main"]) == 3
    assert not await events(scene, "Liquidated")

    code, printed = await ctl(scene, "ctl", "status")
    assert code == 0
    assert json.loads(printed)["markets"].keys() == {"BTC-USD", "ETH-USD"}


def rewrite(path: Path, change: Callable[[Document], None]) -> None:
    yaml = YAML()
    document = yaml.load(path.read_text())
    change(document)
    with path.open("w") as out:
        yaml.dump(document, out)


async def reload(scene: Stage, keeper: KeeperProcess) -> None:
    """A fault changes nothing and has its place; what needs a restart is named; the rest is taken over at once."""
    directory = scene.directory / "keeper"
    market, settings = directory / "markets" / "BTC-USD.yaml", directory / "keeper.yaml"
    good, fine = market.read_text(), settings.read_text()
    before = (await keeper.status())["config"]

    market.write_text(good.replace("clamp_bps: 50", "clamp_bsp: 50"))
    line = next(n for n, text in enumerate(market.read_text().splitlines(), 1) if "clamp_bsp" in text)
    code, printed = await ctl(scene, "ctl", "reload")
    assert code == 78
    assert f"BTC-USD.yaml:{line}:" in printed
    assert "did you mean clamp_bps?" in printed
    market.write_text(good)

    rewrite(settings, lambda document: document["chain"].update(poll_s=0.2))
    code, printed = await ctl(scene, "ctl", "reload")
    assert code == 78
    assert "a restart is needed for: chain" in printed
    settings.write_text(fine)
    assert (await keeper.status())["config"] == before

    rewrite(market, lambda document: document.update(sources=[s for s in document["sources"] if s["kind"] != "okx"]))
    code, printed = await ctl(scene, "ctl", "reload")
    assert code == 0, printed
    status = await keeper.until(
        lambda status: (
            status["config"] != before
            and not any("okx" in each["source"] for each in status["markets"]["BTC-USD"]["sources"])
            and len(sources_of(status, "BTC-USD")) >= 3
        )
    )
    round_id = status["markets"]["BTC-USD"]["onchain"]["round_id"]
    scene.market.jump("BTC", 0.002)
    await keeper.until(lambda status: status["markets"]["BTC-USD"]["onchain"]["round_id"] > round_id)
    assert any("okx" in each for each in sources_of(await keeper.status(), "ETH-USD"))
