"""What the operator takes back or gives his word for is on the tape, and a replay hears it at that instant; a bank's fix is on each file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from keeper.adapters.clock import SystemClock
from keeper.adapters.journal import Journal
from keeper.adapters.prometheus import PrometheusMeter
from keeper.adapters.tape.documents import restored
from keeper.adapters.tape.lines import Line, line, parsed
from keeper.adapters.tape.reader import read
from keeper.app.boards import Boards
from keeper.app.operator import WORDS
from keeper.app.registries import REGISTRIES
from keeper.app.replay.stage import ChainPlayer
from keeper.app.taping import Taping
from keeper.domain.condition import Condition
from keeper.domain.ids import MarketId, SourceId
from keeper.domain.index import IndexPrice
from keeper.domain.pricing_snapshot import elsewhere
from keeper.domain.quote import Quote
from keeper.domain.sequencer import Sequencer, SequencerState
from keeper.domain.time import SECOND, Timestamp
from keeper.runtime.virtual import VirtualClock, run_virtual
from keeper.services.pricing import PricingService
from keeper.settings.load import load
from tests.chain.stage import Log
from tests.domain.pricing.builders import e18
from tests.services import test_pricing, test_safeguards
from tests.services.fakes import BTC, play, running, settled
from tests.services.markets import index_of, plan_of, quotes_of
from tests.settings.examples import written


def _tape(directory: Path, act: Callable[[Boards, Taping], None]) -> list[Line]:
    """What a tape holds of `act`, beside its head."""

    async def written_by() -> None:
        clock, log, meter, boards = SystemClock(), Log(), PrometheusMeter({}), Boards()
        settings = load(written(directory), REGISTRIES, {})
        with Journal.open(directory / "state", clock) as journal:
            taping = Taping(directory / "tape", 1, settings, journal.snapshots, clock, log, meter)
            taping.attach(boards, [])
            act(boards, taping)
            task = asyncio.create_task(taping.service.run())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(written_by())
    return [found for found in read(directory / "tape") if found.kind != "head"]


def _heard(tape: list[Line], *services: PricingService) -> dict[MarketId, str]:
    """The pauses that a replay of the tape ends with."""
    boards = Boards()

    async def play_all() -> None:
        start = tape[0].at if tape else Timestamp(0)
        player = asyncio.create_task(ChainPlayer(tape, boards, VirtualClock(start), services).run())
        await asyncio.sleep((tape[-1].at - start) / SECOND + 1 if tape else 1)
        player.cancel()
        await asyncio.gather(player, return_exceptions=True)

    run_virtual(play_all)
    return dict(boards.paused.snapshot())


def test_pause__taken_back__is_taken_back_in_a_replay(tmp_path: Path) -> None:
    def act(boards: Boards, _taping: Taping) -> None:
        boards.paused.put(BTC, "paused by the operator")
        boards.paused.put(MarketId("ETH-USD"), "paused by the operator")
        boards.paused.drop(BTC)

    tape = _tape(tmp_path, act)
    assert [(found.kind, *found.words) for found in tape][-1] == ("paused", BTC, None)
    assert _heard(tape) == {"ETH-USD": "paused by the operator"}


def test_file__begun_after_a_fix_was_heard__holds_it_all_the_same(tmp_path: Path) -> None:
    """A ring's oldest files give way, and a bank fixes once a day."""
    fix = Quote(SourceId("ecb:EUR/USD"), Timestamp(7), Timestamp(7), Timestamp(5), last_e18=e18(1), frame_hash="ab" * 8)

    def act(boards: Boards, taping: Taping) -> None:
        boards.quotes.put(fix.source, fix)
        boards.quotes.put(SourceId("kraken:EUR/USD"), replace(fix, source=SourceId("kraken:EUR/USD")))
        told = [parsed(raw) for raw in taping.service.prologue()]
        assert [restored(found.words[0], Quote) for found in told if found.kind == "~held"] == [fix]

    (held,) = [found for found in _tape(tmp_path, act)[1:] if found.kind == "held"]
    assert restored(held.words[0], Quote) == fix


def test_file__begun_while_the_sequencer_is_down__holds_that(tmp_path: Path) -> None:
    """No block comes then that would tell it anew: a replay of this file alone would trust it."""
    down = Sequencer(SequencerState.DOWN, "down for 7 s", 1_700_000_000)

    def act(boards: Boards, taping: Taping) -> None:
        boards.sequencer.put("sequencer", down)
        told = [parsed(raw) for raw in taping.service.prologue()]
        assert [restored(found.words[0], Sequencer) for found in told if found.kind == "~sequencer"] == [down]

    assert {found.kind for found in _tape(tmp_path, act)} == {"sequencer"}


def test_file__of_a_service_by_another_name__holds_the_snapshot_that_it_is_to_be_found_by(tmp_path: Path) -> None:
    def act(boards: Boards, taping: Taping) -> None:
        taping.snapshots = ("pricing:BTC-USD", "pricing:ETH-USD")
        taping._store.save("pricing:BTC-USD", elsewhere("pricing:SOL-USD"))
        taping._store.save("pricing:SOL-USD", "the state")
        boards.paused.put(BTC, "any line")

    saved = [found.words for found in _tape(tmp_path, act) if found.kind == "saved"]
    assert saved == [["pricing:BTC-USD", "see pricing:SOL-USD"], ["pricing:SOL-USD", "the state"]]


def test_tape__of_an_older_keeper__is_read_as_ever() -> None:
    old = [parsed(line(Timestamp(7), "paused", BTC, "paused by the operator"))]
    assert _heard(old) == {BTC: "paused by the operator"}


def _condition_halt(word: str) -> None:
    """A market that waits for the operator's word: only `lifted` frees it."""

    async def scenario() -> None:
        stage = test_safeguards.Stage(rules=replace(test_safeguards.RULES, manual=True))
        async with running(stage.service):
            await stage.hold(10)
            await settled(50)
            await stage.hold(60)
            assert stage.priced.condition.condition is Condition.HALT
            await _played(word, stage.service)
            await stage.hold(1)
            assert (stage.priced.condition.condition is Condition.NORMAL) is (word == "lifted")

    play(scenario)


def _two_sources(word: str) -> None:
    """Two sources that nobody confirms: only `accepted` lets their level count."""

    async def scenario() -> None:
        stage = test_pricing.Stage(options={BTC: {"spec": replace(plan_of(BTC).spec, allow_two=True)}})
        stage.chain()
        now = stage.desk.clock.now()
        for source, each in list(quotes_of(BTC, 100, now).items())[:2]:
            stage.boards.quotes.put(source, each)
        stage.service.tick(now)
        await _played(word, stage.service)
        stage.service.tick(now)
        assert isinstance(stage.boards.indices.get(index_of(BTC)), IndexPrice) is (word == "accepted")
        assert stage.service.folds.last.get(index_of(BTC)) == (e18(100) if word == "accepted" else None)

    play(scenario)


async def _played(word: str, service: PricingService) -> None:
    lines = [parsed(line(service.clock.now(), word, BTC))]
    async with running(ChainPlayer(lines, Boards(), service.clock, (service,))):  # type: ignore[arg-type]
        await settled(0.01)


@pytest.mark.parametrize("word", sorted(WORDS))
@pytest.mark.parametrize("market", [_condition_halt, _two_sources])
def test_word__on_a_tape__means_to_the_market_what_it_meant_then(market: Callable[[str], None], word: str) -> None:
    market(word)
