"""Sessions and the sequencer through pricing and publishing: what is told, kept over a restart, pushed and held."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from keeper.domain.index import IndexPrice
from keeper.domain.mark.ema_basis import EmaBasis
from keeper.domain.market import MarketFold
from keeper.domain.off_hours import Close, SessionFold
from keeper.domain.sequencer import Sequencer, SequencerState
from keeper.domain.session import Calendar, OffHours, Phase, Session, SessionRules
from keeper.domain.time import SECOND, Timestamp
from tests.domain.pricing.builders import e18
from tests.services import test_pricing, test_publishing
from tests.services.fakes import BTC, SITE, START_S, play, running, settled
from tests.services.markets import index_of, plan_of, priced

LONG = 10**9


def rules(closes_s: int, opens_s: int, off_hours: OffHours = OffHours.HOLD, last_s: int = LONG) -> SessionRules:
    """Open since long ago, closed from `closes_s` after the start of the clock, open again at `opens_s`."""

    def at(seconds: int) -> Timestamp:
        return Timestamp((START_S + seconds) * SECOND)

    sessions = (Session(at(-LONG), at(closes_s)), Session(at(opens_s), at(last_s)))
    return SessionRules(Calendar("test", sessions, at(-LONG), at(last_s)), off_hours, opening_ns=SECOND)


def test_run__market_closes_and_keeper_restarts__the_close_is_held_and_told_once():
    async def scenario():
        stage = test_pricing.Stage(options={BTC: {"session": rules(1, 10_000)}})
        stage.chain()
        async with running(stage.service):
            await stage.hold(1.5, btc=101)
            assert stage.mark(BTC) == e18(101)
            await stage.hold(1.5, btc=150)
            assert stage.mark(BTC) == e18(101)
        desk = stage.desk
        assert [line["phase"] for line in desk.log.of("session.changed")] == ["open", "closed"]
        assert desk.meter.gauges[f"keeper_market_open market={BTC}"] == 0
        saved = json.loads(desk.store.documents[stage.service.name])["sessions"][BTC]
        assert (saved["close"][0], saved["phase"]) == (e18(101), "closed")
        again = stage.fresh()
        stage.boards.prices.drop(BTC)
        async with running(again):
            await settled(20)
        assert stage.mark(BTC) == e18(101)
        assert not isinstance(stage.boards.indices.get(index_of(BTC)), IndexPrice), "its sources are silent"

    play(scenario)


def test_run__another_mark_method_while_the_market_is_closed__the_close_is_held_all_the_same():
    async def scenario():
        stage = test_pricing.Stage(options={BTC: {"session": rules(1, 10_000)}})
        stage.chain()
        async with running(stage.service):
            await stage.hold(1.5, btc=101)
        stage.options[BTC]["mark"] = EmaBasis()
        again = stage.fresh()
        async with running(again):
            await settled(1)
        assert again.folds.markets[BTC].mark == EmaBasis().start()
        assert stage.boards.prices.get(BTC).index.price_e18 == e18(101)

    play(scenario)


def test_run__calendar_ends__is_warned_of_before_and_an_error_after():
    async def scenario():
        stage = test_pricing.Stage(options={BTC: {"session": rules(-200, -100, last_s=2)}})
        stage.chain()
        async with running(stage.service):
            await stage.hold(3)
        (warning,) = stage.desk.log.of("session.calendar_ending")
        assert (warning["market"], warning["calendar"]) == (BTC, "test")
        (error,) = stage.desk.log.of("session.unknown")
        assert (error["market"], bool(error["advice"])) == (BTC, True)
        assert stage.mark(BTC) is None

    play(scenario)


@pytest.mark.parametrize(
    ("off_hours", "age_s", "wanted"),
    [
        (OffHours.HOLD, 5, ("hold", "quiet")),
        (OffHours.HOLD, 60, ("publish", "heartbeat")),
        (OffHours.OWN_BOOK, 5, ("publish", "deviation")),
        (OffHours.WITHHOLD, 60, ("hold", "withheld")),
    ],
)
def test_publishing__of_a_closed_market__beats_and_does_not_follow(off_hours, age_s, wanted):
    async def scenario():
        stage = test_publishing.Stage()
        stage.desk.clock.offset_s = 0.001
        stage.chain(observed_s=START_S - age_s)
        plan = plan_of(BTC, session=rules(-5, 10_000, off_hours))
        now, chain = stage.desk.clock.now(), stage.boards["states"].get(SITE)
        close = Close(e18(104), Timestamp(now - 5 * SECOND))
        fold = _fold(plan, close)
        async with running(stage.service):
            stage.boards["prices"].put(BTC, priced(plan, 104, now, chain, fold))
            await settled(0.01)
        assert stage.status(BTC) == wanted
        if wanted[0] == "publish":
            (found,) = stage.decisions.records.values()
            record = json.loads(found.canonical_json)
            assert record["session"]["phase"] == "closed"
            assert record["session"]["state_before"]["close"] == [str(close.price_e18), str(close.at)]

    play(scenario)


def _fold(plan, close):
    return MarketFold(plan.mark.start(), session=SessionFold(close, close.price_e18, close.at, Phase.CLOSED))


@pytest.mark.parametrize("state", list(SequencerState))
def test_publishing__while_the_sequencer_is_not_trusted__stands_still(state):
    async def scenario():
        stage = test_publishing.Stage()
        stage.chain(observed_s=START_S - 60)
        chain = stage.boards["states"].get(SITE)
        found = priced(plan_of(BTC), 105, stage.desk.clock.now(), chain)
        seen = found.seen._replace(sequencer=Sequencer(state))
        async with running(stage.service):
            stage.boards["prices"].put(BTC, replace(found, seen=seen))
            await settled(0.01)
        trusted = state is SequencerState.UP
        assert stage.status(BTC) == (("publish", "deviation") if trusted else ("hold", "sequencer"))

    play(scenario)
