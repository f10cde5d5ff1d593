"""From the settings to quotes on a board, whatever transport a venue speaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from keeper.adapters.clock import SystemClock
from keeper.app.boards import Boards
from keeper.app.check_venues import check_venues
from keeper.app.intake import feeds
from keeper.app.registries import REGISTRIES
from keeper.app.world import World
from keeper.devnet.market import HiddenMarket
from keeper.devnet.venues import DEVNET_VENUES
from keeper.devnet.venues.pyth_hermes import PythHermesServer
from keeper.domain.index import IndexPrice
from keeper.domain.pricing import price_component
from keeper.domain.tape import Tapes
from keeper.runtime.pulse import Pulse
from keeper.settings.load import load
from keeper.settings.models import Settings
from keeper.settings.specs import index_spec
from tests.services.fakes import RecordingLog, RecordingMeter
from tests.settings.examples import GLOBAL, INDEX, written

KEY = "s3cr3t-canary"
SYMBOLS = {
    "binance_perp": "BTCUSDT",
    "bybit_perp": "BTCUSDT",
    "gate_perp": "BTC_USDT",
    "htx": "btcusdt",
    "hyperliquid": "@142",
    "hyperliquid_perp": "BTC",
    "mexc": "BTCUSDT",
    "mexc_perp": "BTC_USDT",
    "okx": "BTC-USDT",
    "pyth_hermes": next(iter(PythHermesServer.listings)),
}


@pytest.fixture
async def settings(tmp_path: Path) -> AsyncIterator[Settings]:
    market = HiddenMarket(SystemClock())
    async with AsyncExitStack() as stack:
        servers: dict[str, Any] = {kind: DEVNET_VENUES[kind](market) for kind in SYMBOLS}
        servers["pyth_hermes"].key = KEY
        options = {kind: (await stack.enter_async_context(server)).options() for kind, server in servers.items()}
        options["pyth_hermes"]["key_file"] = "hermes.key"
        lines = [
            f"  {kind}: {{{', '.join(f'{k}: {v!r}' for k, v in found.items())}}}" for kind, found in options.items()
        ]
        sources = [f"  - {{kind: {kind}, symbol: '{symbol}'}}" for kind, symbol in SYMBOLS.items()]
        tmp_path.joinpath("hermes.key").write_text(KEY)
        tmp_path.joinpath("hermes.key").chmod(0o600)
        text = "\n".join(["market: BTC-USD", "sources:", *sources, "index: {method: median}"])
        keeper = GLOBAL.replace("markets: [", "venues:\n" + "\n".join(lines) + "\nmarkets: [")
        yield load(written(tmp_path, keeper=keeper, BTC=text, USDT=INDEX), REGISTRIES, {})


async def test_feeds__of_every_transport__fill_the_board(settings: Settings) -> None:
    boards, log = Boards(), RecordingLog()
    world = World(SystemClock(), log, RecordingMeter(), Pulse(SystemClock()), None, None)  # type: ignore[arg-type]
    wanted = {f"{kind}:{symbol}" for kind, symbol in SYMBOLS.items()}
    services = {
        name: service for name, service in feeds(settings, world, boards).items() if name.split(":")[1] in SYMBOLS
    }
    assert set(services) == {f"quotes:{kind}" for kind in SYMBOLS}
    tasks = [asyncio.create_task(service.run()) for service in services.values()]
    try:
        async with asyncio.timeout(10):
            while not wanted <= set(boards.quotes.snapshot()):
                await boards.quotes.changed(boards.quotes.version)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert log.of("feed.connected")
    assert KEY not in repr(log)


TRADED = {"binance": "BTCUSDT", "okx": "BTC-USDT", "coinbase": "BTC-USD", "bitstamp": "btcusd"}


async def test_trades__are_asked_of_an_index_that_goes_by_them__and_of_no_other(tmp_path: Path) -> None:
    """By volume BTC-USD is priced from four venues' trades; ETH-USD's venue is quoted only, on the same connection."""
    market = HiddenMarket(SystemClock())
    async with AsyncExitStack() as stack:
        servers: dict[str, Any] = {kind: DEVNET_VENUES[kind](market, rate_hz=20.0) for kind in TRADED}
        options = {kind: (await stack.enter_async_context(server)).options() for kind, server in servers.items()}
        venues = [
            f"  {kind}: {{{', '.join(f'{k}: {v!r}' for k, v in found.items())}}}" for kind, found in options.items()
        ]
        quoted = [f"  - {{kind: {kind}, symbol: {symbol}}}" for kind, symbol in TRADED.items()]
        other = [line.replace("BTC", "ETH").replace("btc", "eth") for line in quoted]
        rules = "min_sources: 3, min_quote_groups: 1}"
        btc = ["market: BTC-USD", "sources:", *quoted, f"index: {{method: vwap, window_s: 30, {rules}"]
        eth = ["market: ETH-USD", "sources:", *other, f"index: {{method: median, {rules}"]
        keeper = GLOBAL.replace("markets: [", "venues:\n" + "\n".join(venues) + "\nmarkets: [")
        path = written(tmp_path, keeper=keeper, BTC="\n".join(btc), USDT="\n".join(eth))
        settings = load(path, REGISTRIES, {})
        boards = Boards()
        world = World(SystemClock(), RecordingLog(), RecordingMeter(), Pulse(SystemClock()), None, None)  # type: ignore[arg-type]
        btc_spec = index_spec(settings.market("BTC-USD"))
        tapes = Tapes.of([btc_spec])
        boards.trades.follow(tapes.heard)
        tasks = [asyncio.create_task(service.run()) for service in feeds(settings, world, boards).values()]
        sources = {f"{kind}:{symbol}" for kind, symbol in TRADED.items()}
        both = sources | {source.replace("BTC", "ETH").replace("btc", "eth") for source in sources}
        try:
            async with asyncio.timeout(10):
                while not (sources <= set(boards.trades.snapshot()) and both <= set(boards.quotes.snapshot())):
                    await boards.quotes.changed(boards.quotes.version)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    assert set(boards.trades.snapshot()) == sources
    now = SystemClock().now()
    priced = price_component([btc_spec], boards.quotes.snapshot(), {}, now, {}, tapes.traded(now))[btc_spec.id]
    assert isinstance(priced, IndexPrice), priced
    assert {vote.source for vote in priced.inputs} == sources
    seen = [trade.price_e18 for trade in boards.trades.snapshot().values()]
    assert min(seen) * 99 // 100 < priced.price_e18 < max(seen) * 101 // 100


async def test_check__asks_each_for_its_ticker_in_its_own_way(settings: Settings) -> None:
    only = settings.model_copy(update={"markets": (settings.market("BTC-USD"),)})
    async with aiohttp.ClientSession() as session:
        found = await check_venues(only, session, {})
    assert {row.check for row in found} == {f"{kind}:{symbol}" for kind, symbol in SYMBOLS.items()}
    assert {row.status for row in found} == {"ok"}, [row for row in found if row.status != "ok"]
    unkeyed = settings.venues["pyth_hermes"].model_copy(update={"key_file": "/nowhere/hermes.key"})
    only = only.model_copy(update={"venues": {**settings.venues, "pyth_hermes": unkeyed}})
    async with aiohttp.ClientSession() as session:
        (bad,) = [row for row in await check_venues(only, session, {}) if row.status != "ok"]
    assert "cannot be read" in bad.detail
