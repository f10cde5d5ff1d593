"""Each fault switch while the real daemon runs against real sockets and a real node: what it must come to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.process.stage import KeeperProcess, Stage, stage

pytestmark = pytest.mark.timeout(240)

Status = dict[str, Any]


def source(status: Status, name: str, market: str = "BTC-USD") -> dict[str, Any]:
    return next(each for each in status["markets"][market]["sources"] if each["source"] == name)


def refused(name: str, reason: str) -> Callable[[Status], bool]:
    return lambda status: source(status, name)["reason"] == reason and not source(status, name)["used"]


def used(name: str) -> Callable[[Status], bool]:
    return lambda status: bool(source(status, name)["used"])


def metric(text: str, name: str, **labels: str) -> float:
    """Sum of the series of `name` that carry the labels."""
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    rows = [line for line in text.splitlines() if line.startswith(name) and all(want in line for want in wanted)]
    return sum(float(row.rpartition(" ")[2]) for row in rows)


async def within_honest_range(scene: Stage, keeper: KeeperProcess, liars: set[str]) -> None:
    """The price on chain lies between what the honest venues said in the seconds around it."""
    price = Decimal((await keeper.market())["onchain"]["index"])
    said = []
    for name, venue in scene.venues.items():
        if name in liars:
            continue
        for symbol, listing in venue.listings.items():
            if listing.base == "BTC":
                said += [Decimal(each.bid) for each in list(venue.tape.of(symbol))[-150:]]
                said += [Decimal(each.ask) for each in list(venue.tape.of(symbol))[-150:]]
    slack = Decimal("0.0006")  # a USDT book is converted by a rate within a few basis points of one
    assert min(said) * (1 - slack) <= price <= max(said) * (1 + slack)


async def test_price_faults__one_venue_lies__then_it_is_refused_with_its_reason_and_the_price_stays_honest(
    tmp_path: Path,
) -> None:
    cases = [
        ("okx", "BTC-USDT", "wrong_unit", {}, "outlier"),
        ("kraken", "BTC/USD", "fat_finger", {"factor": 10}, "outlier"),
        ("kraken", "BTC/USD", "fat_finger", {"factor": 0.1}, "outlier"),
        ("bitstamp", "btcusd", "crossed", {}, "crossed"),
        ("coinbase", "BTC-USD", "late", {}, "stale"),
        ("bitfinex", "tBTCUSD", "stall", {}, "stale"),
    ]
    async with stage(tmp_path) as scene:
        keeper = await scene.keeper(scene.configure())
        await keeper.published()
        for venue, symbol, fault, options, reason in cases:
            name = f"{venue}:{symbol}"
            scene.venues[venue].faults.switch(fault, symbol=symbol, **options)
            await keeper.until(refused(name, reason))
            await within_honest_range(scene, keeper, {venue})
            scene.venues[venue].faults.clear()
            await keeper.until(used(name))
            events = [entry for entry in keeper.events("quote.rejected") if entry["source"] == name]
            assert reason in {entry["reason"] for entry in events}
            text = (await keeper.get("/metrics"))[1]
            assert metric(text, "keeper_quotes_rejected_total", source=name, reason=reason) >= 1
        assert await keeper.stop() == 0


async def test_connection_faults__then_each_heals_by_itself_and_is_told(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        keeper = await scene.keeper(scene.configure())
        await keeper.published()

        scene.venues["okx"].faults.switch("bad_json", symbol="BTC-USDT")
        await keeper.until(lambda status: source(status, "okx:BTC-USDT")["state"] == "benched")
        scene.venues["okx"].faults.clear()
        assert keeper.events("feed.benched")[0]["advice"]

        before = feed(await keeper.status(), "bitstamp")["reconnects"]
        scene.venues["bitstamp"].faults.switch("drop")
        await keeper.until(lambda status: feed(status, "bitstamp")["reconnects"] > before)
        await keeper.until(used("bitstamp:btcusd"))

        before = feed(await keeper.status(), "bitfinex")["reconnects"]
        scene.venues["bitfinex"].faults.switch("half_open")
        await keeper.until(lambda status: feed(status, "bitfinex")["reconnects"] > before, timeout_s=60)
        scene.venues["bitfinex"].faults.clear()
        await keeper.until(used("bitfinex:tBTCUSD"), timeout_s=60)

        scene.venues["kraken"].faults.switch("future", symbol="BTC/USD")
        await keeper.until(refused("kraken:BTC/USD", "stale"))
        scene.venues["kraken"].faults.clear()
        await keeper.until(used("kraken:BTC/USD"), timeout_s=5)
        text = (await keeper.get("/metrics"))[1]
        assert metric(text, "keeper_frames_dropped_total", source="kraken:BTC/USD") > 0

        scene.venues["coinbase"].faults.switch("rate_limit", retry_after_s=4)
        scene.venues["coinbase"].faults.switch("drop")
        await keeper.until(lambda status: feed(status, "coinbase")["state"] == "rate_limited")
        waits = [entry["retry_in_s"] for entry in keeper.events("feed.rate_limited")]
        assert waits
        assert all(wait >= 3.9 for wait in waits)
        scene.venues["coinbase"].faults.clear()
        await keeper.until(used("coinbase:BTC-USD"))
        assert await keeper.stop() == 0


def feed(status: Status, venue: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in status["feeds"] if each["venue"] == venue)
    return found


async def test_close_24h__then_the_new_connection_delivers_before_the_old_one_ends(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        keeper = await scene.keeper(scene.configure())
        await keeper.published()
        await keeper.until(used("binance:BTCUSDT"))
        scene.venues["binance"].faults.switch("close_24h", notice_s=3)
        seen: list[bool] = []
        for _ in range(60):
            seen.append(source(await keeper.status(), "binance:BTCUSDT")["used"])
            await asyncio.sleep(0.1)
        assert all(seen)
        assert keeper.events("feed.rotated")
        assert await keeper.stop() == 0


async def test_depeg__inside_the_band_nobody_is_refused_and_outside_the_whole_group_is(tmp_path: Path) -> None:
    def one_group_will_do(_settings: Status, markets: dict[str, Status]) -> None:
        markets["BTC-USD"]["index"]["min_quote_groups"] = 1

    async with stage(tmp_path) as scene:
        keeper = await scene.keeper(scene.configure(one_group_will_do))
        await keeper.published()
        await keeper.until(lambda status: status["markets"]["BTC-USD"]["gate"]["open"])
        scene.market.depeg("USDT", 0.985, over_s=2)
        await keeper.until(lambda status: rate(status) < Decimal("0.987"))
        assert all(each["used"] for each in (await keeper.market())["sources"])

        scene.market.depeg("USDT", 0.93, over_s=2)
        await keeper.until(
            lambda status: (
                {each["reason"] for each in status["markets"]["BTC-USD"]["sources"] if "USDT" in each["source"]}
                == {"peg"}
            )
        )
        usd = [each for each in (await keeper.market())["sources"] if "USDT" not in each["source"]]
        assert all(each["used"] for each in usd)
        assert (await keeper.market("ETH-USD"))["withheld"]["reason"] == "quote_groups"
        assert await keeper.stop() == 0


def rate(status: Status) -> Decimal:
    return Decimal(status["indices"]["USDT-USD"]["price"] or 1)


async def test_quorum__when_it_is_gone__then_nothing_is_pushed_until_it_is_back(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        keeper = await scene.keeper(scene.configure())
        await keeper.published()
        for venue in scene.venues.values():
            venue.faults.switch("stall")
            venue.faults.switch("rate_limit", retry_after_s=3)  # else REST would stand in for the stream
        await keeper.until(lambda status: status["markets"]["BTC-USD"]["withheld"] is not None)
        code, body = await keeper.get("/readyz?market=BTC-USD")
        assert code == 503
        assert any(check["check"] == "index" and "of 3 sources" in check["detail"] for check in body["checks"])
        await asyncio.sleep(2)  # what was under way lands
        round_id = (await keeper.market())["onchain"]["round_id"]
        await asyncio.sleep(12)  # a heartbeat would be due: its absence is what is asserted
        assert (await keeper.market())["onchain"]["round_id"] == round_id
        for venue in scene.venues.values():
            venue.faults.clear()
        await keeper.until(lambda status: status["markets"]["BTC-USD"]["onchain"]["round_id"] > round_id)
        assert (await keeper.get("/readyz?market=BTC-USD"))[0] == 200
        assert await keeper.stop() == 0


async def test_crash__minus_twenty_percent_on_all_venues__then_it_is_on_chain_and_tenfold_on_one_never_is(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path) as scene:
        keeper = await scene.keeper(scene.configure())
        status = await keeper.published()
        before = Decimal(status["markets"]["BTC-USD"]["onchain"]["index"])
        scene.venues["binance"].faults.switch("fat_finger", symbol="BTCUSDT", factor=10)
        await keeper.until(refused("binance:BTCUSDT", "outlier"))
        for base in ("BTC", "ETH"):
            scene.market.jump(base, -0.2, over_s=2)
        await keeper.until(
            lambda status: Decimal(status["markets"]["BTC-USD"]["onchain"]["index"]) < before * Decimal("0.805"),
            timeout_s=12,
        )
        published = [Decimal(entry["index"]) for entry in keeper.events("report.signed")]
        assert max(published) < before * Decimal("1.05")
        assert await keeper.stop() == 0
