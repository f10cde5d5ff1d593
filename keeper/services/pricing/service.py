"""Quotes to prices, one loop per component of the conversion graph: one snapshot, same-tick conversion."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from keeper.domain.condition import Condition
from keeper.domain.exchange import ChainState
from keeper.domain.guard import Held, Pass
from keeper.domain.ids import DeploymentId, IndexId, MarketId, SourceId
from keeper.domain.index import IndexPrice, IndexSpec, Withheld, WithheldReason
from keeper.domain.index_state import IndexState
from keeper.domain.market import MarketFold, MarketPlan, PricedMarket, Seen, step
from keeper.domain.numbers import decimal_of, exceeds_bps, text_of
from keeper.domain.pricing import price_component, rates_behind, users_of
from keeper.domain.pricing_snapshot import UNREADABLE, Remembered, elsewhere, remembered, snapshot, where_of
from keeper.domain.quote import Depth, Quote, Trade
from keeper.domain.scorecard import ScoreState
from keeper.domain.sequencer import Sequencer
from keeper.domain.tape import Tapes
from keeper.domain.time import SECOND, Timestamp
from keeper.errors import TransientError
from keeper.ports.clock import Clock
from keeper.ports.journal import StateStore
from keeper.ports.log import EventLog
from keeper.ports.meter import Meter
from keeper.runtime.board import Board, first_change
from keeper.runtime.pulse import Pulse
from keeper.services.pricing.alarm import Alarm
from keeper.services.pricing.scores import Scores
from keeper.services.pricing.telling import Teller

_SAVE_EVERY_NS = 5 * SECOND
_METER_EVERY_NS = SECOND
_HALTED_ADVICE = "a defect in this market's computation: it is not published or liquidated until keeper ctl resume"
_LOOK_EVERY_S = 0.25
"""Without a quote we look all the same: staleness is noticed when quotes stop."""


@dataclass(slots=True)
class Folds:
    """What one component remembers. Written by its service alone."""

    markets: dict[MarketId, MarketFold] = field(default_factory=dict)
    last: dict[IndexId, int] = field(default_factory=dict)
    accepted: dict[IndexId, int] = field(default_factory=dict)
    """Last indices that are the operator's word, until the next that is computed."""
    states: dict[IndexId, IndexState] = field(default_factory=dict)
    """Of the indices that remember."""
    tapes: Tapes = field(default_factory=Tapes)
    priced: Mapping[SourceId, Quote] = field(default_factory=dict)
    """The quotes of the last tick."""
    indices: dict[IndexId, IndexPrice | Withheld] = field(default_factory=dict)
    """What each index came to last."""
    rates: Mapping[IndexId, tuple[IndexId, ...]] = field(default_factory=dict)
    users: Mapping[SourceId, tuple[IndexId, ...]] = field(default_factory=dict)
    """The indices that each source has a vote in."""
    converting: frozenset[IndexId] = frozenset()
    """The indices that convert for others."""
    halted: set[MarketId] = field(default_factory=set)
    told: dict[str, str] = field(default_factory=dict)
    scores: Scores = field(default_factory=Scores)
    shown: bool = False
    """It is saved by which other name this is to be found."""
    saved_at: int = 0
    metered_at: int = 0


@dataclass(frozen=True, slots=True)
class Boards:
    """What pricing reads and what it writes (`indices`, `prices`, `scores`)."""

    quotes: Board[SourceId, Quote]
    books: Board[SourceId, Depth]
    trades: Board[SourceId, Trade]
    states: Board[DeploymentId, ChainState]
    paused: Board[MarketId, str]
    indices: Board[IndexId, IndexPrice | Withheld]
    prices: Board[MarketId, PricedMarket]
    scores: Board[IndexId, ScoreState] = field(default_factory=Board)
    sequencer: Board[str, Sequencer] = field(default_factory=Board)
    """Empty where the chain is no rollup."""


