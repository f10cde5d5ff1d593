"""Venues without a ticker are checked by listening: over a real socket, to exchanges that do it right and wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from keeper.adapters.clock import SystemClock
from keeper.adapters.sources.perp import Perp
from keeper.app.listening import listen
from keeper.devnet.venues.perp import PerpServer
from keeper.domain.quote import Depth

BIDS, ASKS = [(Decimal("64000.5"), Decimal(1))], [(Decimal(64001), Decimal(2))]


@pytest.fixture
async def exchange() -> AsyncIterator[PerpServer]:
    async with PerpServer(SystemClock(), ("BTC-USD", "ETH-USD")) as server:
        await server.publish_book("BTC-USD", BIDS, ASKS)
        yield server


async def test_listen__to_symbols_of_all_kinds__has_an_answer_for_each(exchange: PerpServer) -> None:
    said = await listen(Perp(**exchange.options()), ("BTC-USD", "ETH-USD", "NO-USD"), within_s=4.0)
    book = said["perp:BTC-USD"]
    assert isinstance(book, Depth)
    assert book.bids[0].price_e18 == 640005 * 10**17
    assert said["perp:ETH-USD"] == "~nothing within 4 s"
    assert said["perp:NO-USD"] == "not listed: unknown market"


async def test_listen__to_a_foreign_dialect__says_what_is_not_understood(exchange: PerpServer) -> None:
    exchange.faults.switch("schema_drift")
    async with asyncio.TaskGroup() as tasks:
        listening = tasks.create_task(listen(Perp(**exchange.options()), ("ETH-USD",), within_s=20.0))
        while not any("ETH-USD" in client.channels for client in exchange.clients):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
        await exchange.publish_book("ETH-USD", BIDS, ASKS)
    assert listening.result() == {"perp:ETH-USD": "~nothing that could be understood: field bids is missing"}


async def test_listen__where_nobody_is__says_so_at_once() -> None:
    said = await listen(Perp(url="ws://127.0.0.1:9/book"), ("BTC-USD",), within_s=30.0)
    assert said == {"perp:BTC-USD": "~connection refused at 127.0.0.1:9, the address in venues.perp.url"}
