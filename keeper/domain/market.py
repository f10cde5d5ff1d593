"""One market's tick: index in, mark, premium, guard and gate out. Pure; the service only carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from keeper.domain.condition import START, Condition, ConditionRules, ConditionState, Reading
from keeper.domain.conversion import rates_of
from keeper.domain.exchange import ChainState, FeedState, MarketState
from keeper.domain.funding import predict
from keeper.domain.gate import Doubt, Gate, GateInputs, GateState, Open, Shut
from keeper.domain.guard import Guard, GuardState, Held, Pass
from keeper.domain.ids import DeploymentId, IndexId, MarketId, SourceId
from keeper.domain.index import IndexFlag, IndexPrice, IndexSpec, Withheld
from keeper.domain.index_spec import SourceSpec
from keeper.domain.mark.method import FundingEstimate, MarkInputs, MarkMethod, MarkPrice, Plain
from keeper.domain.mark.references import references_of
from keeper.domain.mark.stride import begun_anew
from keeper.domain.numbers import deviation_bps
from keeper.domain.off_hours import SessionFold, SessionTurn, session_turn
from keeper.domain.premium import CarriedPremium, ImpactPrices, impact_prices, premium_of, readable
from keeper.domain.publishing import PublishPolicy
from keeper.domain.quote import Depth, Quotes, Trade
from keeper.domain.rates.fold import Rated, RatePlan, RateState
from keeper.domain.rates.method import RateInputs
from keeper.domain.report import MarketPrice
from keeper.domain.sequencer import Sequencer
from keeper.domain.session import OffHours, Phase, SessionRules
from keeper.domain.time import SECOND, Timestamp, to_seconds


@dataclass(frozen=True, slots=True)
class LiquidationRules:
    enabled: bool = True
    max_batch: int = 20


@dataclass(frozen=True, slots=True)
class MarketPlan:
    """What an operator chose for one perpetual. `spec` is its index; `book` its own order book's source, if it has one.

    `references`: other venues' perpetuals, for the mark methods that look at them.
    `rates` is the funding method that is shown beside the chain's own, if one was chosen.
    """

    market: MarketId
    market_no: int
    deployment: DeploymentId
    spec: IndexSpec
    mark: MarkMethod[Any]
    policy: PublishPolicy
    guard: Guard
    gate: Gate
    book: SourceId | None = None
    impact_notional_e18: int = 0
    premium_carry_ns: int = 15 * SECOND
    book_max_age_ns: int = 5 * SECOND
    liquidation: LiquidationRules = field(default_factory=LiquidationRules)
    references: tuple[SourceSpec, ...] = ()
    rates: RatePlan | None = None
    config_hash: str = ""
    """Of the configuration that this was chosen in: what a decision's record names."""
    condition: ConditionRules = field(default_factory=ConditionRules)
    session: SessionRules | None = None
    """Of an underlying that does not trade at all times."""


class Prediction(NamedTuple):
    """The estimate of a second, and what it was made of: it holds until one of them is another."""

    market: MarketState
    feed: FeedState
    now_s: int
    estimate: FundingEstimate


# Tuples and not dataclasses, because each tick makes them anew for each market.
class MarketFold(NamedTuple):
    """What one market remembers from tick to tick. `guard` is None until the chain's price is known."""

    mark: Any
    guard: GuardState | None = None
    premium: CarriedPremium = CarriedPremium()
    gate: GateState = GateState()
    funding: Prediction | None = None
    rates: RateState | None = None
    condition: ConditionState = START
    session: SessionFold = SessionFold()


class Seen(NamedTuple):
    """What a tick looks at: snapshots taken at one instant."""

    quotes: Quotes
    indices: Mapping[IndexId, IndexPrice | Withheld]
    last: Mapping[IndexId, int]
    book: Depth | None
    trade: Trade | None
    chain: ChainState | None
    paused: bool
    rates: tuple[IndexId, ...] = ()
    """The indices that convert for the market's, directly or through one another."""
    accepted: Mapping[IndexId, int] = MappingProxyType({})
    """Those of `last` that are the operator's word and no index."""
    sequencer: Sequencer | None = None
    """Of the rollup, where there is one."""


class Marked(NamedTuple):
    """A mark with everything that it and the entry in a report were computed from."""

    mark: MarkPrice
    inputs: MarkInputs
    state_before: Plain
    impact: ImpactPrices | None
    carried_before: CarriedPremium
    entry: MarketPrice
    rated: Rated | None = None


