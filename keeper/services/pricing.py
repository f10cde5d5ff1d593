"""Quotes to prices, one loop per component of the conversion graph: one snapshot, same-tick conversion."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from keeper.domain.exchange import ChainState
from keeper.domain.guard import Held, Pass
from keeper.domain.ids import DeploymentId, IndexId, MarketId, SourceId
from keeper.domain.index import IndexFlag, IndexPrice, IndexSpec, Withheld, WithheldReason
from keeper.domain.index_state import IndexState
from keeper.domain.market import MarketFold, MarketPlan, PricedMarket, Seen, step
from keeper.domain.numbers import BPS, decimal_of, text_of
from keeper.domain.pricing import price_component, rates_behind
from keeper.domain.pricing_snapshot import UNREADABLE, Remembered, remembered, snapshot
from keeper.domain.quote import Depth, Quote, Trade
from keeper.domain.sequencer import Sequencer
from keeper.domain.session import Phase
from keeper.domain.tape import Tapes
from keeper.domain.time import SECOND, Timestamp, to_seconds
from keeper.ports.clock import Clock
from keeper.ports.journal import StateStore
from keeper.ports.log import EventLog
from keeper.ports.meter import Meter
from keeper.runtime.board import Board, first_change
from keeper.runtime.pulse import Pulse

_SAVE_EVERY_NS = 5 * SECOND
_METER_EVERY_NS = SECOND
_HALF_BPS = 2 * BPS
"""Halves of a basis point in one."""
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
    rates: Mapping[IndexId, tuple[IndexId, ...]] = field(default_factory=dict)
    halted: set[MarketId] = field(default_factory=set)
    told: dict[str, str] = field(default_factory=dict)
    flagged: dict[IndexId, tuple[IndexFlag, ...]] = field(default_factory=dict)
    refused: dict[tuple[IndexId, SourceId], str] = field(default_factory=dict)
    """Sources that an index does without, by the reason told last."""
    saved_at: int = 0
    metered_at: int = 0


@dataclass(slots=True)
class Alarm:
    """Rings when a source has moved as far as half of `limit_bps` since it was priced; never, when that is None."""

    folds: Folds
    limit_bps: int | None
    rung: asyncio.Event = field(default_factory=asyncio.Event)
    _far: set[SourceId] = field(default_factory=set)

    def heard(self, source: SourceId, quote: Quote) -> None:
        before = self.folds.priced.get(source)
        if before is None or self.limit_bps is None:
            return
        old = _middle(before)
        if abs(_middle(quote) - old) * _HALF_BPS >= self.limit_bps * old:
            self._far.add(source)
            self.rung.set()

    def moved(self) -> set[SourceId]:
        """Which have, since it was asked last."""
        far, self._far = self._far, set()
        self.rung.clear()
        return far


@dataclass(frozen=True, slots=True)
class Boards:
    """What pricing reads and what it writes (`indices`, `prices`)."""

    quotes: Board[SourceId, Quote]
    books: Board[SourceId, Depth]
    trades: Board[SourceId, Trade]
    states: Board[DeploymentId, ChainState]
    paused: Board[MarketId, str]
    indices: Board[IndexId, IndexPrice | Withheld]
    prices: Board[MarketId, PricedMarket]
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

    def __post_init__(self) -> None:
        self.folds.rates, self.folds.tapes = rates_behind(self.specs), Tapes.of(self.specs)

    @property
    def name(self) -> str:
        return f"pricing:{self.specs[-1].id}"

    async def run(self) -> None:
        self.pulse.expect(self.name, 10)
        self._restore()
        loop, alarm = asyncio.get_running_loop(), Alarm(self.folds, self._far_bps())
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
        last, accepted = dict(self.folds.last), dict(self.folds.accepted)
        specs = self.specs if moved is None else self._concerned(moved)
        indices = price_component(specs, quotes, last, now, self.folds.states, self.folds.tapes.traded(now))
        self.folds.priced = quotes
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
        self._report(indices)
        if moved is not None:
            return
        if now - self.folds.metered_at >= _METER_EVERY_NS:
            self.folds.metered_at = now
            self._gauges(indices, now)
        if now - self.folds.saved_at >= _SAVE_EVERY_NS:
            self._save(now)

    def _concerned(self, moved: Collection[SourceId]) -> tuple[IndexSpec, ...]:
        """The indices of these sources and those that convert for them; all, if one of theirs converts for others."""
        rates = {peg.index for spec in self.specs for peg in spec.conversions.values()}
        wanted = {spec.id for spec in self.specs if any(source.source in moved for source in spec.sources)}
        if wanted & rates:
            return self.specs
        for spec in reversed(self.specs):
            if spec.id in wanted:
                wanted.update(peg.index for peg in spec.conversions.values())
        return tuple(spec for spec in self.specs if spec.id in wanted)

    def accept(self, market: MarketId) -> bool:
        """The operator's word for two sources that confirm each other but not the last index: their level is the last
        index from now on. Three sources need nobody's word.
        """
        for plan in self.plans:
            found = self.boards.indices.get(plan.spec.id)
            if plan.market != market or not isinstance(found, Withheld) or found.reason is not WithheldReason.PAIR:
                continue
            level = sum(vote.price_e18 for vote in found.inputs) // len(found.inputs)
            self.folds.last[plan.spec.id] = self.folds.accepted[plan.spec.id] = level
            self.log.warning("index.accepted", market=plan.spec.id, price=text_of(level), sources=len(found.inputs))
            return True
        return False

    def resume(self, market: MarketId) -> bool:
        """Takes a halted market up again, from a fresh start of its moving state."""
        if market not in self.folds.halted:
            return False
        self.folds.halted.discard(market)
        self.folds.markets.pop(market, None)
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
            self.folds.halted.add(plan.market)
            self.boards.prices.drop(plan.market)
            self.meter.gauge("keeper_breaker_open", 1, market=plan.market, reason="halted")
            self.log.critical(
                "market.halted",
                market=plan.market,
                error=repr(error),
                advice="a defect in this market's computation: it is not published or liquidated until a restart",
                exc_info=True,
            )
            return
        self.folds.markets[plan.market] = after
        self.boards.prices.put(plan.market, priced)
        self._tell_market(priced)

    def _tell_market(self, priced: PricedMarket) -> None:
        """Changes of the guard and of the session, once each."""
        market, verdict = priced.plan.market, priced.guard
        self._tell_session(priced)
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

    def _tell_session(self, priced: PricedMarket) -> None:
        market, turn = priced.plan.market, priced.session
        if turn is None or turn.hours.phase.value == self.folds.told.get(f"session:{market}"):
            return
        self.folds.told[f"session:{market}"] = turn.hours.phase.value
        self.meter.gauge("keeper_market_open", 1 if turn.hours.phase is Phase.OPEN else 0, market=market)
        until_s = None if turn.hours.until is None else to_seconds(turn.hours.until)
        if turn.hours.phase is Phase.UNKNOWN:
            self.log.error(
                "session.unknown",
                market=market,
                advice="its calendar has ended and nothing is published: renew the calendars, or write a schedule",
            )
        else:
            self.log.info("session.changed", market=market, phase=turn.hours.phase.value, until_s=until_s)
            if priced.plan.session is not None and priced.plan.session.ending(priced.as_of):
                self.log.warning("session.calendar_ending", market=market, calendar=priced.plan.session.calendar.name)

    def _report(self, indices: Mapping[IndexId, IndexPrice | Withheld]) -> None:
        """Changes between computed and withheld, and of each refusal's reason."""
        for index, priced in indices.items():
            self._tell_index(index, priced)
            if isinstance(priced, IndexPrice):
                self._tell_flags(index, priced.flags)
            for refused in priced.rejected:
                key = (index, refused.source)
                if self.folds.refused.get(key) != refused.reason.value:
                    self.folds.refused[key] = refused.reason.value
                    self.meter.count(
                        "keeper_quotes_rejected_total", source=refused.source, market=index, reason=refused.reason.value
                    )
                    self.log.info(
                        "quote.rejected", market=index, source=refused.source, reason=refused.reason.value,
                        detail=refused.detail,
                    )  # fmt: skip
            for vote in priced.inputs if self.folds.refused else ():
                if self.folds.refused.pop((index, vote.source), None) is not None:
                    self.log.info("quote.accepted", market=index, source=vote.source)

    def _tell_index(self, index: IndexId, priced: IndexPrice | Withheld) -> None:
        word = priced.reason.value if isinstance(priced, Withheld) else "computed"
        before = self.folds.told.get(f"index:{index}")
        if word == before:
            return
        self.folds.told[f"index:{index}"] = word
        if isinstance(priced, Withheld):
            self.meter.count("keeper_index_withheld_total", market=index, reason=word)
            self.log.warning("index.withheld", market=index, reason=word, detail=priced.detail)
        else:
            self.log.info("index.computed", market=index, price=text_of(priced.price_e18), sources=len(priced.inputs))

    def _tell_flags(self, index: IndexId, flags: tuple[IndexFlag, ...]) -> None:
        if flags != self.folds.flagged.get(index, ()):
            self.folds.flagged[index] = flags
            self.log.warning("index.flagged", market=index, flags=[flag.value for flag in flags])

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
            if priced_market is not None and priced_market.marked is not None:
                mark = priced_market.marked.mark.price_e18
                self.meter.gauge("keeper_mark_price", float(decimal_of(mark)), market=plan.market)
                if (rated := priced_market.marked.rated) is not None:
                    rate = float(decimal_of(rated.estimate.charge.rate_e18))
                    self.meter.gauge("keeper_funding_estimate_ratio", rate, market=plan.market)

    def _save(self, now: Timestamp) -> None:
        """The moving states, so that a restart goes on where this process stopped."""
        self.folds.saved_at = now
        found = Remembered(self.folds.markets, self.folds.states, self.folds.last)
        self.store.save(self.name, snapshot(found, self.plans, now))

    def _restore(self) -> None:
        text = self.store.load(self.name)
        if text is None:
            return
        try:
            found = remembered(text, self.plans, {spec.id for spec in self.specs})
        except UNREADABLE as error:
            self.log.warning("pricing.snapshot_refused", service=self.name, error=repr(error))
            return
        for why in found.refused:
            self.log.warning("pricing.snapshot_refused", service=self.name, error=why)
        self.folds.markets.update(found.markets)
        self.folds.states.update(found.states)
        self.folds.last.update(found.last)


def _middle(quote: Quote) -> int:
    """Twice what a quote says, roughly: to see whether it moved."""
    if quote.bid_e18 is None or quote.ask_e18 is None:
        return 2 * (quote.last_e18 or 0)
    return quote.bid_e18 + quote.ask_e18
