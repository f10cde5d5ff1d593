"""What calls cost: the ordinary ones in two markets, and the worst: 32 markets, accounts in 8 of them, boundaries due.

python -m tests.evm.gas
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from keeper.devnet.artifacts import ARTIFACT_DIR, load
from keeper.devnet.deploy import BTC_USD, ETH_USD, feed_config, market_config
from keeper.domain.exchange import Tier
from keeper.domain.ids import Address
from tests.evm.chain import batch_tuple, named
from tests.evm.model import FREE
from tests.evm.oracle_model import ONE, Price
from tests.evm.scenes import COIN, USD, listing, market_at
from tests.evm.world import World

HOUR = 3600
TEN_TIERS = tuple(Tier(k * 1_000 * USD, 500 + k) for k in range(10))
CALL_GAS = 500_000_000


class Measurement:
    """Chain only: the model has nothing to say about gas."""

    def __init__(self, w: World) -> None:
        self.w = w
        self.gas: dict[str, int] = {}

    async def act(self, label: str, sender: str, function: str, *arguments: Any, to: Address | None = None) -> bytes:
        outcome = await self.w.chain.act(named(sender), to or self.w.d.exchange, function, *arguments)
        assert outcome.error is None, (label, outcome)
        self.gas[label] = outcome.gas
        return outcome.result

    async def view(self, label: str, function: str, *arguments: Any) -> None:
        w = self.w
        call = {"to": w.d.lens, "data": "0x" + w.chain.abi[w.d.lens].call(function, *arguments).hex()}
        answer = await w.chain.rpc.call("eth_estimateGas", {**call, "gas": hex(CALL_GAS)}, "latest")
        self.gas[label] = int(answer, 16)

    async def push(self, label: str, price: int, nos: range, signers: int = 5) -> None:
        w = self.w
        batch = w.batch([Price(no, price * ONE, price * ONE) for no in nos])
        signatures = [w.sign(batch, i) for i in range(signers)]
        await self.act(label, "keeper", "pushPrices", batch_tuple(batch), signatures, to=w.d.oracle)


async def ordinary() -> dict[str, int]:
    """Label to gas used, with two markets as `DeployParameters` has them."""
    async with market_at(100, 1_000, (BTC_USD, ETH_USD)) as w:
        m = Measurement(w)
        for who in ("long", "short"):
            await w.deposit(who, 10_000 * USD)
            await w.deposit(who, 9_000 * USD)
        for label, delta in (("open", COIN), ("increase", COIN), ("reduce", -COIN), ("cross zero", -3 * COIN)):
            trade = (named("short"), named("long"), 1, delta, 100 * ONE)
            await m.act(f"settleTrades, 1: {label}", "operator", "settleTrades", [trade])
        more = [(named("short"), named("long"), no, 900 * COIN, 100 * ONE) for no in (1, 2)]
        await m.act("settleTrades, 2: open and increase, both in 2 markets", "operator", "settleTrades", more)
        w.until(w.now - w.now % HOUR + HOUR + 1)
        await m.push("pushPrices, 2 markets, 3 signatures, over a boundary", 101, range(1, 3), 3)
        await m.act("settleFunding", "keeper", "settleFunding", 1)
        w.tick(1)
        await m.push("pushPrices, 2 markets, 4 signatures", 90, range(1, 3), 4)
        await m.act("withdraw", "short", "withdraw", named("sink"), USD)
        await m.act("liquidate, partial, account in 2 markets", "keeper", "liquidate", named("long"), 1, 400 * COIN)
        await m.view("getAccounts, 2 in 2 markets each", "getAccounts", [named("long"), named("short")])
        w.tick(1)
        await m.push("pushPrices, 2 markets, 4 signatures", 75, range(1, 3), 4)
        label = "deleverage, both in 2 markets"
        await m.act(label, "deleverager", "deleverage", named("long"), named("short"), 2, 900 * COIN)
        m.gas["deposit"] = w.peak_gas["deposit"]
        return m.gas


async def worst() -> dict[str, int]:
    """Label to gas used, with 32 markets of ten tiers."""
    market = listing(tiers=TEN_TIERS)
    async with market_at(100) as w:
        m = Measurement(w)
        owner = w.d.deployer
        for no in range(1, 33):
            await w.chain.act(owner, w.d.oracle, "configureFeed", no, feed_config(market.feed))
            await w.chain.act(owner, w.d.exchange, "configureMarket", no, market_config(market.rules))
        w.tick(1)
        await m.push("pushPrices, 32 markets, 5 signatures, first prices", 100, range(1, 33))
        w.tick(1)
        await m.push("pushPrices, 32 markets, 5 signatures", 101, range(1, 33))
        w.tick(1)
        await m.push("pushPrices, 1 market, 3 signatures", 100, range(1, 2), 3)
        await _populate(m)
        w.tick(1)
        await m.push("pushPrices, 32 markets, 5 signatures", 100, range(1, 33))
        await _trade(m)
        await _settle(m)
        await _views(m)
        await _liquidate(m)
        return m.gas


def _who(i: int) -> str:
    return f"account {i}"


async def _populate(m: Measurement) -> None:
    """64 accounts in 8 markets each, in pairs: even ones long, odd ones short."""
    w = m.w
    for i in range(64):
        await w.deposit(_who(i), 1_000 * USD)
    for no in range(8):
        trades = [
            (named(_who(i + 1)), named(_who(i)), 1 + (i // 2 + no) % 32, 10 * COIN, 100 * ONE) for i in range(0, 64, 2)
        ]
        await m.act("settleTrades, 32 openings", "operator", "settleTrades", trades)


async def _trade(m: Measurement) -> None:
    w = m.w
    one = [(named(_who(1)), named(_who(0)), 1, COIN, 100 * ONE)]
    await m.act("settleTrades, 1, both in 8 markets", "operator", "settleTrades", one)
    w.until(w.now - w.now % HOUR + HOUR + 1)
    await m.push("pushPrices over a boundary, 32 markets, 5 signatures", 100, range(1, 33))
    many = [(named(_who(i + 1)), named(_who(i)), 1 + i // 2, COIN // 10, 100 * ONE) for i in range(0, 64, 2)]
    await m.act("settleTrades, 64, all in 8 markets, all boundaries due", "operator", "settleTrades", many * 2)


async def _settle(m: Measurement) -> None:
    w = m.w
    for hours in (1, 2):
        w.until(w.now - w.now % HOUR + hours * HOUR + 1)
        await m.push("pushPrices over a boundary, 32 markets, 5 signatures", 100, range(1, 33))
        await m.act("settleFunding, 1", "keeper", "settleFunding", 1)
        await m.act("settleFundingMany, 31", "keeper", "settleFundingMany", list(range(1, 33)))


async def _views(m: Measurement) -> None:
    eight = [named(_who(i)) for i in range(64)]
    await m.view("getAccounts, 64 in 8 markets each", "getAccounts", eight)
    await m.view("liquidatable, 64 in 8 markets each", "liquidatable", eight)
    await m.view("getMarkets, 32", "getMarkets")


async def _liquidate(m: Measurement) -> None:
    w = m.w
    w.tick(1)
    await m.push("pushPrices, 32 markets, 5 signatures", 91, range(1, 33))
    await w.deposit(w.engine, 100_000 * USD)
    requests = [(named(_who(i)), 1 + i // 2, FREE) for i in range(0, 64, 2)]
    await m.act("liquidate, 1, account in 8 markets", "keeper", "liquidate", *requests[0])
    await m.act("liquidateBatch, 31 of 32, accounts in 8 markets", "keeper", "liquidateBatch", requests)


def main() -> None:
    sizes = {path.stem: load(path.stem).runtime_bytes for path in sorted(ARTIFACT_DIR.glob("*.json"))}
    lines = [f"{name}: {size} bytes" for name, size in sizes.items()]
    for measure in (ordinary, worst):
        lines += [f"{label}: {gas:,} gas" for label, gas in asyncio.run(measure()).items()]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
