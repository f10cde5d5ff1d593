"""The demo's switchboard: what it is told happens, what makes no sense is refused and changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from keeper.adapters.clock import SystemClock
from keeper.devnet.demo.control import Control
from keeper.devnet.market import HiddenMarket
from keeper.devnet.venues.faults import FaultBoard


@pytest.fixture
async def control() -> AsyncIterator[Control]:
    market = HiddenMarket(SystemClock())
    board = FaultBoard(lambda fault: None)
    control = Control(market, {"okx": board})
    await control.start()
    yield control
    await control.stop()


async def post(control: Control, path: str, body: Any) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.post(control.url + path, json=body) as answer:
        return answer.status, await answer.json()


async def test_fault__known_venue_and_fault__is_switched_with_its_options(control: Control) -> None:
    board = control.faults["okx"]
    assert isinstance(board, FaultBoard)
    status, _ = await post(control, "/fault", {"venue": "okx", "fault": "wrong_unit", "factor": 10})
    fault = board.active("wrong_unit")
    assert status == 200
    assert fault is not None
    assert fault.number("factor", 1) == 10
    await post(control, "/fault", {"venue": "okx", "fault": "wrong_unit", "on": False})
    assert board.active("wrong_unit") is None


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/fault", {"venue": "nowhere", "fault": "stall"}),
        ("/fault", {"venue": "okx", "fault": "nonsense"}),
        ("/fault", {}),
        ("/fault", [1]),
        ("/market", {"jump": "far"}),
        ("/market", {"jump": -1.0}),
        ("/market", {"jump": 0.1, "over_s": -1}),
        ("/market", {"jump": 0.1, "base": "DOGE"}),
        ("/market", {"jump": True}),
        ("/depeg", {"price": 0}),
        ("/depeg", {"stable": "DAI"}),
    ],
)
async def test_control__senseless_order__is_refused_and_changes_nothing(control: Control, path: str, body: Any) -> None:
    before = {asset: control.market.path(asset) for asset in ("BTC", "ETH", "USDT")}
    status, answer = await post(control, path, body)
    assert status == 400
    assert answer["error"]
    assert {asset: control.market.path(asset) for asset in before} == before


async def test_market__jump_at_once__moves_the_named_base_alone(control: Control) -> None:
    btc, eth = control.market.usd("BTC"), control.market.usd("ETH")
    assert await post(control, "/market", {"jump": -0.2, "base": "BTC"}) == (
        200,
        {"jump": -0.2, "over_s": 0.0, "bases": ["BTC"]},
    )
    assert control.market.usd("BTC") == pytest.approx(btc * 0.8, rel=1e-3)
    assert control.market.usd("ETH") == pytest.approx(eth, rel=1e-3)


async def test_depeg__stable__stands_at_its_new_price(control: Control) -> None:
    await post(control, "/depeg", {"price": 0.95})
    assert control.market.usd("USDT") == pytest.approx(0.95, rel=1e-3)
