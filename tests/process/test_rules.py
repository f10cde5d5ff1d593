"""The chain's rules change while the keeper runs: it follows within a block or so, and says what changed."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from keeper.devnet.configure import LISTINGS, address_of
from keeper.devnet.deploy import market_config
from keeper.domain.exchange import Tier
from tests.process.ledger import BTC, People, assert_nothing_twice, events
from tests.process.stage import KeeperProcess, Stage, stage

pytestmark = pytest.mark.timeout(240)


async def set_signers(scene: Stage, keys: Sequence[bytes]) -> int:
    """By the owner, quorum 2 and super-quorum 3; the new epoch."""
    people = People(scene)
    signers = sorted(address_of(key) for key in keys)
    await people.owner(scene.deployment.oracle, "PriceOracle", "setSigners", signers, 2, 3)
    epoch: int = (await people.asked(scene.deployment.oracle, "PriceOracle", "getSigners"))[3]
    return epoch


async def pushed_under(scene: Stage, keeper: KeeperProcess, epoch: int) -> None:
    """Waits for a batch of this epoch, which a move makes due."""
    scene.market.jump("BTC", 0.002)
    before = round_of(await keeper.status())
    await keeper.until(lambda status: round_of(status) > before)
    newest = (await events(scene, "BatchPushed"))[-1]
    assert newest["epoch"] == epoch


def round_of(status: dict[str, Any]) -> int:
    return int(status["markets"]["BTC-USD"]["onchain"]["round_id"])


def changed(keeper: KeeperProcess, rule: str) -> list[dict[str, Any]]:
    return [entry for entry in keeper.events("rules.changed") if entry["rule"] == rule]


def logged(keeper: KeeperProcess, name: str, count: int = 1) -> Callable[[dict[str, Any]], bool]:
    return lambda _status: len(keeper.events(name)) >= count


def held_for(reason: str) -> Callable[[dict[str, Any]], bool]:
    return lambda status: bool(status["markets"]["BTC-USD"]["decision"] == {"kind": "hold", "reason": reason})


async def test_signers__rotated_on_chain__then_pushes_go_on_with_those_that_are_left_or_wait(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        keeper = await scene.keeper(scene.configure())
        await keeper.published()
        ours, strangers = list(scene.keys.reports), [secrets.token_bytes(32) for _ in range(3)]

        epoch = await set_signers(scene, [*ours[:2], strangers[0]])
        await keeper.until(lambda _status: len(changed(keeper, "oracle")) == 1)
        await pushed_under(scene, keeper, epoch)

        await set_signers(scene, strangers)
        await keeper.until(lambda _status: len(changed(keeper, "oracle")) == 2)
        scene.market.jump("BTC", 0.003)
        await keeper.until(logged(keeper, "report.unsigned"))
        refusal = keeper.events("report.unsigned")[-1]
        assert "0 of 3 local signers are authorised" in refusal["error"]
        assert "keeper check" in refusal["advice"]
        block = (await keeper.status())["block"]["number"]
        await keeper.until(lambda status: status["block"]["number"] >= block + 3)
        assert len(keeper.events("report.unsigned")) == 1

        epoch = await set_signers(scene, ours)
        await pushed_under(scene, keeper, epoch)
        assert await keeper.stop() == 0
        await assert_nothing_twice(scene)


async def test_super_quorum__that_the_authorised_keys_cannot_give__then_the_other_market_is_pushed_without_it(
    tmp_path: Path,
) -> None:
    """BTC moves further than the feed allows, which takes three signatures of which two can be given."""
    async with stage(tmp_path) as scene:
        keeper = await scene.keeper(scene.configure())
        await keeper.until(lambda status: all(market["onchain"] for market in status["markets"].values()))
        await set_signers(scene, [*scene.keys.reports[:2], secrets.token_bytes(32)])
        await keeper.until(lambda _status: len(changed(keeper, "oracle")) == 1)
        scene.market.jump("BTC", -0.08)
        await keeper.until(lambda status: Decimal(status["markets"]["BTC-USD"]["mark"] or 10**6) < 60_000)
        await keeper.until(held_for("signatures: 3 needed, 2 held"))
        before = {name: market["onchain"]["round_id"] for name, market in (await keeper.status())["markets"].items()}
        scene.market.jump("ETH", 0.003)
        status = await keeper.until(
            lambda status: status["markets"]["ETH-USD"]["onchain"]["round_id"] > before["ETH-USD"]
        )
        assert status["markets"]["BTC-USD"]["onchain"]["round_id"] == before["BTC-USD"]
        assert await keeper.stop() == 0


async def test_tier__raised_on_chain__then_a_position_is_liquidated_by_it_alone(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        keeper = await scene.keeper(scene.configure())
        await keeper.until(
            lambda status: (
                status["markets"]["BTC-USD"]["onchain"] is not None and status["markets"]["BTC-USD"]["gate"]["open"]
            )
        )
        people = People(scene)
        (victim,) = await people.longs(600)
        await keeper.until(lambda status: status["markets"]["BTC-USD"]["accounts"] == 2)
        assert not await events(scene, "Liquidated")

        stricter = replace(LISTINGS[0].rules, tiers=(Tier(0, 800),))
        exchange = scene.deployment.exchange
        await people.owner(exchange, "PerpExchange", "configureMarket", BTC, market_config(stricter))
        await keeper.until(logged(keeper, "liquidation.done"), timeout_s=30)
        done = keeper.events("liquidation.done")[0]
        assert (done["market"], done["account"]) == ("BTC-USD", victim)
        assert changed(keeper, f"market {BTC}")
        assert not keeper.events("liquidation.disagreed")
        assert await keeper.stop() == 0
        await assert_nothing_twice(scene)


async def test_oracle__paused_by_the_guardian__then_nothing_is_pushed_until_it_is_not(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        keeper = await scene.keeper(scene.configure())
        await keeper.published()
        people, oracle = People(scene), scene.deployment.oracle
        await people.guardian(oracle, "PriceOracle", "setPaused", True)
        await keeper.until(held_for("oracle_paused"))
        assert keeper.events("report.held")[-1]["reason"] == "oracle_paused"
        count = len(await events(scene, "BatchPushed"))
        scene.market.jump("BTC", 0.005)
        block = (await keeper.status())["block"]["number"]
        await keeper.until(lambda status: status["block"]["number"] >= block + 3)
        assert len(await events(scene, "BatchPushed")) == count

        before = round_of(await keeper.status())
        await people.owner(oracle, "PriceOracle", "setPaused", False)
        await keeper.until(lambda status: round_of(status) > before)
        assert await keeper.stop() == 0
