"""Liquidates what is under water, worst first, while the price behind it is beyond doubt.

Judged at each head on the accounts and prices of that very block, confirmed by the chain's own preview at the same
block, and simulated as one batch before it is sent. Judged also as soon as a node has taken a price of ours, on the
state that this price will make: the liquidation follows it at the next nonce, simulated on the pending block, and both
are mined together. A lost race is not an error.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from keeper.domain.account import Account
from keeper.domain.ahead import UnderWay, with_report
from keeper.domain.chain import At, BlockRef, Call
from keeper.domain.deleverage import DeleverageStep, plan_all
from keeper.domain.exchange import ChainState
from keeper.domain.gate import Open
from keeper.domain.holdings import Holdings
from keeper.domain.ids import Address, DeploymentId, MarketId
from keeper.domain.liquidation import FREE, LiquidationCandidate, LiquidationPlan, plan_batch, rank
from keeper.domain.margin import STALE_GRACE_S
from keeper.domain.market import PricedMarket
from keeper.domain.numbers import text_of
from keeper.domain.time import SECOND, Timestamp, from_seconds
from keeper.domain.transaction import OPEN_INTENTS, Expectation, Intent, IntentState, Lane, Outcome
from keeper.errors import DataError, Reverted, RpcError, TransientError
from keeper.ports.chain import ChainReader
from keeper.ports.clock import Clock
from keeper.ports.deployment import Deployment
from keeper.ports.log import EventLog
from keeper.ports.meter import Meter
from keeper.ports.protocol import LiquidationRequest
from keeper.ports.signer import Coordinator
from keeper.runtime.board import Board, first_change
from keeper.runtime.mailbox import Mailbox
from keeper.runtime.pulse import Pulse

Act = tuple[Call, tuple[Expectation, ...]]

_TIMEOUT_S = 5.0
_WANTED_S = 30
_MAX_DELEVERAGE = 10
_FUND_SHORT = 6
_DONE_BLOCKS = 3
"""So deep, what a batch has not touched is left as it is. A deeper reorganisation costs the gas of a revert."""


@dataclass(frozen=True, slots=True)
class LiquidationStatus:
    """Of one deployment, at block `block`."""

    block: int = 0
    liquidatable: Mapping[MarketId, int] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Claims:
    """Which intent is to close which position. Written by the liquidation service alone."""

    intents: dict[str, Intent] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LiquidationService:
    """One per deployment. `liquidator` is the address that sends, and earns the reward."""

    deployment: Deployment
    liquidator: Address
    holdings: Board[DeploymentId, Holdings]
    states: Board[DeploymentId, ChainState]
    prices: Board[MarketId, PricedMarket]
    paused: Board[MarketId, str]
    underway: Board[DeploymentId, UnderWay]
    statuses: Board[DeploymentId, LiquidationStatus]
    intents: Mailbox[Intent]
    outcomes: Board[str, Outcome]
    reader: ChainReader
    coordinator: Coordinator
    clock: Clock
    pulse: Pulse
    meter: Meter
    log: EventLog
    claims: Claims = field(default_factory=Claims)

    @property
    def name(self) -> str:
        return f"liquidations:{self.deployment.id}"

    async def run(self) -> None:
        self.pulse.expect(self.name, 60)
        judged: tuple[str, frozenset[int], str] | None = None
        while True:
            seen = (self.holdings.version, self.states.version, self.prices.version, self.outcomes.version)
            held, state = self.holdings.get(self.deployment.id), self.states.get(self.deployment.id)
            if held is not None and state is not None and held.cursor.hash == state.at.hash:
                allowed, coming = self._allowed(self.clock.now()), self._coming()
                if judged is None or judged[:2] != (state.at.hash, allowed):
                    judged = (state.at.hash, allowed, "")
                    await self._judge(held, state, allowed, state.at)
                elif coming is not None and judged[2] != coming.intent_id:
                    judged = (*judged[:2], coming.intent_id)
                    await self._judge(held, with_report(state, coming.report), allowed, "pending")
            self.pulse.beat(self.name)
            await first_change(
                (self.holdings, seen[0]),
                (self.states, seen[1]),
                (self.prices, seen[2]),
                (self.outcomes, seen[3]),
                timeout_s=5.0,
            )

    def _coming(self) -> UnderWay | None:
        """The report that a node has taken and no block yet."""
        found = self.underway.get(self.deployment.id)
        outcome = self.outcomes.get(found.intent_id) if found is not None else None
        return found if outcome is not None and outcome.state is IntentState.ACTIVE else None

    def _allowed(self, now: Timestamp) -> frozenset[int]:
        """Markets whose gate is open, which are not paused and which the operator lets us liquidate."""
        allowed = set()
        for market_no, market in self.deployment.markets.items():
            priced = self.prices.get(market)
            if priced is None or abs(now - priced.as_of) > 2 * SECOND or self.paused.get(market) is not None:
                continue
            if isinstance(priced.gate, Open) and priced.plan.liquidation.enabled:
                allowed.add(market_no)
        return frozenset(allowed)

    async def _judge(self, held: Holdings, state: ChainState, allowed: frozenset[int], at: At) -> None:
        """`at` is the block of `state`, or `pending` for a state that is still to come."""
        now_s = state.at.timestamp_s
        ranked = rank(held.below(state), state, now_s, engine=held.engine)
        if at != "pending":
            self._count(ranked, state)
        if not ranked or not allowed or not self.coordinator.is_leader(self.deployment.id):
            return
        shut = self._shut(state, allowed)
        mine = [found for found in ranked if found.market_no in allowed and self._free(found, held, shut, state.at)]
        batch = plan_batch(
            mine, held.accounts, state, now_s, engine=held.engine, liquidator=self.liquidator, limit=self._limit()
        )
        accounts = {**held.accounts, **batch.accounts}
        steps = self._steps(mine, batch.plans, accounts, state, held.engine, shut) if at != "pending" else ()
        keys = {plan.account: _last(held.accounts[plan.account]) for plan in batch.plans}
        marks = {step.bankrupt: _last(held.accounts.get(step.bankrupt)) for step in steps}
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._liquidate(batch.plans, keys, state, at)
                await self._deleverage(steps, marks, state, lead=not batch.plans)
        except (TransientError, Reverted, TimeoutError) as error:
            self.log.warning("liquidation.deferred", block=state.at.number, error=repr(error))
        except DataError as error:
            self.log.exception(
                "liquidation.unreadable",
                block=state.at.number,
                error=repr(error),
                advice="the node refuses or garbles a simulation: compare the endpoints with `keeper check`",
            )

    def _limit(self) -> int:
        plans = [priced.plan for priced in map(self.prices.get, self.deployment.markets.values()) if priced is not None]
        return max((plan.liquidation.max_batch for plan in plans), default=1)

    def _shut(self, state: ChainState, allowed: frozenset[int]) -> frozenset[int]:
        """Markets whose price is in doubt, so that no account that holds them is touched.

        One without a price for longer than the contract's grace shields nobody any more, as on chain.
        """
        doubted = set(self.deployment.markets) - allowed
        oldest_s = state.at.timestamp_s - STALE_GRACE_S
        feeds = {no: state.feeds[no] for no in doubted if no in state.feeds}
        return frozenset(no for no, feed in feeds.items() if feed.observed_at_s >= oldest_s)

    def _free(self, found: LiquidationCandidate, held: Holdings, shut: frozenset[int], at: BlockRef) -> bool:
        """Every price behind the account's health must be beyond doubt, and nobody of us be at it already."""
        account = held.accounts[found.account]
        if not shut.isdisjoint(account.positions):
            return False
        return not self._is_claimed(_key(account, found.market_no), at)

    async def _liquidate(
        self, plans: Sequence[LiquidationPlan], lasts: Mapping[Address, str], state: ChainState, at: At
    ) -> None:
        confirmed = list(plans) if isinstance(at, str) else await self._confirmed(plans, at)
        passing = await self._passing(confirmed, at)
        if passing is None:
            return
        confirmed, act = passing
        keys = [f"{plan.account}:{plan.market_no}:{lasts[plan.account]}" for plan in confirmed]
        intent = self._intent(f"{len(keys)}:{_digest(keys)}", act, state)
        if not self.intents.offer(intent):
            self.log.warning("liquidation.deferred", block=_name(at), error="the outbox is full")
            return
        self._claim(keys, intent, state)
        for plan in confirmed:
            market = self.deployment.markets[plan.market_no]
            self.log.info(
                "liquidation.submitted",
                market=market,
                account=plan.account,
                size=text_of(plan.size_e18),
                equity_units=plan.equity,
                maintenance_units=plan.maintenance,
                loss_units=plan.loss,
                block=_name(at),
                intent_id=intent.id,
            )

    async def _confirmed(self, plans: Sequence[LiquidationPlan], at: BlockRef) -> list[LiquidationPlan]:
        """Those that the chain itself would liquidate at this block. Where it disagrees with us, a human should look.

        Its preview is of each by itself and without a limit: FUND_SHORT is no word on one that others precede, or on the
        part that the fund can pay for.
        """
        if not plans:
            return []
        query = self.deployment.protocol.previews([(plan.account, plan.market_no) for plan in plans])
        previews = await self.reader.ask(query, at)
        kept = []
        for index, (plan, preview) in enumerate(zip(plans, previews, strict=True)):
            same = (preview.equity_units, preview.maintenance_units) == (plan.equity, plan.maintenance)
            if not same and index == 0:
                self.meter.count("keeper_health_disagreements_total", protocol=self.deployment.id)
                self.log.error(
                    "liquidation.disagreed",
                    account=plan.account,
                    block=at.number,
                    ours=(plan.equity, plan.maintenance),
                    chain=(preview.equity_units, preview.maintenance_units),
                    advice="our arithmetic and the contract's differ: compare the contract's version with ours",
                )
            limited = index > 0 or plan.max_size_e18 != FREE
            if preview.reason == 0 or (limited and preview.reason == _FUND_SHORT):
                kept.append(plan)
            else:
                self.log.info("liquidation.skipped", account=plan.account, reason=preview.reason, block=at.number)
        return kept

    async def _passing(self, plans: list[LiquidationPlan], at: At) -> tuple[list[LiquidationPlan], Act] | None:
        """The first of them that pass together. Fewer where a node cannot say why all do not: the dearest accounts need
        more gas than one transaction may have, and the rest is asked for at the next head.
        """
        while plans:
            act = self.deployment.protocol.liquidate(
                [LiquidationRequest(plan.account, plan.market_no, plan.max_size_e18) for plan in plans]
            )
            try:
                await self.reader.simulate(act[0], self.liquidator, at)
            except Reverted as error:
                self._refused(error, at)
                if error.data:
                    return None
            except RpcError as error:
                if len(plans) == 1:
                    raise
                self.log.info("liquidation.refused", reason="refused", detail=str(error), block=_name(at))
            else:
                return plans, act
            plans = plans[: len(plans) // 2]
        return None

    async def _simulated(self, call: Call, at: At) -> bool:
        try:
            await self.reader.simulate(call, self.liquidator, at)
        except Reverted as error:
            self._refused(error, at)
            return False
        return True

    def _refused(self, error: Reverted, at: At) -> None:
        revert = self.deployment.protocol.explain_revert(error.data)
        self.log.info("liquidation.refused", reason=revert.name, detail=revert.detail, block=_name(at))

    def _steps(
        self,
        mine: Sequence[LiquidationCandidate],
        plans: Sequence[LiquidationPlan],
        accounts: Mapping[Address, Account],
        state: ChainState,
        engine: Address,
        shut: frozenset[int],
    ) -> Sequence[DeleverageStep]:
        """The next calls of `deleverage`, for those that the fund cannot pay for, and for ENGINE itself under water."""
        helped = {plan.account for plan in plans}
        under = dict.fromkeys(found.account for found in mine if found.account not in helped)
        free = [each for each in (*under, engine) if each in accounts and shut.isdisjoint(accounts[each].positions)]
        return plan_all(free, state, accounts, state.at.timestamp_s, engine=engine)[:_MAX_DELEVERAGE]

    async def _deleverage(
        self, steps: Sequence[DeleverageStep], lasts: Mapping[Address, str], state: ChainState, lead: bool
    ) -> None:
        """In order: each was planned on what the ones before it leave, so only the first can be simulated by itself.

        A step uses up one of its two, so that none is wanted for the pair while it is under way, whatever else changes them.
        """
        for number, step in enumerate(steps):
            pair = f"adl:{step.bankrupt}:{step.counterparty}:{step.market_no}"
            if self._is_claimed(pair, state.at):
                continue
            act = self.deployment.protocol.deleverage(step.bankrupt, step.counterparty, step.market_no, step.size_e18)
            if number == 0 and lead and not await self._simulated(act[0], state.at):
                return
            intent = self._intent(f"{pair}:{lasts[step.bankrupt]}", act, state)
            if not self.intents.offer(intent):
                return
            self._claim([pair], intent, state)
            self.log.warning(
                "deleverage.submitted",
                market=self.deployment.markets[step.market_no],
                account=step.bankrupt,
                counterparty=step.counterparty,
                size=text_of(step.size_e18),
                loss_units=step.loss,
                cover_units=step.cover,
                block=state.at.number,
                intent_id=intent.id,
            )

    def _intent(self, key: str, act: Act, state: ChainState) -> Intent:
        deadline = from_seconds(state.at.timestamp_s + _WANTED_S)
        return self.deployment.intent(Lane.LIQUIDATION, key, act, self.clock.now(), deadline)

    def _is_claimed(self, key: str, at: BlockRef) -> bool:
        """Whether an intent is at it. One of which nobody tells anything is given up when it is too late: only the
        newest outcomes are kept, and asking again costs nothing, for the outbox knows what is under way. One that is mined
        leaves as it was whom the contract has passed over.
        """
        claim = self.claims.intents.get(key)
        if claim is None:
            return False
        outcome = self.outcomes.get(claim.id)
        if outcome is None:
            return claim.deadline is None or from_seconds(at.timestamp_s) <= claim.deadline
        if outcome.state is IntentState.MINED and outcome.receipt is not None:
            return at.number < outcome.receipt.block_number + _DONE_BLOCKS - 1
        return outcome.state in OPEN_INTENTS

    def _claim(self, keys: Sequence[str], intent: Intent, state: ChainState) -> None:
        """Remembers what is under way, and forgets what is settled."""
        still = {key: claim for key, claim in self.claims.intents.items() if self._is_claimed(key, state.at)}
        self.claims.intents = {**still, **dict.fromkeys(keys, intent)}

    def _count(self, ranked: Sequence[LiquidationCandidate], state: ChainState) -> None:
        counts = dict.fromkeys(self.deployment.markets.values(), 0)
        for found in ranked:
            market = self.deployment.markets.get(found.market_no)
            if market is not None:
                counts[market] += 1
        for market, count in counts.items():
            self.meter.gauge("keeper_accounts_liquidatable", count, market=market)
        self.statuses.put(self.deployment.id, LiquidationStatus(state.at.number, counts))


def _name(at: At) -> int | str:
    return at if isinstance(at, str) else at.number


def _key(account: Account, market_no: int) -> str:
    return f"{account.address}:{market_no}:{_last(account)}"


def _last(account: Account | None) -> str:
    """Block and log index of the account's last event: the identity of its state."""
    if account is None or account.last is None:
        return "0:0"
    return f"{account.last.block_number}:{account.last.log_index}"


def _digest(keys: Sequence[str]) -> str:
    return hashlib.blake2b("\n".join(sorted(keys)).encode(), digest_size=16).hexdigest()
