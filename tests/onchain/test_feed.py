"""The feed of all contracts' prices: one batch a head, pinned by hash; what becomes unusable is taken back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from keeper.adapters.clock import SystemClock
from keeper.adapters.onchain.chainlink import Chainlink
from keeper.adapters.onchain.feed import OnchainFeed
from keeper.adapters.onchain.pyth import Pyth
from keeper.adapters.onchain.sequencer import sequencer_query
from keeper.domain.chain import BlockRef
from keeper.domain.ids import IndexId, SourceId
from keeper.domain.index import IndexSpec, SourceSpec
from keeper.domain.quote import Observation, Quote
from keeper.domain.screening import Refusal, Rejected, priced
from keeper.domain.sequencer import UNREAD, Sequencer, SequencerState
from keeper.ports.feed import FeedNotice
from keeper.runtime.board import Board
from keeper.services.sequencer import KEY, SequencerService
from tests.chain.stage import Log, Tally
from tests.onchain.stage import Stage
from tests.onchain.test_chainlink import HIGH, HOUR, LOW, Feed, feed_of, proxied
from tests.onchain.test_pyth import FEED, told

LINK, PYTH = SourceId("chainlink:ONE"), SourceId("pyth:TWO")


@dataclass
class Heard:
    quotes: list[Quote] = field(default_factory=list)
    notices: list[FeedNotice] = field(default_factory=list)

    def emit(self, observation: Observation) -> None:
        assert isinstance(observation, Quote)
        self.quotes.append(observation)

    def newest(self, source: SourceId) -> Quote:
        return [quote for quote in self.quotes if quote.source == source][-1]


@dataclass
class Scene:
    stage: Stage
    link: Feed
    feed: OnchainFeed
    heard: Heard = field(default_factory=Heard)

    async def look(self) -> BlockRef:
        head = await self.stage.chain.head()
        await self.feed.look(head, self.heard.emit, self.heard.notices.append)
        return head


async def scene_of(stage: Stage) -> Scene:
    link = await feed_of(stage)
    proxy = await proxied(stage, link)
    await link.answer(5 * LOW)
    pyth = await told(stage, 42, 0, 0)
    sources = {LINK: Chainlink(proxy.at, HOUR), PYTH: Pyth(pyth.at, FEED)}
    return Scene(stage, link, OnchainFeed(sources, stage.chain, Board(), SystemClock()))


async def test_head__with_two_contracts__gives_a_quote_of_each_with_its_own_time(stage: Stage) -> None:
    scene = await scene_of(stage)
    head = await scene.look()
    link, pyth = scene.heard.newest(LINK), scene.heard.newest(PYTH)
    assert (link.last_e18, pyth.last_e18) == (5 * LOW * 10**10, 42 * 10**18)
    assert link.observed_at is not None
    assert pyth.observed_at is not None
    assert link.observed_at < pyth.observed_at <= (stage.now_s + 1) * 10**9
    assert link.frame_hash == pyth.frame_hash == head.hash[2:18]
    assert [notice.kind for notice in scene.heard.notices] == ["connected", "connected"]


async def test_price__that_reached_a_limit__takes_its_vote_back_at_once(stage: Stage) -> None:
    """Until its old price is stale it would otherwise go on voting."""
    scene = await scene_of(stage)
    await scene.look()
    await scene.link.answer(HIGH)
    await scene.look()
    quote = scene.heard.newest(LINK)
    assert quote.last_e18 is None
    source = SourceSpec(LINK, "USD", max_age_ns=2 * HOUR * 10**9)
    others = (SourceSpec(PYTH, "USD"), SourceSpec(SourceId("kraken:ONE/USD"), "USD"))
    spec = IndexSpec(IndexId("ONE-USD"), (source, *others), min_quote_groups=1)
    refused = priced(source, quote, spec, {}, quote.received_at)
    assert isinstance(refused, Refusal)
    assert refused.reason is Rejected.MISSING
    notice = scene.heard.notices[-1]
    assert (notice.kind, notice.reason, notice.sources) == ("reading_refused", "bound", (LINK,))
    await scene.link.answer(6 * LOW)
    await scene.look()
    assert scene.heard.newest(LINK).last_e18 == 6 * LOW * 10**10
    assert scene.heard.notices[-1].kind == "connected"


async def test_head__that_was_reorganised_away__is_not_read_as_another(stage: Stage) -> None:
    scene = await scene_of(stage)
    snapshot = await stage.rpc.call("evm_snapshot")
    gone = await stage.mine()
    await stage.rpc.call("evm_revert", snapshot)
    await stage.rpc.call("evm_mine", hex(stage.now_s + 7))
    await scene.feed.look(gone, scene.heard.emit, scene.heard.notices.append)
    assert scene.heard.quotes == []
    assert {notice.kind for notice in scene.heard.notices} == {"disconnected"}


@asynccontextmanager
async def running(service: SequencerService) -> AsyncIterator[None]:
    task = asyncio.create_task(service.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_sequencer_service__from_its_feed__tells_each_change_once(stage: Stage) -> None:
    link = await feed_of(stage, 0, 0, 1)
    words: Board[str, Sequencer] = Board()
    words.put(KEY, UNREAD)
    blocks: Board[str, BlockRef] = Board()
    log, meter = Log(), Tally()
    service = SequencerService(
        lambda head: sequencer_query(link.aggregator.at, head, HOUR), stage.chain, blocks, words, meter, log
    )
    seen = []

    async def after(seconds: int) -> None:
        await stage.mine(seconds)
        version = words.version
        blocks.put("head", await stage.chain.head())
        await words.changed(version)
        found = words.get(KEY)
        assert found is not None
        seen.append((found.state, meter.total("keeper_sequencer_up")))

    async with asyncio.timeout(30), running(service):
        await after(1)
        await link.answer(0)
        await after(1)
        await after(HOUR)
        await after(1)
        await link.answer(1)
        await after(1)
    down, up = 0, 1
    assert seen == [
        (SequencerState.UNKNOWN, down),
        (SequencerState.GRACE, down),
        (SequencerState.UP, up),
        (SequencerState.UP, up),
        (SequencerState.DOWN, down),
    ]
    assert [name for _, name, _ in log.events] == ["sequencer.distrusted", "sequencer.trusted", "sequencer.distrusted"]
