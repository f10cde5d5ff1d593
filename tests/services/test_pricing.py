"""Quotes to prices: one market's defect stays its own, changes are told once, silence is noticed, a restart goes on."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest

from keeper.domain.condition import Condition, ConditionRules
from keeper.domain.confirmation import Confirmation
from keeper.domain.gate import Doubt
from keeper.domain.guard import Guard, Held
from keeper.domain.ids import IndexId, SourceId
from keeper.domain.index import IndexPrice, IndexSpec, PegSpec, SourceSpec, Withheld
from keeper.domain.index_methods import ClampedWeightedMean, Vwap
from keeper.domain.ladder import LADDERS, Ladder, Rung
from keeper.domain.mark.ema_basis import EmaBasis
from keeper.domain.mark.index_only import IndexOnly
from keeper.domain.mark.twap import Twap
from keeper.domain.mark.venues import Deribit
from keeper.domain.outlier_rules import Exclude, HalveThenExclude, OutlierRule
from keeper.domain.quote import Trade
from keeper.domain.rates.fold import RatePlan
from keeper.domain.rates.presets import Ftx, Kraken
from keeper.domain.rates.versions import Versions
from keeper.domain.reference import ReferenceBand
from keeper.domain.scorecard import ScoreRules
from keeper.domain.time import SECOND
from keeper.runtime.board import Board
from keeper.services.pricing import Boards, Folds, PricingService
from tests.domain.pricing.builders import book, e18, quote
from tests.services.fakes import BTC, ETH, SITE, START_S, Desk, play, running, settled
from tests.services.markets import chain_state, index_of, plan_of, quotes_of

CONFIRM = Confirmation(confirm_ns=SECOND, sources=3, quote_groups=1)


class Brittle(IndexOnly):
    """A mark method with a defect: it cannot divide this price."""

    def step(self, state: Any, inputs: Any) -> Any:
        assert 10**40 // (inputs.index.price_e18 - e18(13))
        return super().step(state, inputs)


@dataclass
class Stage:
    desk: Desk = field(default_factory=Desk)
    options: dict[Any, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.boards = Boards(*(Board() for _ in range(7)))
        self.service = self.fresh()

    def fresh(self) -> PricingService:
        desk = self.desk
        plans = tuple(plan_of(market, **self.options.get(market, {})) for market in (BTC, ETH))
        specs = tuple(plan.spec for plan in plans)
        return PricingService(specs, plans, self.boards, desk.store, desk.clock, desk.pulse, desk.meter, desk.log)

    def chain(self, **options: Any) -> None:
        self.boards.states.put(SITE, chain_state({1: 100, 2: 100}, **options))

    def quote(self, market: Any, price: Any) -> None:
        for source, each in quotes_of(market, price, self.desk.clock.now()).items():
            self.boards.quotes.put(source, each)

    async def hold(self, seconds: float, **prices: Any) -> None:
        """Quotes both markets each 100 ms."""
        for _ in range(round(seconds * 10)):
            self.quote(BTC, prices.get("btc", 100))
            self.quote(ETH, prices.get("eth", 100))
            await settled(0.1)

    def mark(self, market: Any) -> int | None:
        priced = self.boards.prices.get(market)
        return priced.marked.mark.price_e18 if priced is not None and priced.marked is not None else None


def test_run__quotes_come__both_markets_are_priced_and_shown():
    async def scenario():
        stage = Stage()
        stage.chain()
        async with running(stage.service):
            await stage.hold(1.2, btc=101, eth=7)
            assert (stage.mark(BTC), stage.mark(ETH)) == (e18(101), e18(7))
            assert isinstance(stage.boards.indices.get(index_of(BTC)), IndexPrice)
            assert not stage.desk.pulse.late()
        assert stage.desk.meter.gauges[f"keeper_mark_price market={BTC}"] == 101
        assert stage.desk.meter.gauges[f"keeper_index_sources market={index_of(ETH)}"] == 3

    play(scenario)


def test_run__disk_full__prices_go_on_and_are_kept_when_there_is_room():
    async def scenario():
        stage = Stage()
        stage.chain()
        stage.desk.store.full = True
        async with running(stage.service):
            await stage.hold(11, btc=101)
            assert stage.mark(BTC) == e18(101)
            assert len(stage.desk.log.of("state.unsaved")) == 3
            stage.desk.store.full = False
            await stage.hold(6, btc=102)
            assert stage.mark(BTC) == e18(102)
            assert stage.service.name in stage.desk.store.documents

    play(scenario)


def test_run__one_markets_step_raises__it_alone_is_halted_until_resumed():
    async def scenario():
        stage = Stage(options={BTC: {"mark": Brittle()}})
        stage.chain()
        async with running(stage.service):
            await stage.hold(0.5)
            assert stage.mark(BTC) == e18(100)
            await stage.hold(0.5, btc=13)
            assert stage.boards.prices.get(BTC) is None
            (line,) = stage.desk.log.of("market.halted")
            assert stage.desk.log.levels("market.halted") == ["critical"]
            assert line["market"] == BTC
            assert "keeper ctl resume" in line["advice"]
            gauge = f"keeper_breaker_open market={BTC} reason=halted"
            assert stage.desk.meter.gauges[gauge] == 1

            await stage.hold(0.5, btc=100, eth=104)
            assert stage.boards.prices.get(BTC) is None  # the price is fine again, the defect may not be
            assert stage.mark(ETH) == e18(104)
            assert len(stage.desk.log.of("market.halted")) == 1

            assert not stage.service.resume(ETH)
            assert stage.service.resume(BTC)
            assert BTC not in stage.service.folds.markets  # nor may what it remembers be
            assert stage.desk.meter.gauges[gauge] == 0
            await stage.hold(0.5)
            assert stage.mark(BTC) == e18(100)

            await stage.hold(0.5, btc=13)
            assert len(stage.desk.log.of("market.halted")) == 2

    play(scenario)


def test_run__restarted_after_a_defect_halted_a_market__stays_halted_until_resumed():
    """The state that met the defect is restored with it, and nobody has looked yet."""

    async def scenario():
        stage = Stage(options={BTC: {"mark": Brittle()}})
        stage.chain()
        async with running(stage.service):
            await stage.hold(0.5)
            await stage.hold(0.5, btc=13)
        for told in (2, 3):
            stage.boards.prices.drop(BTC)
            stage.service = stage.fresh()
            async with running(stage.service):
                await stage.hold(1)
                assert stage.boards.prices.get(BTC) is None
                assert stage.mark(ETH) == e18(100)
                assert len(stage.desk.log.of("market.halted")) == told
                assert stage.desk.meter.gauges[f"keeper_breaker_open market={BTC} reason=halted"] == 1
        assert stage.service.resume(BTC)
        stage.service = stage.fresh()
        async with running(stage.service):
            await stage.hold(1)
            assert stage.boards.prices.get(BTC) is None, "the order was not saved: the service had ended"
            assert stage.service.resume(BTC)
            await stage.hold(1)
            assert stage.mark(BTC) == e18(100)
        stage.service = stage.fresh()
        async with running(stage.service):
            await stage.hold(1)
            assert stage.mark(BTC) == e18(100)

    play(scenario)


def test_run__jump_held_then_confirmed__tripped_and_reset_are_told_once_each():
    async def scenario():
        stage = Stage(options={BTC: {"guard": Guard(max_jump_bps=200, confirmation=CONFIRM)}})
        stage.chain()
        gauge = f"keeper_breaker_open market={BTC} reason=jump"
        async with running(stage.service):
            await stage.hold(0.5)
            assert stage.desk.meter.gauges[gauge] == 0
            await stage.hold(0.6, btc=110)
            assert isinstance(stage.boards.prices.get(BTC).guard, Held)
            assert stage.boards.prices.get(BTC).publishable is None
            assert stage.desk.meter.gauges[gauge] == 1
            assert len(stage.desk.log.of("breaker.tripped")) == 1
            assert stage.desk.log.of("breaker.reset") == []
            await stage.hold(2, btc=110)
            assert stage.boards.prices.get(BTC).publishable is not None
        assert stage.desk.meter.gauges[gauge] == 0
        (tripped,), (reset,) = stage.desk.log.of("breaker.tripped"), stage.desk.log.of("breaker.reset")
        assert (tripped["market"], tripped["price"], reset["confirmed"]) == (BTC, "110", True)

    play(scenario)


def test_run__restarted_at_a_jump_from_the_chains_price__is_held():
    async def scenario():
        stage = Stage(options={BTC: {"guard": Guard(max_jump_bps=200, confirmation=CONFIRM)}})
        async with running(stage.service):
            await stage.hold(0.5, btc=110)
            assert stage.boards.prices.get(BTC).publishable is None  # not before the chain's price is known
            stage.chain()
            await stage.hold(0.5, btc=110)
            assert isinstance(stage.boards.prices.get(BTC).guard, Held)

    play(scenario)


def test_run__quotes_stop__staleness_is_noticed_by_the_timer():
    async def scenario():
        stage = Stage()
        stage.chain()
        async with running(stage.service):
            await stage.hold(1)
            await settled(9.5)
            assert isinstance(stage.boards.indices.get(index_of(BTC)), IndexPrice)
            await settled(0.8)
            assert isinstance(stage.boards.indices.get(index_of(BTC)), Withheld)
            priced = stage.boards.prices.get(BTC)
            assert (priced.publishable, priced.marked) == (None, None)
            assert stage.desk.clock.now() - priced.as_of <= SECOND // 4
            assert not stage.desk.pulse.late()
            await settled(60)
        assert len(stage.desk.log.of("index.withheld")) == 2 + 2  # at the start, before any quote, and now
        withheld = stage.desk.meter.counts[f"keeper_index_withheld_total market={index_of(BTC)} reason=sources"]
        assert withheld == 2

    play(scenario)


def test_run__one_source_goes_astray__refused_and_accepted_are_told_once_each():
    async def scenario():
        stage = Stage()
        stage.chain()
        source = SourceId(f"{BTC}:0")
        async with running(stage.service):
            await stage.hold(0.5)
            for _ in range(20):
                stage.boards.quotes.put(source, quotes_of(BTC, 120, stage.desk.clock.now())[source])
                await settled(0.1)
            assert [line["source"] for line in stage.desk.log.of("quote.rejected") if line["reason"] == "outlier"] == [
                source
            ]
            await stage.hold(0.5)
        assert [line["source"] for line in stage.desk.log.of("quote.accepted")].count(source) == 2  # start, and now

    play(scenario)


def test_run__far_move_within_the_rest__is_priced_at_once_small_ones_are_gathered():
    async def scenario():
        stage = Stage()
        stage.service = replace(stage.service, min_interval_s=0.5)
        stage.chain()
        async with running(stage.service):
            stage.quote(BTC, 100)
            await settled(0.6)
            assert stage.mark(BTC) == e18(100)
            stage.quote(BTC, "100.01")
            await settled(0.001)
            before = stage.mark(BTC)
            stage.quote(BTC, "101")
            await settled(0.001)
            assert (before in (e18(100), e18("100.01")), stage.mark(BTC)) == (True, e18(101))
            stage.quote(BTC, "101.01")
            await settled(0.001)
            assert stage.mark(BTC) == e18(101)  # less than half a push
            await settled(0.6)
            assert stage.mark(BTC) == e18("101.01")

    play(scenario)


@pytest.mark.parametrize("method", [EmaBasis(), Deribit(), Twap(window_s=60)], ids=lambda method: method.name)
def test_run__restarted__marks_and_last_indices_go_on(method):
    async def scenario():
        book_source = SourceId("perp:BTC-USD")
        stage = Stage(options={BTC: {"mark": method, "book": book_source}})
        stage.chain()
        async with running(stage.service):
            for _ in range(100):
                stage.boards.books.put(book_source, book("100.3", at=stage.desk.clock.now()))
                await stage.hold(0.3)
        before = stage.service.folds
        saved = json.loads(stage.desk.store.documents[stage.service.name])
        assert saved["marks"][BTC] == before.markets[BTC].mark.to_plain() != method.start().to_plain()

        again = stage.fresh()
        async with running(again):
            stage.quote(BTC, 100)
            stage.boards.books.put(book_source, book("100.3", at=stage.desk.clock.now()))
            await settled(0.1)
            first = stage.mark(BTC)
        assert first is not None
        assert abs(first - e18("100.3")) < e18("0.001")  # a cold average would count as no basis: 100
        assert again.folds.last == before.last

    play(scenario)


def test_run__restarted_with_another_method_for_one_market__the_others_go_on():
    async def scenario():
        books = {market: SourceId(f"perp:{market}") for market in (BTC, ETH)}
        stage = Stage(options={market: {"mark": Deribit(), "book": source} for market, source in books.items()})
        stage.chain()
        async with running(stage.service):
            for _ in range(100):
                for source in books.values():
                    stage.boards.books.put(source, book("100.3", at=stage.desk.clock.now()))
                await stage.hold(0.3)
        before = stage.service.folds.markets

        stage.options[BTC]["mark"] = EmaBasis()
        again = stage.fresh()
        again._restore()
        assert again.folds.markets[BTC].mark == EmaBasis().start()
        assert again.folds.markets[ETH].mark == before[ETH].mark

    play(scenario)


def test_run__restarted__the_funding_methods_window_goes_on_and_its_estimate_is_a_gauge():
    async def scenario():
        rates = RatePlan(Versions.always(Ftx(every_s=1)))
        stage = Stage(options={BTC: {"rates": rates}})
        stage.chain()
        async with running(stage.service):
            await stage.hold(12)
        before = stage.service.folds.markets[BTC].rates
        assert before is not None
        assert before.window.samples == 12
        assert stage.desk.meter.gauges[f"keeper_funding_estimate_ratio market={BTC}"] == 0
        assert f"keeper_funding_estimate_ratio market={ETH}" not in stage.desk.meter.gauges

        again = stage.fresh()
        async with running(again):
            await stage.hold(3)
        after = again.folds.markets[BTC].rates
        assert after.span == before.span
        assert after.window.samples == 15
        assert again.folds.markets[ETH].rates is None
        assert stage.desk.log.of("pricing.snapshot_refused") == []

    play(scenario)


def test_run__another_funding_method_after_a_restart__begins_anew_and_the_mark_goes_on():
    async def scenario():
        book_source = SourceId("perp:BTC")
        options = {"mark": EmaBasis(), "book": book_source}
        stage = Stage(options={BTC: {**options, "rates": RatePlan(Versions.always(Ftx()))}})
        stage.chain()
        async with running(stage.service):
            stage.boards.books.put(book_source, book("100.3", at=stage.desk.clock.now()))
            await stage.hold(1)
        before = stage.service.folds.markets[BTC].mark
        stage.options = {BTC: {**options, "rates": RatePlan(Versions.always(Kraken()))}}
        again = stage.fresh()
        async with running(again):
            await stage.hold(0.5)
        after = again.folds.markets[BTC]
        assert after.rates.method == "kraken"
        assert before.covered_ns < after.mark.covered_ns
        (line,) = stage.desk.log.of("pricing.snapshot_refused")
        assert "the state is of ftx" in line["error"]

    play(scenario)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", '{"marks": {"BTC-PERP": 7}, "last": {}}', '{"marks": {}}', '{"marks": {}, "last": []}'],
)
def test_run__snapshot_unusable__is_refused_and_pricing_starts_afresh(text):
    async def scenario():
        stage = Stage(options={BTC: {"mark": EmaBasis()}})
        stage.chain()
        stage.desk.store.save(stage.service.name, text)
        async with running(stage.service):
            await stage.hold(0.5)
            assert stage.mark(BTC) is not None
        assert len(stage.desk.log.of("pricing.snapshot_refused")) == 1

    play(scenario)


def test_run__snapshot_of_a_market_that_is_gone__the_rest_is_taken():
    async def scenario():
        stage = Stage()
        stage.chain()
        text = json.dumps({"marks": {"OLD-PERP": {"x": 1}}, "last": {"OLD-USD": 5, index_of(BTC): e18(99)}})
        stage.desk.store.save(stage.service.name, text)
        async with running(stage.service):
            assert stage.service.folds.last == {index_of(BTC): e18(99)}
        assert stage.desk.log.of("pricing.snapshot_refused") == []

    play(scenario)


def test_run__long_run__is_saved_each_five_seconds():
    async def scenario():
        stage = Stage()
        stage.chain()
        saved: list[float] = []
        save = stage.desk.store.save

        def noted(name: str, text: str) -> None:
            if name == stage.service.name:
                saved.append(stage.desk.clock.now() / SECOND - START_S)
            save(name, text)

        stage.desk.store.save = noted  # type: ignore[method-assign]
        async with running(stage.service):
            await stage.hold(16)
            assert len(saved) == 4
            assert all(5 <= later - earlier < 5.3 for earlier, later in pairwise(saved))

    play(scenario)


def test_accept__level_of_two_sources__is_shown_as_the_operators_word_until_an_index_is_computed():
    async def scenario():
        two = replace(plan_of(BTC).spec, allow_two=True)
        stage = Stage(options={BTC: {"spec": two}})
        stage.chain()
        now = stage.desk.clock.now()
        for source, each in list(quotes_of(BTC, 100, now).items())[:2]:
            stage.boards.quotes.put(source, each)
        stage.service.tick(now)
        assert isinstance(stage.boards.prices.get(BTC).index, Withheld)
        assert stage.boards.prices.get(BTC).seen.accepted == {}
        assert stage.service.accept(BTC)
        stage.service.tick(now)
        found = stage.boards.prices.get(BTC)
        assert isinstance(found.index, IndexPrice)
        assert found.seen.accepted == found.seen.last == {index_of(BTC): e18(100)}
        stage.service.tick(now)
        assert stage.boards.prices.get(BTC).seen.accepted == {}


def test_run__index_with_a_memory__goes_on_after_a_restart_where_it_stopped():
    """A source that is out stays out, and the time that nobody looked does not count for it."""

    async def scenario():
        spec = plan_of(BTC).spec
        rule = Exclude(return_s=5, unseen_s=1)
        stage = Stage(options={BTC: {"spec": replace(spec, outliers=rule, ladder=Ladder(two=Rung.EQUAL))}})
        stage.chain()
        astray = SourceId(f"{BTC}:2")

        async def told(service: PricingService, seconds: float, price: int) -> set[str]:
            for _ in range(round(seconds * 10)):
                stage.quote(BTC, 100)
                stage.boards.quotes.put(astray, quote(astray, price, at=stage.desk.clock.now()))
                await settled(0.1)
            return {str(vote.source) for vote in stage.boards.indices.get(index_of(BTC)).inputs}

        async with running(stage.service):
            assert str(astray) in await told(stage.service, 1, 100)
            assert str(astray) not in await told(stage.service, 1, 150)
            assert str(astray) not in await told(stage.service, 3, 100)
        flagged = stage.desk.log.of("index.flagged")
        assert [each["flags"] for each in flagged if each["market"] == index_of(BTC)] == [["two_sources"]]
        saved = json.loads(stage.desk.store.documents[stage.service.name])["states"]
        assert list(saved[index_of(BTC)]["watched"]) == [astray]
        await settled(60)
        again = stage.fresh()
        async with running(again):
            assert str(astray) not in await told(again, 4, 100)
            assert str(astray) in await told(again, 2, 100)

    play(scenario)


def test_run__another_outlier_rule_after_a_restart__remembers_nothing_of_the_one_before():
    """Since when a source is far for the one is since when it agrees for the other: it would have been let back at once."""

    async def scenario():
        def rule(chosen: OutlierRule) -> dict[Any, dict[str, Any]]:
            return {BTC: {"spec": replace(plan_of(BTC).spec, outliers=chosen, ladder=LADDERS["okx"])}}

        stage = Stage(options=rule(HalveThenExclude(beyond_bps=300, persist_s=2)))
        stage.chain()
        odd = SourceId(f"{BTC}:2")

        async def hold(seconds: float, price: int) -> None:
            for _ in range(round(seconds * 10)):
                stage.quote(BTC, 100)
                stage.quote(ETH, 100)
                stage.boards.quotes.put(odd, quote(str(odd), price, at=stage.desk.clock.now()))
                await settled(0.1)

        async with running(stage.service):
            await hold(10, 110)
            assert odd in stage.service.folds.states[index_of(BTC)].watched
        same = stage.fresh()
        same._restore()
        assert odd in same.folds.states[index_of(BTC)].watched
        stage.options = rule(Exclude(beyond_bps=300, return_s=5.0))
        other = stage.fresh()
        other._restore()
        assert other.folds.states[index_of(BTC)].watched == {}
        assert other.folds.states[index_of(BTC)].computed_at == same.folds.states[index_of(BTC)].computed_at

    play(scenario)


def test_run__index_by_trades__averages_what_the_venues_traded():
    async def scenario():
        spec = plan_of(BTC).spec
        stage = Stage(options={BTC: {"spec": replace(spec, method=Vwap(10, "mean"))}})
        stage.chain()
        async with running(stage.service):
            await stage.hold(0.3)
            assert isinstance(stage.boards.indices.get(index_of(BTC)), Withheld), "nobody has traded yet"
            now = stage.desk.clock.now()
            for number, (price, size) in enumerate([(100, 1), (101, 2), (101, 1)]):
                source = SourceId(f"{BTC}:{number}")
                stage.boards.trades.put(source, Trade(source, now, now, e18(price), e18(size), "1"))
            await stage.hold(0.3)
            found = stage.boards.indices.get(index_of(BTC))
            assert isinstance(found, IndexPrice)
            assert found.price_e18 == e18("100.75")
            await stage.hold(10)
            assert isinstance(stage.boards.indices.get(index_of(BTC)), Withheld), "the window has passed"

    play(scenario)


def test_tick__rate_of_a_rate__is_in_what_a_market_was_priced_by():
    """Whoever computes it again needs every index that converts for it, however far behind."""

    async def scenario():
        names = ["USDT-USD", "USDC-USD"]
        usdt = IndexSpec(
            IndexId(names[0]), tuple(SourceSpec(SourceId(f"t:{n}"), "USD") for n in range(3)), min_quote_groups=1
        )
        pegs = {"USDT": PegSpec(usdt.id)}
        usdc = IndexSpec(IndexId(names[1]), tuple(SourceSpec(SourceId(f"c:{n}"), "USDT") for n in range(3)),
                         min_quote_groups=1, conversions=pegs)  # fmt: skip
        plan = plan_of(BTC)
        sources = tuple(replace(source, quote="USDC") for source in plan.spec.sources)
        coin = replace(plan, spec=replace(plan.spec, sources=sources, conversions={"USDC": PegSpec(usdc.id)}))
        stage, desk = Stage(), Desk()
        service = PricingService((usdt, usdc, coin.spec), (coin,), stage.boards, desk.store, desk.clock, desk.pulse,
                                 desk.meter, desk.log)  # fmt: skip
        now = desk.clock.now()
        for source in (*usdt.sources, *usdc.sources):
            stage.boards.quotes.put(source.source, quote(source.source, 1, at=now))
        for source, each in quotes_of(BTC, 100, now).items():
            stage.boards.quotes.put(source, each)
        service.tick(now)
        assert [each.index for each in stage.boards.prices.get(BTC).conversions()] == sorted(names)

    play(scenario)


def test_run__index_held__is_shown_and_not_published():
    async def scenario():
        hold = Ladder(Rung.HOLD, Rung.HOLD, Rung.HOLD)
        stage = Stage(options={BTC: {"spec": replace(plan_of(BTC).spec, ladder=hold)}})
        stage.chain()
        async with running(stage.service):
            await stage.hold(1)
            assert stage.boards.prices.get(BTC).publishable is not None
            await settled(12)
            priced = stage.boards.prices.get(BTC)
            assert stage.mark(BTC) == e18(100)
            assert (priced.held, priced.publishable) == (True, None)
            assert Doubt.DEGRADED in priced.gate.reasons

    play(scenario)


def test_run__vote_moved_by_the_method__is_told_and_no_warning():
    """Venues that stand at the edge of a clamp would warn at every tick."""

    async def scenario():
        spec = replace(plan_of(BTC).spec, method=ClampedWeightedMean(50))
        stage = Stage(options={BTC: {"spec": spec}})
        stage.chain()
        async with running(stage.service):
            for price in (100, 99.4, 100):
                for _ in range(10):
                    stage.quote(BTC, 100)
                    stage.boards.quotes.put(SourceId(f"{BTC}:2"), quote(f"{BTC}:2", price, at=stage.desk.clock.now()))
                    await settled(0.1)
        log, index = stage.desk.log, index_of(BTC)
        assert [line["flags"] for line in log.of("index.limited") if line["market"] == index] == [["limited"], []]
        assert log.of("index.flagged") == []

    play(scenario)


@pytest.mark.parametrize("asked", [3, 2], ids=["spare", "votes"])
def test_run__reference_that_is_a_fallback_too__is_told_once(asked):
    async def scenario():
        bank = SourceId(f"{BTC}:bank")
        sources = (*plan_of(BTC).spec.sources, SourceSpec(bank, "USD", fallback=True))
        spec = IndexSpec(
            index_of(BTC),
            sources,
            min_quote_groups=1,
            reference=ReferenceBand(bank),
            scorecard=ScoreRules(),
        )
        stage = Stage(options={BTC: {"spec": spec}})
        stage.chain()
        async with running(stage.service):
            for _ in range(30):
                now = stage.desk.clock.now()
                stage.boards.quotes.put(bank, quote(str(bank), "100", at=now))
                for source in sources[:asked]:
                    stage.boards.quotes.put(source.source, quote(str(source.source), "100", at=now))
                await settled(0.1)
            assert stage.mark(BTC) == e18(100)
        told = [line for event in ("quote.rejected", "quote.accepted") for line in stage.desk.log.of(event)]
        assert len([line for line in told if line["source"] == bank]) <= 3

    play(scenario)


def test_run__clock_set_back_by_an_hour__gauges_and_snapshots_go_on():
    async def scenario():
        stage = Stage()
        stage.chain()
        async with running(stage.service):
            await stage.hold(6)
            stage.desk.clock.offset_s = -3_600
            stage.desk.store.documents.clear()
            await stage.hold(6, btc=101)
            assert stage.desk.meter.gauges[f"keeper_mark_price market={BTC}"] == 101
            assert stage.service.name in stage.desk.store.documents

    play(scenario)


def test_run__funding_method_with_other_options_after_a_restart__begins_its_window_anew():
    """A place in a grid of seconds lies far ahead in one of minutes: nothing would be sampled until the boundary."""

    async def scenario():
        stage = Stage(options={BTC: {"rates": RatePlan(Versions.always(Ftx(every_s=1, sample="mark")))}})
        stage.chain()
        async with running(stage.service):
            await stage.hold(130)
        before = stage.service.folds.markets[BTC].rates
        stage.options = {BTC: {"rates": RatePlan(Versions.always(Ftx(every_s=60, sample="mark")))}}
        again = stage.fresh()
        async with running(again):
            await stage.hold(61)
        after = again.folds.markets[BTC].rates
        assert after.span == before.span
        assert after.window.samples == 2

    play(scenario)


def test_accept__two_sources_that_do_not_confirm_each_other__are_nobodys_level():
    async def scenario():
        stage = Stage(options={BTC: {"spec": replace(plan_of(BTC).spec, allow_two=True)}})
        stage.chain()
        now = stage.desk.clock.now()
        for source, price in zip(plan_of(BTC).spec.sources, (100, 150), strict=False):
            stage.boards.quotes.put(source.source, quote(str(source.source), price, at=now))
        stage.service.tick(now)
        assert not stage.service.accept(BTC)
        assert (stage.service.folds.last, stage.service.folds.accepted) == ({}, {})

    play(scenario)


def test_run__another_market_joins_and_leaves__what_the_others_remember_goes_on():
    """A service is named by its last index: another one behind it is another name, and no new beginning."""

    async def scenario():
        stage = Stage(options={BTC: {"condition": ConditionRules(halt_after_ns=SECOND, manual=True)}})
        stage.chain()
        both = stage.service
        stage.service = replace(both, specs=both.specs[:1], plans=both.plans[:1], folds=Folds())
        async with running(stage.service):
            await stage.hold(1)
            await settled(20)
            assert stage.boards.prices.get(BTC).condition.condition is Condition.HALT
        joined = stage.fresh()
        assert joined.name != stage.service.name
        async with running(joined):
            await stage.hold(1)
            assert stage.boards.prices.get(BTC).condition.condition is Condition.HALT
            assert stage.boards.prices.get(ETH).condition.condition is Condition.NORMAL
        stage.service = replace(both, specs=both.specs[:1], plans=both.plans[:1], folds=Folds())
        stage.service._restore()
        assert stage.service.folds.markets[BTC].condition == joined.folds.markets[BTC].condition, "the newest counts"
        assert stage.service.folds.markets.keys() == {BTC}
        assert stage.desk.log.of("pricing.snapshot_refused") == []

    play(scenario)