@dataclass(frozen=True, slots=True)
class PricedMarket:
    """One market at one instant. `marked` and `guard` are None while the index is withheld."""

    plan: MarketPlan
    as_of: Timestamp
    index: IndexPrice | Withheld
    marked: Marked | None
    guard: Pass | Held | None
    gate: Open | Shut
    gate_shut_ns: int
    seen: Seen
    guard_before: GuardState | None = None
    condition: ConditionState = START
    condition_before: ConditionState = START
    session: SessionTurn | None = None

    @property
    def heartbeat_only(self) -> bool:
        """A price that is held while its underlying does not trade: the chain needs to see that it is alive, no more."""
        return self.closed and self.plan.session is not None and self.plan.session.off_hours is OffHours.HOLD

    @property
    def closed(self) -> bool:
        """Its underlying's calendar says so."""
        return self.session is not None and self.session.hours.phase is Phase.CLOSED

    @property
    def publishable(self) -> Marked | None:
        """What may go on chain now: a mark whose index the guard lets pass, in a market whose condition allows it.

        Never one of a held index: the chain holds that price already, and with its true age.
        """
        return self.marked if isinstance(self.guard, Pass) and not self.held and self.condition.publishes else None

    @property
    def held(self) -> bool:
        """The index is an earlier one, for want of sources."""
        return _is_held(self.index)

    def conversions(self) -> tuple[IndexPrice | Withheld, ...]:
        """The indices that convert for this one, in the order of their names."""
        return tuple(self.seen.indices[index] for index in self.seen.rates)


def step(plan: MarketPlan, fold: MarketFold, seen: Seen, now: Timestamp) -> tuple[MarketFold, PricedMarket]:
    """Guard, mark, premium, condition and gate of one market at `now`."""
    index, turn, fold = _in_session(plan, fold, seen, now)
    guard_before = fold.guard or _guard_start(plan, seen.chain)
    guard_state, verdict = _guarded(plan, guard_before, index, now)
    mark_state, premium, funding, marked, rates = fold.mark, fold.premium, fold.funding, None, fold.rates
    if isinstance(index, IndexPrice):
        funding = _predicted(plan, fold.funding, seen.chain, now)
        mark_state, premium, marked = _mark(plan, fold, seen, index, funding, now)
        rated = None if plan.rates is None else _rated(plan.rates, rates, marked)
        if rated is not None:
            rates, marked = rated.after, marked._replace(rated=rated)
        if _is_held(index) or isinstance(verdict, Held):
            # How far the book is from an index that stands still, or that nobody believes yet, is shown and no average's.
            mark_state, premium, rates = fold.mark, fold.premium, fold.rates
    mark_e18 = None if marked is None else marked.mark.price_e18
    reading = reading_of(index, verdict, mark_e18, turn, seen.sequencer)
    condition = plan.condition.step(fold.condition, reading, now)
    further = (*_doubts(plan.condition, condition, now), *_further_doubts(turn, seen.sequencer))
    inputs = GateInputs(index, _observed_at_s(plan, seen.chain), isinstance(verdict, Held), seen.paused, further)
    gate_state, gate = plan.gate.step(fold.gate, inputs, now)
    session = _session_after(turn, fold, verdict, now)
    after = MarketFold(mark_state, guard_state, premium, gate_state, funding, rates, condition, session)
    shut_ns = gate_state.shut_ns
    priced = PricedMarket(
        plan, now, index, marked, verdict, gate, shut_ns, seen, guard_before, condition, fold.condition, turn
    )
    return after, priced


def _in_session(
    plan: MarketPlan, fold: MarketFold, seen: Seen, now: Timestamp
) -> tuple[IndexPrice | Withheld, SessionTurn | None, MarketFold]:
    """The market's index, what its session made of it, and the state to measure it by."""
    index = seen.indices[plan.spec.id]
    if plan.session is None:
        return index, None, fold
    turn = session_turn(plan.session, fold.session, index, own_mid(plan, seen.book, now), now)
    return turn.priced, turn, _reopened(plan, turn, fold)


def _session_after(
    turn: SessionTurn | None, fold: MarketFold, verdict: Pass | Held | None, now: Timestamp
) -> SessionFold:
    """An index that is held closes no session: its price is of before, and stands as the close with its true age."""
    if turn is None:
        return fold.session
    if isinstance(verdict, Pass) and not _is_held(turn.priced):
        return turn.passed(verdict.price_e18, now)
    return turn.after


def _reopened(plan: MarketPlan, turn: SessionTurn, fold: MarketFold) -> MarketFold:
    """A gap is measured from the last close, whatever was published since. How far the book went from it is no basis now."""
    if not turn.reopened:
        return fold
    fold = fold._replace(mark=begun_anew(plan.mark.start(), fold.mark), premium=CarriedPremium())
    close = turn.before.close
    return fold if close is None else fold._replace(guard=GuardState(close.price_e18))


def own_mid(plan: MarketPlan, book: Depth | None, now: Timestamp) -> int | None:
    """Of the own book's impact prices, or of its best ones where the market has no notional; None without a usable book."""
    if book is None or not readable(book, now, plan.book_max_age_ns):
        return None
    if not plan.impact_notional_e18:
        return (book.bids[0].price_e18 + book.asks[0].price_e18) // 2
    impact = impact_prices(book, plan.impact_notional_e18)
    return None if impact is None else impact.mid_e18()


def _further_doubts(turn: SessionTurn | None, sequencer: Sequencer | None) -> tuple[Doubt, ...]:
    found = () if turn is None else turn.doubts
    return found if sequencer is None or sequencer.trusted else (*found, Doubt.SEQUENCER)


