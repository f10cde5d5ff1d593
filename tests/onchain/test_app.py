"""From the settings to the boards and onto the tape: a contract's price as a market's source, and the sequencer's word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from keeper.adapters.clock import SystemClock
from keeper.adapters.journal import Journal
from keeper.adapters.prometheus import PrometheusMeter
from keeper.adapters.tape.reader import read
from keeper.app.boards import Boards
from keeper.app.intake import chain_services, feeds
from keeper.app.registries import REGISTRIES
from keeper.app.replay.stage import ChainPlayer
from keeper.app.taping import Taping
from keeper.app.world import World
from keeper.domain.ids import SourceId
from keeper.domain.sequencer import SequencerState
from keeper.runtime.pulse import Pulse
from keeper.settings.load import load
from tests.chain.stage import Log
from tests.onchain.stage import Stage
from tests.onchain.test_chainlink import HOUR, LOW, feed_of, proxied
from tests.settings.examples import GLOBAL, MARKET, written

LINK = SourceId("chainlink:BTC")


@asynccontextmanager
async def running(*services: Any) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(service.run()) for service in services]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(board: Any, holds: Any) -> Any:
    async with asyncio.timeout(30):
        while True:
            version, found = board.version, holds()
            if found is not None:
                return found
            await board.changed(version)


async def test_market__with_a_contract_among_its_sources__is_heard_taped_and_played(
    stage: Stage, tmp_path: Path
) -> None:
    feed, uptime = await feed_of(stage), await feed_of(stage, 0, 0, 1)
    await uptime.answer(0)
    await stage.mine(HOUR)
    await feed.answer(6 * LOW)
    proxy = await proxied(stage, feed)
    keeper = f'onchain: {{BTC: {{kind: chainlink, address: "{proxy.at}", heartbeat_s: {HOUR}}}}}\n' + GLOBAL.replace(
        "{id: 31337,", f'{{id: 31337, sequencer_feed: "{uptime.aggregator.at}",'
    )
    market = MARKET.replace("conversions:", "  - {kind: chainlink, symbol: BTC, max_age_s: 3660}\nconversions:")
    settings = load(written(tmp_path, keeper=keeper, BTC=market), REGISTRIES, {})
    clock, log, meter, boards = SystemClock(), Log(), PrometheusMeter({}), Boards()
    with Journal.open(tmp_path / "state", clock) as journal:
        world = World(clock, log, meter, Pulse(clock), journal, stage.chain)
        taping = Taping(tmp_path / "tape", 1, settings, journal.snapshots, clock, log, meter)
        taping.attach(boards, [])
        services = {**feeds(settings, world, boards), **chain_services(settings, world, boards)}
        assert {"quotes:onchain", "sequencer"} < services.keys()
        async with running(services["quotes:onchain"], services["sequencer"], services["heads:31337"], taping.service):
            quote = await until(boards.quotes, lambda: boards.quotes.get(LINK))
            state = await until(
                boards.sequencer,
                lambda: ((w := boards.sequencer.get("sequencer")) and w.trusted and w.state) or None,
            )
    assert quote.last_e18 == 6 * LOW * 10**10
    assert state is SequencerState.UP
    played = Boards()
    tape = [found for found in read(tmp_path / "tape") if found.kind in ("held", "sequencer")]
    async with running(ChainPlayer(tape, played, clock)):
        await until(played.sequencer, lambda: ((w := played.sequencer.get("sequencer")) and w.trusted) or None)
        await until(played.quotes, lambda: played.quotes.get(LINK))
    assert played.quotes.get(LINK) == boards.quotes.get(LINK)
    assert played.sequencer.get("sequencer") == boards.sequencer.get("sequencer")
