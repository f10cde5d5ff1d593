"""Random walks in which the keeper's arithmetic and the reference exchange must agree on every number at every step."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from keeper.domain.columns import AccountColumns
from keeper.domain.deleverage import needed, plan_deleverage
from keeper.domain.feed import observe
from keeper.domain.funding import Due, cum_now, due
from keeper.domain.liquidation import FREE, LiquidationPlan, Skip, plan_batch, plan_in, rank
from keeper.domain.margin import alarm_price, bankruptcy_price, health_in, is_liquidatable, terms_of
from keeper.domain.mirror import Cursor, Mirror
from keeper.domain.numbers import MAX_PRICE_E18
from tests.domain.accounts.bridge import (
    CALLER,
    ENGINE,
    accounts_of,
    block,
    block_hash,
    events_of,
    feed_of,
    market_totals_of,
    state_of,
    totals_of,
)
from tests.domain.accounts.reference import FUND, FUNDING
from tests.domain.accounts.world import BROKE, NERVOUS, ROUGH, World


class Watch:
    """The keeper beside a world: a mirror and columns fed by logs only, and every check."""

    def __init__(self, world: World) -> None:
        self.world, self.number, self.read = world, 100, 0
        self.mirror = Mirror(Cursor(self.number, block_hash(self.number)), ENGINE)
        self.columns = AccountColumns(ENGINE)
        self.feeds = {n: replace(feed_of(n, f), round_id=0, acc=0, covered=0) for n, f in world.exchange.feeds.items()}
        self.blocks: list = []

    def follow(self) -> None:
        """One more block with all new logs."""
        self.number += 1
        at, log = block(self.number), self.world.exchange.log[self.read :]
        self.read += len(log)
        events = events_of(log, at)
        self.blocks.append((at, events))
        self.columns.sync(self.mirror.accounts, self.mirror.apply_block(at, events))
        for entry in log:
            if entry[0] == "PriceUpdated":
                _, number, round_id, observed, index, mark, premium, _, _ = entry
                self.feeds[number] = observe(self.feeds[number], observed, round_id, index, mark, premium)

    def compare(self) -> None:
        exchange, now = self.world.exchange, self.world.now
        state, accounts = state_of(exchange, now), accounts_of(exchange)
        markets = terms_of(state, now)
        for number, feed in self.feeds.items():
            assert replace(feed, frozen=False) == replace(state.feeds[number], frozen=False)
        self._compare_funding(state)
        exchange.check()
        mirrored = {a: (m.margin_units, dict(m.positions)) for a, m in self.mirror.accounts.items()}
        assert mirrored == {a: (m.margin_units, dict(m.positions)) for a, m in accounts.items()}
        assert self.mirror.disagreements(totals_of(exchange), market_totals_of(exchange)) == ()
        for name, account in accounts.items():
            found = health_in(account, markets)
            worth = exchange.worth(name, now)
            assert (found.cash, found.equity, found.maintenance, found.initial, found.notional) == worth
            for number in account.positions:
                self._compare_plan(account, number, markets, accounts[ENGINE])
                check_alarm(account, number, markets)
        exact = {a for a, m in accounts.items() if a != ENGINE and is_liquidatable(m, markets)}
        assert set(self.columns.below(self.mirror.accounts, markets)) == exact

    def _compare_funding(self, state) -> None:
        exchange, now = self.world.exchange, self.world.now
        paused = bool(exchange.paused & FUNDING)
        for number, market in state.markets.items():
            ours, theirs = due(market, state.feeds[number], now, paused), exchange.due(number, now)
            assert isinstance(ours, Due) == (theirs is not None)
            if isinstance(ours, Due):
                fields = (ours.boundary_s, ours.intervals, ours.premium_e18, ours.covered_s, ours.rate_e18)
                assert (*fields, ours.mark_e18, ours.cum_e36, ours.snap_acc, ours.snap_covered) == theirs
                latest = ours.boundary_s + exchange.feeds[number].interval - 1
                assert due(market, state.feeds[number], latest, paused) == ours
            assert cum_now(market, state.feeds[number], now, paused) == exchange.cum(number, now)

    def _compare_plan(self, account, number, markets, engine) -> None:
        world = self.world
        lot = markets[number].parameters.lot_e18
        for limit in (FREE, lot * world.random.randrange(0, 3_000) + world.random.randrange(lot)):
            reason, size = world.exchange.reason(account.address, number, limit, CALLER, world.now)
            answer = plan_in(account, number, markets, engine=engine, liquidator=CALLER, max_size_e18=limit)
            if isinstance(answer, Skip):
                assert (int(answer.reason), answer.size_e18) == (reason, size)
            else:
                assert (0, answer.size_e18) == (reason, size)

    def keep(self) -> None:
        """Liquidates as planned, in one batch, then deleverages as planned; each planned number must come out."""
        exchange, now = self.world.exchange, self.world.now
        state, accounts = state_of(exchange, now), accounts_of(exchange)
        candidates = rank(accounts.values(), state, now, engine=ENGINE)
        batch = plan_batch(candidates, accounts, state, now, engine=ENGINE, liquidator=CALLER)
        for planned in batch.plans:
            self._liquidate(planned)
        done = accounts_of(exchange)
        swept = any(entry[0] == "FundingResidue" for entry in exchange.log[self.read :])
        for name, expected in batch.accounts.items():
            if not (swept and name == ENGINE):
                assert (expected.margin_units, dict(expected.positions)) == (
                    done[name].margin_units,
                    dict(done[name].positions),
                )
        for name in [*self.world.traders, FUND]:
            self._deleverage(name)

    def _liquidate(self, planned: LiquidationPlan) -> None:
        world, exchange = self.world, self.world.exchange
        have = abs(exchange.holders[planned.account].held[planned.market_no][0])
        arguments = (planned.account, planned.market_no, planned.max_size_e18, CALLER, world.now)
        assert exchange.liquidate(*arguments) == 0
        _, *values = next(e for e in reversed(exchange.log) if e[0] == "Liquidated")
        figures = (planned.size_e18, planned.mark_e18, planned.equity, planned.maintenance)
        assert values[3:] == [*figures, planned.penalty, planned.reward, planned.loss]
        world.seen["liquidated"] += 1
        world.seen["loss"] += planned.loss > 0
        world.seen["limited"] += planned.max_size_e18 != FREE
        if planned.max_size_e18 == FREE and planned.size_e18 < have:
            _, equity, maintenance, *_ = exchange.worth(planned.account, world.now)
            assert equity >= maintenance
            world.seen["partial"] += 1

    def _deleverage(self, name) -> None:
        world, exchange, now = self.world, self.world.exchange, self.world.now
        state, accounts = state_of(exchange, now), accounts_of(exchange)
        if not needed(accounts[name], state, now, engine=accounts[ENGINE]):
            return
        begun = len(exchange.log)
        for step in plan_deleverage(name, state, accounts, now, engine=ENGINE):
            # What rounding left in a market that nobody holds any more goes to ENGINE, and only adds to its means.
            residue = sum(e[2] for e in exchange.log[begun:] if e[0] == "FundingResidue")
            exchange.deleverage(step.bankrupt, step.counterparty, step.market_no, step.size_e18, now)
            loss, cover = next(e for e in reversed(exchange.log) if e[0] == "Deleveraged")[-2:]
            assert loss == step.loss
            assert step.cover <= cover <= step.cover + residue
            world.seen["engine deleveraged" if name == FUND else "deleveraged"] += 1

    def reorganise(self, depth: int) -> None:
        """The last blocks again after a rewind: the state must be the former one, to the letter."""
        before, former = self.mirror.dump(), dict(self.mirror.accounts)
        self.mirror.rewind(self.number - depth)
        replayed = Mirror(Cursor(100, block_hash(100)), ENGINE)
        for at, events in self.blocks:
            if at.number <= self.number - depth:
                replayed.apply_block(at, events)
        assert list(replayed.accounts.items()) == list(self.mirror.accounts.items())
        assert (replayed.totals, dict(replayed.markets)) == (self.mirror.totals, dict(self.mirror.markets))
        for at, events in self.blocks[-depth:]:
            self.mirror.apply_block(at, events)
        assert dict(self.mirror.accounts) == former
        assert self.mirror.dump() == before


def check_alarm(account, number, markets) -> None:
    """The alarm is the last mark on the liquidatable side: one step further, towards health, is healthy."""
    position, terms = account.positions[number], markets[number]
    step = 1 if position.size_e18 > 0 else -1

    def at(mark):
        return {**markets, number: replace(terms, mark_e18=mark)}

    alarm, bankrupt = alarm_price(account, number, markets), bankruptcy_price(account, number, markets)
    if alarm is None:
        assert not is_liquidatable(account, at(1 if step > 0 else MAX_PRICE_E18))
    else:
        assert 1 <= alarm <= MAX_PRICE_E18
        assert is_liquidatable(account, at(alarm))
        if 1 <= alarm + step <= MAX_PRICE_E18:
            assert not is_liquidatable(account, at(alarm + step))
    if bankrupt is None:
        assert health_in(account, at(1 if step > 0 else MAX_PRICE_E18)).equity >= 0
    else:
        assert health_in(account, at(bankrupt)).equity < 0
        if 1 <= bankrupt + step <= MAX_PRICE_E18:
            assert health_in(account, at(bankrupt + step)).equity >= 0


@pytest.mark.parametrize(
    ("mood", "seeds", "must_see"),
    [
        (NERVOUS, (1, 2, 3), {"partial", "liquidated", "loss"}),
        (ROUGH, (4, 5, 6), {"liquidated", "loss", "limited", "deleveraged"}),
        (BROKE, (7, 8, 9), {"liquidated", "deleveraged", "engine deleveraged"}),
    ],
    ids=["nervous", "rough", "broke"],
)
def test_every_number__random_walk__equals_the_reference(mood, seeds, must_see):
    seen = Counter()
    for seed in seeds:
        watch = Watch(World(seed, mood))
        walk(watch, steps=200)
        seen += watch.world.seen
        seen["settlements"] += sum(entry[0] == "FundingSettled" for entry in watch.world.exchange.log)
    assert must_see <= (+seen).keys()
    assert seen["traded"] > 50
    assert seen["settlements"] > 25


def walk(watch: Watch, steps: int) -> None:
    watch.follow()
    for step in range(steps):
        watch.world.step()
        watch.follow()
        watch.compare()
        if watch.world.random.random() < 0.4:
            watch.keep()
            watch.follow()
            watch.compare()
        if step % 50 == 49:
            watch.reorganise(watch.world.random.randrange(1, 40))
