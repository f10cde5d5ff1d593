"""A market held against a central bank's fix, in the program as it runs: with its tape, and with venues that nobody can reach."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import aiohttp
import pytest

from keeper.adapters.clock import SystemClock
from keeper.adapters.references.ecb import fixed_at
from keeper.adapters.tape.lines import Line
from keeper.adapters.tape.reader import read
from keeper.app.boards import Boards
from keeper.app.replay.stage import ChainPlayer
from keeper.devnet.demo.world import free_port
from keeper.devnet.reference_rates import RatesServer
from keeper.domain.ids import SourceId
from keeper.domain.time import SECOND, Timestamp
from keeper.runtime.virtual import VirtualClock, run_virtual
from tests.process.stage import KeeperProcess, started

pytestmark = pytest.mark.timeout(120)
BANK = SourceId("ecb:EUR/USD")
EURO_DOLLAR = Decimal("1.1607")
YESTERDAY = datetime.fromtimestamp(SystemClock().now() / SECOND, ZoneInfo("Europe/Berlin")).date() - timedelta(days=1)
MARKET = """\
market: EUR-USD
sources:
  - {kind: kraken, symbol: EUR/USD}
  - {kind: coinbase, symbol: EUR-USD}
  - {kind: bitstamp, symbol: eurusd}
index: {method: median, reference: {kind: ecb, symbol: EUR/USD}}
"""


@pytest.fixture
async def bank() -> AsyncIterator[RatesServer]:
    async with RatesServer() as server:
        server.says(YESTERDAY, {"USD": EURO_DOLLAR})
        yield server


@pytest.fixture
async def keeper(tmp_path: Path, bank: RatesServer) -> AsyncIterator[KeeperProcess]:
    nowhere, ops = f"127.0.0.1:{free_port()}", free_port()
    silent = f'{{url: "ws://{nowhere}/", rest_url: "http://{nowhere}/"}}'
    (tmp_path / "markets").mkdir()
    (tmp_path / "markets" / "EUR-USD.yaml").write_text(MARKET)
    (tmp_path / "keeper.yaml").write_text(
        f'chain: {{id: 31337, rpc: ["http://{nowhere}"]}}\nstate_dir: {tmp_path}/state\nops: {{port: {ops}}}\n'
        f'venues: {{kraken: {silent}, coinbase: {silent}, bitstamp: {silent}, ecb: {{rest_url: "{bank.options()["rest_url"]}"}}}}\n'
        "markets: [markets/*.yaml]\n"
    )
    async with aiohttp.ClientSession() as session:
        found = await started(tmp_path / "keeper.yaml", session, ops, "--dry-run")
        yield found
        await found.end()


async def test_reference__in_a_keeper_with_its_tape__is_heard_and_the_keeper_lives(
    keeper: KeeperProcess, bank: RatesServer
) -> None:
    wanted = {"venue": "ecb", "symbol": "EUR/USD", "state": "connected", "reason": "", "reconnects": 0}
    await keeper.until(lambda status: wanted in status["feeds"])
    assert await keeper.stop() == 0
    assert bank.asked == 1
    assert keeper.events("feed.failed") == []
    tape = list(read(keeper.config.parent / "state" / "dry-run" / "tape"))
    assert [list(found.words[:3]) for found in tape if found.kind == "http" and found.words[0] == "ecb"] == [
        ["ecb", "GET /stats/eurofxref/eurofxref-daily.xml", 200]
    ]
    assert await asyncio.to_thread(_held, tape) == (1_160_700_000_000_000_000, fixed_at(YESTERDAY))


def _held(tape: Sequence[Line]) -> tuple[int | None, Timestamp | None]:
    """What a replay of the tape knows of the fix at its end."""
    boards = Boards()

    async def play() -> None:
        player = asyncio.create_task(ChainPlayer(tape, boards, VirtualClock(tape[0].at)).run())
        await asyncio.sleep((tape[-1].at - tape[0].at) / SECOND + 1)
        player.cancel()
        await asyncio.gather(player, return_exceptions=True)

    run_virtual(play)
    quote = boards.quotes.get(BANK)
    return (None, None) if quote is None else (quote.last_e18, quote.observed_at)
