"""Chainlink's proxy and an aggregator behind it, by the bytecode that Chainlink published."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from keeper.adapters.onchain.chainlink import Chainlink
from keeper.adapters.onchain.sequencer import sequencer_query
from keeper.adapters.onchain.source import Known, Reading, Unusable
from keeper.domain.ids import SourceId, address
from keeper.domain.sequencer import Sequencer, SequencerState
from keeper.errors import Reverted
from tests.onchain.stage import Contract, Stage, chainlink

NOBODY = address("0x" + "00" * 20)
LOW, HIGH = 10**6, 10**13
HOUR = 3600


@dataclass
class Feed:
    stage: Stage
    aggregator: Contract
    rounds: int = 0

    async def answer(self, value: int) -> None:
        """The one oracle of this aggregator submits, which ends the round."""
        self.rounds += 1
        await self.aggregator.send("submit", self.rounds, value)

    async def read(self) -> Sequencer:
        head = await self.stage.chain.head()
        return await self.stage.chain.ask(sequencer_query(self.aggregator.at, head, HOUR), head)


async def feed_of(stage: Stage, decimals: int = 8, low: int = LOW, high: int = HIGH) -> Feed:
    aggregator = await stage.deploy(
        chainlink("FluxAggregator"), stage.sender, 0, 600, NOBODY, low, high, decimals, "of a test"
    )
    await aggregator.send("changeOracles", (), (stage.sender,), (stage.sender,), 1, 1, 0)
    return Feed(stage, aggregator)


async def proxied(stage: Stage, feed: Feed) -> Contract:
    return await stage.deploy(chainlink("EACAggregatorProxy"), feed.aggregator.at, NOBODY)


async def test_answer__through_the_proxy__is_a_price_with_the_feeds_time(stage: Stage) -> None:
    feed = await feed_of(stage)
    proxy = await proxied(stage, feed)
    await feed.answer(345_678_912_345)
    answered_s = stage.now_s
    await stage.mine(100)
    found = await stage.look(Chainlink(proxy.at, HOUR))
    assert isinstance(found, Reading), found
    assert found.price_e18 == 3_456_789_123_450_000_000_000
    assert found.observed_at == answered_s * 10**9


@pytest.mark.parametrize(("decimals", "price_e18"), [(0, 2_000_000 * 10**18), (18, 2_000_000), (20, 20_000)])
async def test_decimals__of_the_feed__are_read(stage: Stage, decimals: int, price_e18: int) -> None:
    feed = await feed_of(stage, decimals)
    proxy = await proxied(stage, feed)
    await feed.answer(2_000_000)
    found = await stage.look(Chainlink(proxy.at, HOUR))
    assert isinstance(found, Reading), found
    assert found.price_e18 == price_e18


@pytest.mark.parametrize("answer", [LOW, HIGH])
async def test_answer__at_the_aggregators_own_limit__is_refused(stage: Stage, answer: int) -> None:
    """The aggregator takes its limit for an answer; what the market does beyond it nobody knows."""
    feed = await feed_of(stage)
    proxy = await proxied(stage, feed)
    await feed.answer(answer)
    found = await stage.look(Chainlink(proxy.at, HOUR))
    assert isinstance(found, Unusable)
    assert found.reason == "bound"
    await feed.answer(answer + (1 if answer == LOW else -1))
    assert isinstance(await stage.look(Chainlink(proxy.at, HOUR)), Reading)


async def test_answer__later_than_heartbeat_and_margin__is_stale(stage: Stage) -> None:
    feed = await feed_of(stage)
    proxy = await proxied(stage, feed)
    await feed.answer(2 * LOW)
    await stage.mine(HOUR + 60)
    assert isinstance(await stage.look(Chainlink(proxy.at, HOUR)), Reading)
    await stage.mine(1)
    found = await stage.look(Chainlink(proxy.at, HOUR))
    assert isinstance(found, Unusable)
    assert found.reason == "stale"


async def test_aggregator__replaced_behind_its_proxy__brings_its_own_decimals_and_limits(stage: Stage) -> None:
    first = await feed_of(stage)
    proxy = await proxied(stage, first)
    await first.answer(LOW + 5)
    known: dict[SourceId, Known] = {}
    assert isinstance(await stage.look(Chainlink(proxy.at, HOUR), known), Reading)
    second = await feed_of(stage, 10, LOW + 100, HIGH)
    await second.answer(LOW + 100)
    await proxy.send("proposeAggregator", second.aggregator.at)
    await proxy.send("confirmAggregator", second.aggregator.at)
    found = await stage.look(Chainlink(proxy.at, HOUR), known)
    assert isinstance(found, Unusable)
    assert found.reason == "bound"
    await second.answer(LOW + 200)
    found = await stage.look(Chainlink(proxy.at, HOUR), known)
    assert isinstance(found, Reading)
    assert found.price_e18 == (LOW + 200) * 10**8


async def test_feed__without_a_round__is_unreadable(stage: Stage) -> None:
    proxy = await proxied(stage, await feed_of(stage))
    found = await stage.look(Chainlink(proxy.at, HOUR))
    assert isinstance(found, Unusable)
    assert found.reason == "unreadable"
    assert "No data present" in found.detail


async def test_sequencer__down_then_up__is_trusted_after_its_grace(stage: Stage) -> None:
    feed = await feed_of(stage, 0, 0, 1)
    with pytest.raises(Reverted):
        await feed.read()
    await feed.answer(0)
    await stage.mine(HOUR - 1)
    assert (await feed.read()).state is SequencerState.GRACE
    await stage.mine(1)
    assert (await feed.read()).trusted
    await feed.answer(1)
    assert (await feed.read()).state is SequencerState.DOWN
    await stage.mine(10 * HOUR)
    assert (await feed.read()).state is SequencerState.DOWN
    await feed.answer(0)
    found = await feed.read()
    assert found.state is SequencerState.GRACE
    assert found.until_s == stage.now_s + HOUR