def _guard_start(plan: MarketPlan, chain: ChainState | None) -> GuardState | None:
    """The first price is measured against the chain's: a restart must not let a jump through."""
    if chain is None:
        return None
    feed = chain.feeds.get(plan.market_no)
    return plan.guard.start(feed.index_e18 if feed is not None else None)


def reading_of(
    index: IndexPrice | Withheld,
    verdict: Pass | Held | None,
    mark_e18: int | None,
    turn: SessionTurn | None,
    sequencer: Sequencer | None,
) -> Reading:
    """What this tick says of the market's condition. A held index is no new one."""
    closed = turn is not None and turn.hours.phase is Phase.CLOSED
    down = sequencer is not None and not sequencer.trusted
    sources = len(index.inputs)
    if isinstance(index, Withheld):
        return Reading(sources, False, closed=closed, sequencer_down=down)
    apart = None if mark_e18 is None else deviation_bps(mark_e18, index.price_e18)
    flagged = bool(index.flags) and index.degraded
    return Reading(sources, not _is_held(index), flagged, isinstance(verdict, Held), closed, down, apart)


def _is_held(index: IndexPrice | Withheld) -> bool:
    return isinstance(index, IndexPrice) and IndexFlag.HELD in index.flags


def _doubts(rules: ConditionRules, state: ConditionState, now: Timestamp) -> tuple[Doubt, ...]:
    """What the condition adds to the gate's own: STALE is made of what the gate sees for itself."""
    if state.condition is Condition.HALT:
        return (Doubt.HALTED,)
    if state.condition is Condition.DEGRADED and not rules.may_liquidate(state, now):
        return (Doubt.DEGRADED_LONG,)
    return ()


def _guarded(
    plan: MarketPlan, before: GuardState | None, index: IndexPrice | Withheld, now: Timestamp
) -> tuple[GuardState | None, Pass | Held | None]:
    if before is None:
        return None, None
    if isinstance(index, Withheld):
        return plan.guard.skip(before), None
    return plan.guard.step(before, index, now)


def _mark(
    plan: MarketPlan, fold: MarketFold, seen: Seen, index: IndexPrice, funding: Prediction | None, now: Timestamp
) -> tuple[Any, CarriedPremium, Marked]:
    book = seen.book if readable(seen.book, now, plan.book_max_age_ns) else None
    others = (
        references_of(plan.references, seen.quotes, plan.spec, rates_of(plan.spec, seen.indices)[0], now)
        if plan.references
        else ()
    )
    inputs = MarkInputs(plan.market, index, book, seen.trade, funding.estimate if funding else None, now, others)
    state, mark = plan.mark.step(fold.mark, inputs)
    impact = impact_prices(book, plan.impact_notional_e18) if book is not None and plan.impact_notional_e18 else None
    sample = None if impact is None else premium_of(impact, index.price_e18)
    carried, premium = fold.premium.step(sample, now, plan.premium_carry_ns)
    entry = MarketPrice(plan.market, plan.market_no, index.price_e18, mark.price_e18, premium)
    return state, carried, Marked(mark, inputs, fold.mark.to_plain(), impact, fold.premium, entry)


def _rated(plan: RatePlan, before: RateState | None, marked: Marked) -> Rated:
    inputs, price = marked.inputs, marked.mark.price_e18
    seen = RateInputs(inputs.now, inputs.index.price_e18, price, inputs.book, plan.impact_notional_e18)
    return Rated(plan, before, plan.step(before, seen), inputs.now)


def _predicted(
    plan: MarketPlan, before: Prediction | None, chain: ChainState | None, now: Timestamp
) -> Prediction | None:
    """The chain's own rate for the running interval, as far as it is known now; `before` while it is the same."""
    if chain is None or plan.market_no not in chain.markets or plan.market_no not in chain.feeds:
        return None
    market, feed = chain.markets[plan.market_no], chain.feeds[plan.market_no]
    now_s = max(chain.at.timestamp_s, min(to_seconds(now), chain.at.timestamp_s + 60))
    if before is not None and before.now_s == now_s and before.market is market and before.feed is feed:
        return before
    found = predict(market, feed, now_s)
    return Prediction(market, feed, now_s, FundingEstimate(found.rate_e18, found.boundary_s, found.interval_s))


def _observed_at_s(plan: MarketPlan, chain: ChainState | None) -> int | None:
    feed = None if chain is None else chain.feeds.get(plan.market_no)
    return feed.observed_at_s if feed is not None and feed.round_id else None


def by_component(
    groups: Sequence[Sequence[IndexSpec]], plans: Sequence[MarketPlan]
) -> tuple[tuple[tuple[IndexSpec, ...], tuple[MarketPlan, ...]], ...]:
    """Each conversion component with the markets that are priced by one of its indices."""
    return tuple(
        (tuple(group), tuple(plan for plan in plans if plan.spec.id in {spec.id for spec in group})) for group in groups
    )
