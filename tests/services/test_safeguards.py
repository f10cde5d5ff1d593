"""Sources lose their vote by their record and earn it back; a market without a good price is halted and recovers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from keeper.domain.condition import Cause, Condition, ConditionRules
from keeper.domain.gate import Doubt, Shut
from keeper.domain.ids import SourceId
from keeper.domain.index import IndexFlag, IndexPrice, IndexSpec, Rejected, SourceSpec, Withheld, WithheldReason
from keeper.domain.index_methods import WeightedMean
from keeper.domain.mark.ema_basis import EmaBasis
from keeper.domain.market import PricedMarket
from keeper.domain.quote import Quote
from keeper.domain.scorecard import ScoreRules
from keeper.domain.time import SECOND, Timestamp
from keeper.runtime.board import Board
from keeper.services.pricing import Boards, PricingService
from tests.domain.pricing.builders import e18, quote
from tests.services.fakes import BTC, SITE, Desk, play, running, settled
from tests.services.markets import chain_state, index_of, plan_of

SCORES = ScoreRules(memory_looks=60, warm_looks=30, bench_apart_bps=30, readmit_ns=60 * SECOND)
RULES = ConditionRules(full_sources=4, degraded_max_ns=20 * SECOND, halt_after_ns=30 * SECOND, recover_ns=5 * SECOND)
NAMES = tuple(SourceId(f"venue{number}:BTC") for number in range(7))
LAGGARD = NAMES[3]
Said = Callable[[Timestamp], Quote]


def says(source: SourceId, price: str | int) -> Said:
    return lambda now: quote(source, price, at=now)


def crossed(source: SourceId) -> Said:
    return lambda now: quote(source, bid=101, ask=100, at=now)


@dataclass
class Stage:
    """One market of seven sources whose mean is the index, so that one of them moves it."""

    score: ScoreRules | None = SCORES
    rules: ConditionRules = RULES
    desk: Desk = field(default_factory=Desk)

    def __post_init__(self) -> None:
        self.boards = Boards(*(Board() for _ in range(7)))
        self.boards.states.put(SITE, chain_state({1: 100, 2: 100}))
        self.service = self.fresh()

    def fresh(self, **options: Any) -> PricingService:
        sources = tuple(SourceSpec(name, "USD") for name in NAMES)
        spec = IndexSpec(index_of(BTC), sources, method=WeightedMean(), min_quote_groups=1, scorecard=self.score)
        plan = plan_of(BTC, spec=spec, condition=self.rules, **options)
        plan = replace(plan, gate=replace(plan.gate, max_mark_age_ns=10**18))
        desk = self.desk
        return PricingService((spec,), (plan,), self.boards, desk.store, desk.clock, desk.pulse, desk.meter, desk.log)

    async def hold(self, seconds: float, others: Mapping[SourceId, Said | None] | None = None) -> None:
        """Each second every source says 100, but for the others; None: nothing."""
        for _ in range(round(seconds)):
            for name in NAMES:
                said = (others or {}).get(name, says(name, 100))
                if said is not None:
                    self.boards.quotes.put(name, said(self.desk.clock.now()))
            await settled(1)

    @property
    def priced(self) -> PricedMarket:
        found = self.boards.prices.get(BTC)
        assert found is not None
        return found

    @property
    def index(self) -> IndexPrice | Withheld:
        return self.priced.index

    @property
    def benched(self) -> frozenset[SourceId]:
        state = self.boards.scores.get(index_of(BTC))
        return frozenset() if state is None else state.benched

    def refused(self) -> dict[SourceId, Rejected]:
        return {each.source: each.reason for each in self.index.rejected}

    def gauge(self, name: str, **labels: str) -> float:
        return self.desk.meter.gauges[self.desk.meter.key(name, labels)]


LAG = {LAGGARD: says(LAGGARD, "100.42")}


def test_source__that_lags_by_40_bps_for_minutes__is_benched_and_comes_back() -> None:
    async def scenario() -> None:
        stage = Stage()
        async with running(stage.service):
            await stage.hold(25, LAG)
            assert stage.benched == frozenset()
            assert isinstance(stage.index, IndexPrice)
            assert stage.index.price_e18 == e18("100.06")
            await stage.hold(10, LAG)
            assert stage.benched == {LAGGARD}
            assert stage.index.price_e18 == e18(100)
            assert stage.refused() == {LAGGARD: Rejected.QUARANTINED}
            (told,) = stage.desk.log.of("source.quarantined")
            assert (told["source"], told["market"], told["left"], told["bad_pct"]) == (LAGGARD, index_of(BTC), 6, 0)
            assert 30 < told["apart_bps"] <= 42
            assert stage.gauge("keeper_source_quarantined", source=LAGGARD, market=index_of(BTC)) == 1
            assert stage.gauge("keeper_source_apart_bps", source=LAGGARD, market=index_of(BTC)) > 30

            await stage.hold(300, LAG)
            assert stage.benched == {LAGGARD}
            await stage.hold(55)
            assert stage.benched == {LAGGARD}
            await stage.hold(10)
            assert stage.benched == frozenset()
            assert stage.refused() == {}
        assert [line["source"] for line in stage.desk.log.of("source.readmitted")] == [LAGGARD]
        assert stage.gauge("keeper_source_quarantined", source=LAGGARD, market=index_of(BTC)) == 0
        assert len(stage.desk.log.of("source.quarantined")) == 1

    play(scenario)


def test_source__that_lags_where_no_scorecard_is_wanted__goes_on_voting() -> None:
    async def scenario() -> None:
        stage = Stage(score=None)
        async with running(stage.service):
            await stage.hold(120, LAG)
            assert (stage.refused(), stage.benched) == ({}, frozenset())

    play(scenario)


def test_five_of_seven__bad__two_at_most_are_benched_and_the_quorum_withholds() -> None:
    async def scenario() -> None:
        stage = Stage()
        bad = {name: crossed(name) for name in NAMES[:5]}
        async with running(stage.service):
            await stage.hold(20)
            await stage.hold(200, bad)
            assert len(stage.benched) == 2
            assert stage.benched <= bad.keys()
            assert isinstance(stage.index, Withheld)
            assert stage.index.reason is WithheldReason.SOURCES
            assert set(stage.refused().values()) == {Rejected.CROSSED}  # and not for their record
            assert stage.priced.condition.condition is Condition.HALT
            await stage.hold(20)
            assert isinstance(stage.index, IndexPrice)
            assert len(stage.index.inputs) == 5

    play(scenario)


def test_benched__when_so_many_others_fall_silent_that_they_are_wanted__vote_and_it_is_flagged() -> None:
    async def scenario() -> None:
        stage = Stage()
        async with running(stage.service):
            await stage.hold(40, LAG)
            assert stage.benched == {LAGGARD}
            silent = dict.fromkeys(set(NAMES) - {LAGGARD, NAMES[0], NAMES[1]})
            await stage.hold(15, {**LAG, **silent})
            assert isinstance(stage.index, IndexPrice)
            assert stage.index.flags == (IndexFlag.QUARANTINE_LIFTED,)
            assert stage.priced.publishable is not None
            assert isinstance(stage.priced.gate, Shut)
            assert Doubt.DEGRADED in stage.priced.gate.reasons
            await stage.hold(5, LAG)
            assert stage.index.flags == ()
            assert stage.benched == {LAGGARD}

    play(scenario)


def test_market__without_a_price__goes_stale_then_halts_calls_somebody_and_recovers_by_itself() -> None:
    async def scenario() -> None:
        stage = Stage()
        async with running(stage.service):
            await stage.hold(10)
            assert stage.priced.condition.condition is Condition.NORMAL
            assert stage.gauge("keeper_market_condition", market=BTC) == 0
            await settled(12)  # the oldest that a quote may be is 10 s
            assert (stage.priced.condition.condition, stage.priced.publishable) == (Condition.STALE, None)
            assert stage.gauge("keeper_market_condition", market=BTC) == 2
            await settled(30)
            assert stage.priced.condition.condition is Condition.HALT
            (halted,) = stage.desk.log.of("condition.halted")
            assert stage.desk.log.levels("condition.halted") == ["critical"]
            assert halted["causes"][0] == Cause.TOO_LONG.value
            assert "after_s" in halted["advice"]
            assert stage.gauge("keeper_market_condition", market=BTC) == 3

            await stage.hold(4)
            assert stage.priced.condition.causes == (Cause.RECOVERING,)
            assert stage.priced.publishable is None
            assert isinstance(stage.priced.gate, Shut)
            assert Doubt.HALTED in stage.priced.gate.reasons
            await stage.hold(4)
            assert stage.priced.condition.condition is Condition.NORMAL
            assert stage.priced.publishable is not None
        told = [(line["before"], line["now"]) for line in stage.desk.log.of("condition.changed")]
        assert told == [("NORMAL", "STALE")]
        assert [line["before"] for line in stage.desk.log.of("condition.restored")] == ["STALE", "HALT"]

    play(scenario)


def test_market__with_few_sources__is_published_and_liquidated_for_a_while() -> None:
    async def scenario() -> None:
        stage = Stage()
        few = dict.fromkeys(NAMES[3:])
        async with running(stage.service):
            await stage.hold(10)
            await stage.hold(15, few)
            assert stage.priced.condition.causes == (Cause.FEW_SOURCES,)
            assert not isinstance(stage.priced.gate, Shut)
            await stage.hold(20, few)
            assert isinstance(stage.priced.gate, Shut)
            assert stage.priced.gate.reasons == (Doubt.DEGRADED_LONG,)
            assert stage.priced.publishable is not None

    play(scenario)


def test_restart__in_the_middle__keeps_benches_records_and_a_halt() -> None:
    async def scenario() -> None:
        stage = Stage()
        async with running(stage.service):
            await stage.hold(40, LAG)
            await settled(60)
        before = stage.service.folds
        assert before.markets[BTC].condition.condition is Condition.HALT
        stage.service = stage.fresh()
        async with running(stage.service):
            await stage.hold(1, LAG)
            assert stage.service.folds.scores.states.keys() == before.scores.states.keys()
            assert stage.benched == {LAGGARD}
            assert stage.refused() == {LAGGARD: Rejected.QUARANTINED}
            assert stage.priced.condition.causes == (Cause.RECOVERING,)
            await stage.hold(6, LAG)
            assert stage.priced.condition.condition is Condition.NORMAL
        assert len(stage.desk.log.of("source.quarantined")) == 1

    play(scenario)


def test_halt__by_hand__outlives_good_prices_and_a_kill_and_ends_by_the_operators_word() -> None:
    async def scenario() -> None:
        stage = Stage(rules=replace(RULES, manual=True))
        async with running(stage.service):
            await stage.hold(10)
            assert not stage.service.lift(BTC)
            await settled(50)
            saved = dict(stage.desk.store.documents)
            assert stage.priced.condition.condition is Condition.HALT
            await stage.hold(60)
            assert stage.priced.condition.causes == (Cause.OPERATOR,)
        stage.desk.store.documents = saved  # what a kill right after the halt would have left
        stage.service = stage.fresh()
        async with running(stage.service):
            await stage.hold(60)
            assert stage.priced.condition.condition is Condition.HALT
            assert stage.service.lift(BTC)
            await stage.hold(1)
            assert stage.priced.condition.condition is Condition.NORMAL
        assert len(stage.desk.log.of("condition.lifted")) == 1

    play(scenario)


def test_halt__the_moment_it_begins__is_on_the_disk() -> None:
    async def scenario() -> None:
        stage = Stage()
        async with running(stage.service):
            await stage.hold(10)
            while stage.priced.condition.condition is not Condition.HALT:
                await settled(0.05)
            await settled(0.3)
            saved = json.loads(stage.desk.store.documents[stage.service.name])
            assert saved["conditions"][BTC]["condition"] == "HALT"

    play(scenario)


@pytest.mark.parametrize("part", ["conditions", "scores"])
@pytest.mark.parametrize("wrong", [{"condition": "FINE"}, {"records": 3}, 7])
def test_snapshot__with_an_unreadable_safeguard__loses_that_alone(part: str, wrong: Any) -> None:
    async def scenario() -> None:
        stage = Stage()
        async with running(stage.service):
            await stage.hold(40, LAG)
        name = stage.service.name
        saved = json.loads(stage.desk.store.documents[name])
        saved[part] = dict.fromkeys(saved[part], wrong)
        stage.desk.store.documents[name] = json.dumps(saved)
        again = stage.fresh()
        again._restore()
        assert len(stage.desk.log.of("pricing.snapshot_refused")) == 1
        assert (again.folds.scores.benched != {}) is (part == "conditions")
        assert (again.folds.markets[BTC].condition.condition is Condition.NORMAL) is (part == "scores")
        assert again.folds.last == stage.service.folds.last

    play(scenario)


@pytest.mark.parametrize("part", ["marks", "sessions", "states"])
def test_snapshot__with_an_unreadable_average__loses_no_safeguard(part: str) -> None:
    async def scenario() -> None:
        stage = Stage()
        async with running(stage.service):
            await stage.hold(40, LAG)
            await settled(60)
        name = stage.service.name
        saved = json.loads(stage.desk.store.documents[name])
        saved["methods"] = {BTC: "ema_basis"}
        saved[part] = {index_of(BTC) if part == "states" else BTC: 7}
        stage.desk.store.documents[name] = json.dumps(saved)
        again = stage.fresh(mark=EmaBasis())
        again._restore()
        assert len(stage.desk.log.of("pricing.snapshot_refused")) == 1
        assert again.folds.scores.benched
        assert again.folds.markets[BTC].condition.condition is Condition.HALT
        assert again.folds.last == stage.service.folds.last

    play(scenario)


def test_records__of_a_source_that_the_market_has_no_more__are_forgotten() -> None:
    async def scenario() -> None:
        stage = Stage()
        async with running(stage.service):
            await stage.hold(40, LAG)
        name = stage.service.name
        stage.desk.store.documents[name] = stage.desk.store.documents[name].replace(LAGGARD, "gone:BTC")
        again = stage.fresh()
        again._restore()
        (state,) = again.folds.scores.states.values()
        assert (state.benched, len(state.records)) == (frozenset(), 6)

    play(scenario)
