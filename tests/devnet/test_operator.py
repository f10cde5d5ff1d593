"""The operator on a real chain: what the contract rejects is dropped, the rest is settled, nothing is settled twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from keeper.devnet.configure import LISTINGS, address_of
from keeper.devnet.demo.bank import Bank
from keeper.devnet.demo.wallet import Wallet, fund
from keeper.devnet.deploy import Deployment, DeployParameters, deploy
from keeper.devnet.engine import BUY, SELL, Fill, MatchingEngine
from keeper.devnet.jsonrpc import JsonRpc
from keeper.devnet.node import AnvilNode
from keeper.devnet.operator import InventoryDesk, Operator, rejected_trade
from keeper.devnet.traders import PlannedWithdrawal, Trader
from keeper.devnet.verify.abi import contract
from keeper.domain.ids import address
from tests.devnet.miniature import REPORT_KEYS, signature

USD, E18, LOT = 10**6, 10**18, 10**15
PRICE = 60_000 * E18
DEPLOYER, OPERATOR, FUNDER = (keccak(text=f"operator test {word}") for word in ("deployer", "operator", "funder"))
RICH, OTHER, POOR = ("0x" + keccak(text=name)[12:].hex() for name in ("rich", "other", "poor"))


@dataclass
class Exchange:
    rpc: JsonRpc
    deployment: Deployment
    operator: Operator
    bank: Bank

    async def sizes(self) -> Mapping[str, int]:
        views = await self.bank.accounts([RICH, OTHER, POOR])
        return {account: sum(p["size"] for p in view["positions"]) for account, view in views.items()}


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    """A fresh chain that mines every transaction at once, with one price in market 1."""
    async with AnvilNode() as node, aiohttp.ClientSession() as session:
        rpc = JsonRpc(session, node.url)
        for key in (DEPLOYER, OPERATOR, FUNDER):
            await fund(rpc, address_of(key))
        parameters = DeployParameters(
            signers=tuple(address(address_of(key)) for key in REPORT_KEYS),
            operators=(address(address_of(OPERATOR)),),
            insurance_units=0,
            markets=LISTINGS,
        )
        deployment = await deploy(node.url, "0x" + DEPLOYER.hex(), parameters)
        bank = Bank(rpc, Wallet(rpc, FUNDER, 31337), deployment)
        await bank.fund_accounts([(RICH, 10**6 * USD), (OTHER, 10**6 * USD), (POOR, 100 * USD)])
        await push(rpc, bank.funder, deployment)
        yield Exchange(rpc, deployment, Operator(rpc, Wallet(rpc, OPERATOR, 31337), deployment.exchange), bank)


async def push(rpc: JsonRpc, sender: Wallet, deployment: Deployment) -> None:
    now = int((await rpc.call("eth_getBlockByNumber", "latest", False))["timestamp"], 16)
    batch = (now * 1000, now, now + 60, 1, b"\x01" * 32, [(1, PRICE, PRICE, 0)])
    data = contract("PriceOracle").call_data("hashBatch", batch)
    digest = bytes.fromhex((await rpc.call("eth_call", {"to": deployment.oracle, "data": data}, "latest"))[2:])
    signed = [signature(key, digest) for key in REPORT_KEYS]
    receipt = await sender.send(
        deployment.oracle, contract("PriceOracle").call_data("pushPrices", batch, signed), 10**6
    )
    assert receipt["status"] == "0x1"


def fill(maker: str, taker: str, lots: int, price: int = PRICE) -> Fill:
    return Fill(maker, taker, lots * LOT, price)


async def test_settle__one_trade_without_margin_and_one_out_of_band__drops_those_two_alone(exchange: Exchange) -> None:
    operator = exchange.operator
    operator.submit(
        1,
        [fill(RICH, OTHER, 100), fill(RICH, POOR, 5_000), fill(RICH, OTHER, 7, 2 * PRICE), fill(OTHER, RICH, 30), fill(RICH, POOR, 1)],
    )  # fmt: skip
    assert operator.unsettled(POOR, 1) == 5_001 * LOT
    await operator.settle_some()
    assert (operator.counts.settled, operator.counts.rejected) == (3, {"margin": 1, "band": 1})
    assert await exchange.sizes() == {RICH: -71 * LOT, OTHER: 70 * LOT, POOR: LOT}
    assert (operator.waiting, operator.unsettled(POOR, 1)) == (0, 0)


async def test_settle__more_than_one_chunk__keeps_the_order_and_settles_everything_once(exchange: Exchange) -> None:
    operator = exchange.operator
    operator.submit(1, [fill(RICH, OTHER, 1) for _ in range(70)])
    await operator.settle_some()
    assert (operator.waiting, operator.counts.settled) == (6, 64)
    await operator.settle_some()
    assert (operator.waiting, operator.counts.settled, operator.counts.batches) == (0, 70, 2)
    assert (await exchange.sizes())[OTHER] == 70 * LOT


async def test_settle__market_without_a_price__rejects_all_and_sends_nothing(exchange: Exchange) -> None:
    operator = exchange.operator
    operator.submit(2, [fill(RICH, OTHER, 10), fill(OTHER, RICH, 10)])
    await operator.settle_some()
    assert (operator.counts.batches, operator.counts.rejected) == (0, {"stale": 2})


async def test_withdraw__more_than_is_free__is_counted_by_the_contracts_own_word(exchange: Exchange) -> None:
    key = keccak(text="withdrawer")
    trader = Trader("withdrawer", "buyer", key, 1_000 * USD, (), (PlannedWithdrawal(0, 1),))
    await exchange.bank.fund_accounts([(trader.address, trader.deposit_units)])
    await exchange.bank.withdraw(trader, 1_001 * USD)
    await exchange.bank.withdraw(trader, 400 * USD)
    assert exchange.bank.counts == {"refused: InsufficientMargin": 1, "withdrawn": 1}
    view = (await exchange.bank.accounts([trader.address]))[trader.address]
    assert view["margin"] == 600 * USD


def test_rejection__revert_data_of_any_kind__is_read_or_concerns_the_whole_batch() -> None:
    selector = keccak(text="TradeRejected(uint256,uint8)")[:4]
    assert rejected_trade(selector + encode(["uint256", "uint8"], [3, 9])) == (3, "margin")
    assert rejected_trade(selector + encode(["uint256", "uint8"], [0, 77])) == (0, "77")
    assert rejected_trade(keccak(text="NotOperator()")[:4]) == (None, "0x" + keccak(text="NotOperator()")[:4].hex())
    assert rejected_trade(b"") == (None, "no_reason")


class Nobody:
    """An operator of which only the waiting fills matter."""

    def __init__(self, unsettled: int = 0) -> None:
        self._unsettled = unsettled

    def unsettled(self, account: str, market_no: int) -> int:
        return self._unsettled


ENGINE = "0x" + "e" * 40


def view(size: int, equity: int = 1) -> dict[str, Any]:
    return {"equity": equity, "positions": [{"marketId": 1, "size": size}]}


def book() -> MatchingEngine:
    engine = MatchingEngine(E18, LOT)
    engine.post("maker", BUY, 10 * E18, 59_990 * E18)
    engine.post("maker", SELL, 10 * E18, 60_010 * E18)
    return engine


@pytest.mark.parametrize(("size", "side", "price"), [(E18 // 2, SELL, 60_009 * E18), (-E18 // 2, BUY, 59_991 * E18)])
def test_desk__inventory__is_offered_as_maker_one_tick_before_the_others(size: int, side: Any, price: int) -> None:
    engine = book()
    desk = InventoryDesk(ENGINE, {1: engine}, Nobody(), 10**12)  # type: ignore[arg-type]
    desk.quote(view(size))
    (order,) = engine.resting(ENGINE)
    assert (order.side, order.price_e18, order.size_e18) == (side, price, E18 // 2)
    desk.quote(view(size))
    assert len(engine.resting(ENGINE)) == 1


def test_desk__sold_but_not_settled_yet__is_not_offered_again() -> None:
    engine = book()
    InventoryDesk(ENGINE, {1: engine}, Nobody(-E18 // 4), 10**12).quote(view(E18 // 2))  # type: ignore[arg-type]
    assert engine.resting(ENGINE)[0].size_e18 == E18 // 4
    InventoryDesk(ENGINE, {1: engine}, Nobody(-E18), 10**12).quote(view(E18 // 2))  # type: ignore[arg-type]
    assert engine.resting(ENGINE) == ()


def test_desk__fund_under_water_or_unknown__offers_nothing() -> None:
    engine = book()
    desk = InventoryDesk(ENGINE, {1: engine}, Nobody(), 10**12)  # type: ignore[arg-type]
    desk.quote(view(E18))
    for state in (view(E18, equity=0), view(E18, equity=-5), None):
        desk.quote(state)
        assert engine.resting(ENGINE) == ()


def test_desk__large_inventory__is_offered_in_clips() -> None:
    engine = book()
    InventoryDesk(ENGINE, {1: engine}, Nobody(), 6_001 * USD).quote(view(E18))  # type: ignore[arg-type]
    assert engine.resting(ENGINE)[0].size_e18 == E18 // 10
