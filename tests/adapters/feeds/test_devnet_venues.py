"""The hidden market and the switches of the local venues."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from keeper.devnet.market import HiddenMarket
from keeper.devnet.venues.coinbase import CoinbaseServer
from keeper.devnet.venues.faults import FAULTS, FaultBoard, UnknownFault
from keeper.devnet.venues.pricing import Listing, Manner, Pricer
from keeper.domain.time import SECOND, Timestamp
from tests.venues.harness import WallClock


class HandClock:
    """Moves when told."""

    def __init__(self) -> None:
        self.at = Timestamp(1_700_000_000 * SECOND)

    def now(self) -> Timestamp:
        return self.at

    def pass_s(self, seconds: float) -> None:
        self.at = Timestamp(self.at + round(seconds * SECOND))


def walk(market: HiddenMarket, clock: HandClock, steps: int = 100) -> None:
    for _ in range(steps):
        clock.pass_s(0.05)
        market.step()


def test_hidden_market__with_the_same_seed__walks_the_same_path() -> None:
    paths = []
    for seed in (1, 1, 2):
        clock = HandClock()
        market = HiddenMarket(clock, seed=seed)
        walk(market, clock)
        paths.append(market.path("BTC"))
    assert paths[0] == paths[1] != paths[2]
    assert len(paths[0]) == 101


def test_jump__at_once_or_over_time__moves_by_its_fraction() -> None:
    clock = HandClock()
    market = HiddenMarket(clock, annual_volatility=0.0)
    market.jump("BTC", -0.1)
    assert market.usd("BTC") == pytest.approx(57_600)
    market.jump("ETH", 0.5, over_s=2.0)
    walk(market, clock, 20)
    assert market.usd("ETH") == pytest.approx(3_200 * 1.5**0.5)
    walk(market, clock, 30)
    assert market.usd("ETH") == pytest.approx(4_800)


def test_depeg__moves_prices_in_the_stablecoin_against_it__and_back() -> None:
    clock = HandClock()
    market = HiddenMarket(clock, annual_volatility=0.0, peg_noise=0.0)
    market.depeg("USDT", 0.9)
    assert market.usd("USDT") == pytest.approx(0.9)
    assert market.price("BTC", "USDT") == pytest.approx(64_000 / 0.9)
    assert market.price("BTC", "USD") == pytest.approx(64_000)
    market.depeg("USDT", 0.95, over_s=10.0)
    market.depeg("USDT", 1.0, over_s=10.0)
    walk(market, clock, 201)
    assert market.usd("USDT") == pytest.approx(1.0)


def test_past_price__is_that_of_the_last_step_before() -> None:
    clock = HandClock()
    market = HiddenMarket(clock, annual_volatility=0.0)
    walk(market, clock, 10)
    then = clock.now()
    market.jump("BTC", 0.1)
    walk(market, clock, 10)
    assert market.usd("BTC", Timestamp(then - 1)) == pytest.approx(64_000)
    assert market.usd("BTC") == pytest.approx(70_400)
    assert market.usd("BTC", Timestamp(0)) == pytest.approx(64_000)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def faults() -> FaultBoard:
    return FaultBoard(lambda _fault: None)


@pytest.fixture
def pricer(clock: HandClock, faults: FaultBoard) -> Pricer:
    market = HiddenMarket(clock, annual_volatility=0.0, peg_noise=0.0)
    walk(market, clock, 1_000)
    market.jump("BTC", 0.25)
    walk(market, clock, 20)
    listings = {"B": Listing("BTC", "USD", Decimal("0.01")), "E": Listing("ETH", "USD", Decimal("0.01"))}
    return Pricer(market, listings, Manner(noise_bps=0.0), faults, random.Random(1))


def test_tick__without_faults__stands_around_the_hidden_price(pricer: Pricer, clock: HandClock) -> None:
    tick = pricer.next("B")
    assert tick.bid < 80_000 < tick.ask
    assert tick.ask - tick.bid < 10
    assert tick.last in (tick.bid, tick.ask)
    assert tick.at == clock.now()
    assert pricer.next("B").sequence > tick.sequence


@pytest.mark.parametrize(
    ("fault", "options", "ratio"),
    [
        ("wrong_unit", {}, 100),
        ("wrong_unit", {"factor": 0.01}, 0.01),
        ("fat_finger", {"factor": 1.2}, 1.2),
        ("late", {"lag_s": 20}, 0.8),
    ],
)
def test_price_faults__falsify_one_symbol__and_end_when_switched_off(
    pricer: Pricer, faults: FaultBoard, fault: str, options: dict[str, Any], ratio: float
) -> None:
    faults.switch(fault, symbol="B", **options)
    assert float(pricer.next("B").ask) == pytest.approx(80_000 * ratio, rel=1e-3)
    assert float(pricer.next("E").ask) == pytest.approx(3_200, rel=1e-3)
    faults.switch(fault, on=False, symbol="B")
    assert float(pricer.next("B").ask) == pytest.approx(80_000, rel=1e-3)


def test_time_faults__and_crossed_books(pricer: Pricer, faults: FaultBoard, clock: HandClock) -> None:
    faults.switch("late")
    assert pricer.next("B").at == clock.now() - 30 * SECOND
    faults.clear()
    faults.switch("future")
    assert pricer.next("B").at == clock.now() + 3_600 * SECOND
    faults.clear()
    faults.switch("crossed", count=2)
    assert [t.bid > t.ask for t in (pricer.next("B"), pricer.next("B"), pricer.next("B"))] == [True, True, False]


def test_unknown_fault__is_refused(faults: FaultBoard) -> None:
    with pytest.raises(UnknownFault):
        faults.switch("earthquake")


@pytest.fixture
async def server() -> AsyncIterator[CoinbaseServer]:
    async with CoinbaseServer(HiddenMarket(WallClock())) as server:
        yield server


async def test_faults__are_listed_and_switched_over_http(server: CoinbaseServer) -> None:
    url = f"{server.rest_url}/_fault"
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as answer:
            assert (await answer.json())["known"] == dict(FAULTS)
        order = {"fault": "fat_finger", "on": True, "symbol": "BTC-USD", "factor": 2}
        async with session.post(url, json=order) as answer:
            assert (await answer.json())["active"] == [{"fault": "fat_finger", "symbol": "BTC-USD", "factor": 2}]
        async with session.get(f"{server.rest_url}/products/BTC-USD/ticker") as answer:
            server.pricer.next("BTC-USD")
        async with session.get(f"{server.rest_url}/products/BTC-USD/ticker") as answer:
            assert float((await answer.json())["ask"]) > 120_000
        async with session.post(url, json={"fault": "fat_finger", "on": False, "symbol": "BTC-USD"}) as answer:
            assert (await answer.json())["active"] == []
        for wrong in ({"fault": "earthquake"}, {"on": True}, ["fault"]):
            async with session.post(url, json=wrong) as answer:
                assert answer.status == 400


async def test_tape__holds_what_rest_said(server: CoinbaseServer) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{server.rest_url}/products/ETH-USD/ticker") as answer:
        said = await answer.json()
    (sent,) = server.tape.of("ETH-USD")
    assert (str(sent.bid), str(sent.ask), str(sent.last), sent.via) == (said["bid"], said["ask"], said["price"], "rest")


async def test_rate_limit__answers_with_the_venues_body_and_retry_after(server: CoinbaseServer) -> None:
    server.faults.switch("rate_limit", retry_after_s=9)
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{server.rest_url}/products/ETH-USD/ticker") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "9")
            assert (await answer.json())["message"] == "Public rate limit exceeded"
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(server.ws_url)
    assert refused.value.status == 429