@dataclass(frozen=True, slots=True)
class PricingService:
    """`specs` in the order of their conversion. A market whose step fails is halted; the others go on."""

    specs: tuple[IndexSpec, ...]
    plans: tuple[MarketPlan, ...]
    boards: Boards
    store: StateStore
    clock: Clock
    pulse: Pulse
    meter: Meter
    log: EventLog
    min_interval_s: float = 0.05
    """Small moves gather for so long; a far one is priced at once."""
    folds: Folds = field(default_factory=Folds)
    teller: Teller = field(init=False)

    def __post_init__(self) -> None:
        folds = self.folds
        folds.rates, folds.tapes, folds.users = rates_behind(self.specs), Tapes.of(self.specs), users_of(self.specs)
        folds.converting = frozenset(rate for behind in folds.rates.values() for rate in behind)
        folds.scores = Scores.of(self.specs)
        object.__setattr__(self, "teller", Teller(self.meter, self.log))

    @property
    def name(self) -> str:
        return f"pricing:{self.specs[-1].id}"

    @property
    def snapshots(self) -> tuple[str, ...]:
        """Names that a service of these indices may have had: it is called by its last one, and a reload may change which that is."""
        return tuple(f"pricing:{spec.id}" for spec in self.specs)

    async def run(self) -> None:
        self.pulse.expect(self.name, 10)
        self._restore()
        loop, alarm = asyncio.get_running_loop(), Alarm(lambda: self.folds.priced, self._far_bps())
        self.boards.quotes.follow(alarm.heard)
        self.boards.trades.follow(self.folds.tapes.heard)
        try:
            while True:
                seen, began = self.boards.quotes.version, loop.time()
                alarm.moved()  # all of it is priced now
                self.tick(self.clock.now())
                self.pulse.beat(self.name)
                await self._rest(began + self.min_interval_s, alarm)
                await first_change((self.boards.quotes, seen), timeout_s=_LOOK_EVERY_S)
        finally:
            self.boards.quotes.unfollow(alarm.heard)
            self.boards.trades.unfollow(self.folds.tapes.heard)
            self._save(self.clock.now())

    def _far_bps(self) -> int | None:
        return min((plan.policy.deviation_bps for plan in self.plans), default=None)

    async def _rest(self, until: float, alarm: Alarm) -> None:
        """Lets small moves gather until then. What moves as far as half a push is priced at once."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                while True:
                    await alarm.rung.wait()
                    self.tick(self.clock.now(), alarm.moved())

    def tick(self, now: Timestamp, moved: Collection[SourceId] | None = None) -> None:
        """Prices everything once, or only what concerns the sources that moved, from one snapshot.

        Synchronous: nothing can change meanwhile.
        """
        quotes = self.boards.quotes.snapshot()
        folds = self.folds
        last, accepted, before = dict(folds.last), dict(folds.accepted), folds.indices
        specs, traded = self.specs if moved is None else self._concerned(moved), folds.tapes.traded(now)
        indices = price_component(specs, quotes, last, now, folds.states, traded, folds.scores.benched, before)
        self.folds.priced = quotes
        before.update(indices)
        for index, priced in indices.items():
            if isinstance(priced, IndexPrice):
                self.folds.last[index] = priced.exact_e18
                self.folds.accepted.pop(index, None)
            if priced.fold is not None:
                self.folds.states[index] = priced.fold.after
            self.boards.indices.put(index, priced)
        for plan in self.plans:
            if plan.spec.id in indices and plan.market not in self.folds.halted:
                seen = self._seen(plan, quotes, indices, last)
                self._market(plan, seen._replace(accepted=accepted) if accepted else seen, now)
        self.teller.indices(indices)
        if moved is not None:
            return
        self._score(indices, now)
        if not 0 <= now - self.folds.metered_at < _METER_EVERY_NS:
            self.folds.metered_at = now
            self._gauges(indices, now)
        if not 0 <= now - self.folds.saved_at < _SAVE_EVERY_NS:
            self._save(now)

    def _score(self, indices: Mapping[IndexId, IndexPrice | Withheld], now: Timestamp) -> None:
        """What this tick says of its sources counts from the next one on."""
        turns = self.folds.scores.look(indices, now)
        self.teller.scores(turns)
        for turn in turns:
            self.boards.scores.put(turn.spec.id, turn.after)

    def _concerned(self, moved: Collection[SourceId]) -> tuple[IndexSpec, ...]:
        """The indices of these sources and those that convert for them; all, if one of theirs converts for others."""
        wanted = {index for source in moved for index in self.folds.users.get(source, ())}
        if not wanted.isdisjoint(self.folds.converting):
            return self.specs
        wanted.update(rate for index in tuple(wanted) for rate in self.folds.rates[index])
        return tuple(spec for spec in self.specs if spec.id in wanted)

    def accept(self, market: MarketId) -> bool:
        """The operator's word for two sources that confirm each other but not the last index: their level is the last
        index from now on. Three sources need nobody's word.
        """
        for plan in self.plans:
            found = self.boards.indices.get(plan.spec.id)
            if plan.market != market or not isinstance(found, Withheld) or found.reason is not WithheldReason.PAIR:
                continue
            low, high = sorted(vote.price_e18 for vote in found.inputs)
            if exceeds_bps(high, low, plan.spec.pair_bps):
                continue
            level = (low + high) // 2
            self.folds.last[plan.spec.id] = self.folds.accepted[plan.spec.id] = level
            self.log.warning("index.accepted", market=plan.spec.id, price=text_of(level), sources=len(found.inputs))
            return True
        return False

    def lift(self, market: MarketId) -> bool:
        """The operator has looked at a market whose condition is HALT: it is judged anew."""
        fold = self.folds.markets.get(market)
        rules = next((plan.condition for plan in self.plans if plan.market == market), None)
        if fold is None or rules is None or fold.condition.condition is not Condition.HALT:
            return False
        self.folds.markets[market] = fold._replace(condition=rules.resumed(fold.condition))
        self.log.warning("condition.lifted", market=market, causes=[cause.value for cause in fold.condition.causes])
        self.folds.saved_at = 0
        return True

    def resume(self, market: MarketId) -> bool:
        """Takes a market up again that a defect halted, from a fresh start of its moving state."""
        if market not in self.folds.halted:
            return False
        self.folds.halted.discard(market)
        self.folds.markets.pop(market, None)
        self.folds.saved_at = 0
        self.meter.gauge("keeper_breaker_open", 0, market=market, reason="halted")
        return True

    def _seen(
        self,
        plan: MarketPlan,
        quotes: Mapping[SourceId, Quote],
        indices: Mapping[IndexId, IndexPrice | Withheld],
        last: Mapping[IndexId, int],
    ) -> Seen:
        book = self.boards.books.get(plan.book) if plan.book is not None else None
        trade = self.boards.trades.get(plan.book) if plan.book is not None else None
        chain = self.boards.states.get(plan.deployment)
        paused = self.boards.paused.get(plan.market) is not None
        rates, sequencer = self.folds.rates[plan.spec.id], self.boards.sequencer.get("sequencer")
        return Seen(quotes, indices, last, book, trade, chain, paused, rates, sequencer=sequencer)

    def _market(self, plan: MarketPlan, seen: Seen, now: Timestamp) -> None:
        """The fence of one market: its failure halts it and nothing else."""
        fold = self.folds.markets.get(plan.market) or MarketFold(plan.mark.start())
        try:
            after, priced = step(plan, fold, seen, now)
        except Exception as error:
            self._stopped(plan.market)
            self.log.critical(
                "market.halted", market=plan.market, error=repr(error), advice=_HALTED_ADVICE, exc_info=True
            )
            return
        self.folds.markets[plan.market] = after
        self.boards.prices.put(plan.market, priced)
        self._tell_market(priced)
        self.teller.session(priced)
        if self.teller.condition(priced):
            self.folds.saved_at = 0  # a halt must outlive whatever comes next

    def _stopped(self, market: MarketId) -> None:
        """By a defect. It outlives a restart: nobody has looked yet."""
        self.folds.halted.add(market)
        self.folds.saved_at = 0
        self.boards.prices.drop(market)
        self.meter.gauge("keeper_breaker_open", 1, market=market, reason="halted")

    def _tell_market(self, priced: PricedMarket) -> None:
        """Changes of the guard, once each."""
        market, verdict = priced.plan.market, priced.guard
        word = "held" if isinstance(verdict, Held) else "pass"
        before = self.folds.told.get(f"guard:{market}")
        if word == before:
            return
        self.folds.told[f"guard:{market}"] = word
        self.meter.gauge("keeper_breaker_open", 1 if word == "held" else 0, market=market, reason="jump")
        if isinstance(verdict, Held):
            self.log.warning(
                "breaker.tripped", market=market, reason=verdict.reason.value, price=text_of(verdict.price_e18),
                jump_bps=verdict.jump_bps, detail=verdict.detail,
            )  # fmt: skip
        elif isinstance(verdict, Pass) and before == "held":
            self.log.warning(
                "breaker.reset", market=market, price=text_of(verdict.price_e18), confirmed=verdict.confirmed
            )

    def _gauges(self, indices: Mapping[IndexId, IndexPrice | Withheld], now: Timestamp) -> None:
        for index, priced in indices.items():
            self.meter.gauge("keeper_index_sources", len(priced.inputs), market=index)
            if isinstance(priced, IndexPrice):
                self.meter.gauge("keeper_index_price", float(decimal_of(priced.price_e18)), market=index)
            for vote in priced.inputs:
                age = (now - (vote.quote.observed_at or vote.quote.received_at)) / SECOND
                self.meter.gauge("keeper_quote_age_seconds", age, source=vote.source, market=index)
        for plan in self.plans:
            priced_market = self.boards.prices.get(plan.market)
            # What a defect has halted is halted.
            condition = Condition.HALT if priced_market is None else priced_market.condition.condition
            self.meter.gauge("keeper_market_condition", condition, market=plan.market)
            if priced_market is not None and priced_market.marked is not None:
                mark = priced_market.marked.mark.price_e18
                self.meter.gauge("keeper_mark_price", float(decimal_of(mark)), market=plan.market)
                apart = mark / priced_market.marked.entry.index_e18 - 1
                self.meter.gauge("keeper_mark_divergence_ratio", apart, market=plan.market)
                if (rated := priced_market.marked.rated) is not None:
                    rate = float(decimal_of(rated.estimate.charge.rate_e18))
                    self.meter.gauge("keeper_funding_estimate_ratio", rate, market=plan.market)

    def _save(self, now: Timestamp) -> None:
        """The moving states, so that a restart goes on where this process stopped; once, by the other names, where they are."""
        self.folds.saved_at = now
        folds = self.folds
        scores, halted = folds.scores.to_plain(), frozenset(folds.halted)
        found = Remembered(folds.markets, folds.states, folds.last, scores, halted=halted, rules=self._rules())
        try:
            self.store.save(self.name, snapshot(found, self.plans, now))
            for name in () if self.folds.shown else self.snapshots[:-1]:
                self.store.save(name, elsewhere(self.name))
            self.folds.shown = True
        except TransientError as error:  # tried again as often as it is saved
            self.log.warning("state.unsaved", name=self.name, error=str(error))

    def _restore(self) -> None:
        """The newest of what is saved of each market and index, by whichever name."""
        found, known = list[Remembered](), self._rules()
        for name in dict.fromkeys(where_of(self.store.load(name)) or name for name in self.snapshots):
            text = self.store.load(name)
            try:
                found += [] if text is None else [remembered(text, self.plans, known)]
            except UNREADABLE as error:
                self._refused(repr(error))
        for each in sorted(found, key=lambda each: each.at_s):
            self._taken(each)
        for market in sorted(self.folds.halted):
            self._stopped(market)
            self.log.critical("market.halted", market=market, error="before the restart", advice=_HALTED_ADVICE)
        for index, state in self.folds.scores.states.items():
            self.boards.scores.put(index, state)

    def _rules(self) -> dict[IndexId, str]:
        """By which rule each index judges its outliers, empty for the band."""
        return {spec.id: "" if spec.outliers is None else spec.outliers.name for spec in self.specs}

    def _taken(self, found: Remembered) -> None:
        for why in found.refused:
            self._refused(why)
        self.folds.halted.difference_update(found.markets)
        self.folds.halted.update(found.halted)
        self.folds.markets.update(found.markets)
        self.folds.states.update(found.states)
        self.folds.last.update(found.last)
        self.folds.scores.restore(found.scores, lambda error: self._refused(repr(error)))

    def _refused(self, why: str) -> None:
        self.log.warning("pricing.snapshot_refused", service=self.name, error=why)
