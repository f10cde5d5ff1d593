"""Pyth's own contract for tests (MockPyth of its SDK), which keeps and gives prices as the real one does."""

from __future__ import annotations

import pytest

from keeper.adapters.onchain.pyth import Pyth
from keeper.adapters.onchain.source import Reading, Unusable
from tests.onchain.stage import Contract, Stage, mock_pyth

FEED = "0x" + "e6" * 32


async def told(stage: Stage, price: int, conf: int, expo: int, ago_s: int = 0) -> Contract:
    pyth = await stage.deploy(mock_pyth(), 60, 1)
    at_s = stage.now_s + 1 - ago_s
    update = await pyth.read(
        "createPriceFeedUpdateData", bytes.fromhex(FEED[2:]), price, conf, expo, price, conf, at_s, at_s - 1
    )
    await pyth.send("updatePriceFeeds", (update[0],), value=1)
    return pyth


@pytest.mark.parametrize(
    ("price", "expo", "price_e18"),
    [
        (6_543_210_000_000, -8, 65_432_100_000_000_000_000_000),
        (123, 2, 12_300 * 10**18),
        (7, 0, 7 * 10**18),
        (15, -19, 1),
    ],
)
async def test_price__with_its_exponent__is_scaled_exactly(stage: Stage, price: int, expo: int, price_e18: int) -> None:
    pyth = await told(stage, price, 0, expo)
    found = await stage.look(Pyth(pyth.at, FEED))
    assert isinstance(found, Reading), found
    assert found.price_e18 == price_e18


@pytest.mark.parametrize(
    ("price", "conf", "expo", "ago_s", "reason"),
    [
        (0, 0, -8, 0, "not_positive"),
        (-5, 0, -8, 0, "not_positive"),
        (5, 0, -19, 0, "not_positive"),
        (10_000, 101, -8, 0, "confidence"),
        (10_000, 1, -8, 61, "stale"),
        (10_000, 1, -8, -6, "future"),
        (10_000, 1, 37, 0, "exponent"),
        (10_000, 1, -37, 0, "exponent"),
    ],
)
async def test_price__that_is_none__is_refused_with_its_reason(
    stage: Stage, price: int, conf: int, expo: int, ago_s: int, reason: str
) -> None:
    pyth = await told(stage, price, conf, expo, ago_s)
    found = await stage.look(Pyth(pyth.at, FEED))
    assert isinstance(found, Unusable), found
    assert found.reason == reason


async def test_limits__reached_and_not_exceeded__are_kept(stage: Stage) -> None:
    pyth = await told(stage, 10_000, 100, -8, 60)
    found = await stage.look(Pyth(pyth.at, FEED))
    assert isinstance(found, Reading), found
    assert found.observed_at == (stage.now_s - 60) * 10**9
    await stage.mine(1)
    assert isinstance(await stage.look(Pyth(pyth.at, FEED)), Unusable)
    assert isinstance(await stage.look(Pyth(pyth.at, FEED, max_age_s=61)), Reading)


async def test_feed__that_the_contract_does_not_know__is_said(stage: Stage) -> None:
    pyth = await told(stage, 1, 0, 0)
    found = await stage.look(Pyth(pyth.at, "0x" + "11" * 32))
    assert isinstance(found, Unusable)
    assert found.reason == "refused"
    assert "no feed 0x11111111" in found.detail
