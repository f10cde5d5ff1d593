"""Marks to signed reports: decide, write the evidence, sign, hand the newest batch to the sender.

A price is never queued: while one is on its way nothing is signed, and when it has landed, or is stuck for
`patience_blocks`, the newest price is decided upon. The sender puts it at the stuck one's nonce.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from keeper.domain.ahead import UnderWay
from keeper.domain.condition import Condition
from keeper.domain.evidence import leaf_of, merkle_root
from keeper.domain.exchange import ChainState
from keeper.domain.ids import Address, DeploymentId, MarketId
from keeper.domain.market import Marked, PricedMarket
from keeper.domain.numbers import decimal_of, text_of
from keeper.domain.provenance import Decision, Occasion, Spelled, canonical_record, session_record
from keeper.domain.publishing import Candidate, Due, Hold, OnChain, Publish, decide_batch, newest
from keeper.domain.quorum import signatures_for, signatures_needed
from keeper.domain.report import PriceReport
from keeper.domain.time import SECOND, Timestamp, from_seconds, to_seconds
from keeper.domain.transaction import Intent, IntentState, Lane, Outcome
from keeper.domain.validity import FRESH_NS, observed_at_s, round_id, valid_until_s
from keeper.errors import SignerUnavailable, TransientError
from keeper.ports.clock import Clock
from keeper.ports.deployment import Deployment
from keeper.ports.journal import DecisionRecord, Decisions, StateStore
from keeper.ports.log import EventLog
from keeper.ports.meter import Meter
from keeper.ports.signer import Attestor, Coordinator
from keeper.runtime.board import Board, first_change
from keeper.runtime.pulse import Pulse

_MAX_BATCH = 32
_ROUND_AHEAD_MS = 1_000
"""A clock that was ahead left a round that lies this far ahead: rounds only rise, and until then nothing is signed."""
_AFTER_THE_SENDER_S = 0.005
"""Words and counts of a batch wait until its transaction is out: for 20 markets they take longer than signing it."""
_LANDED = frozenset({IntentState.MINED, IntentState.CONFIRMED})
_NEVER = Timestamp(0)
_PENDING = frozenset({IntentState.QUEUED, IntentState.ACTIVE})


@dataclass(frozen=True, slots=True)
class PublishStatus:
    """The last decision on one market, and what was pushed by which trigger since the start."""

    kind: str = "hold"
    reason: str = ""
    decided_at: Timestamp = _NEVER
    pushes: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Flight:
    """The report under way. Written by the publishing service alone."""

    intent_id: str | None = None
    since_block: int = 0
    prices: dict[MarketId, OnChain] = field(default_factory=dict)
    triggers: dict[MarketId, str] = field(default_factory=dict)
    refused_at: str = ""
    """Hash of the head at which signatures were missing: they are asked for again at the next."""
    refused_epoch: int | None = None
    last_round: int = 0
    decided_at: Timestamp = _NEVER


@dataclass(frozen=True, slots=True)
class PublishOptions:
    ttl_s: int
    code_version: str
    signers: frozenset[Address]
    """Whose report keys we hold: what a quorum can be met with, as far as the chain knows them."""
    patience_blocks: int = 2


@dataclass(frozen=True, slots=True)
class PublishingService:
    """One per deployment. `slot` holds the newest price intent of each deployment, `outcomes` what became of intents."""

    deployment: Deployment
    prices: Board[MarketId, PricedMarket]
    states: Board[DeploymentId, ChainState]
    paused: Board[MarketId, str]
    statuses: Board[MarketId, PublishStatus]
    slot: Board[DeploymentId, Intent]
    underway: Board[DeploymentId, UnderWay]
    outcomes: Board[str, Outcome]
    attestor: Attestor
    coordinator: Coordinator
    decisions: Decisions
    store: StateStore
    keccak: Callable[[bytes], bytes]
    options: PublishOptions
    clock: Clock
    pulse: Pulse
    meter: Meter
    log: EventLog
    flight: Flight = field(default_factory=Flight)

    @property
    def name(self) -> str:
        return f"publishing:{self.deployment.id}"

    @property
    def _round(self) -> str:
        return f"round:{self.deployment.id}"

    async def run(self) -> None:
        self.pulse.expect(self.name, 30)
        self.flight.last_round = int(self.store.load(self._round) or 0)
        while True:
            seen = (self.prices.version, self.states.version, self.outcomes.version)
            state = self.states.get(self.deployment.id)
            if state is not None:
                await self.consider(state, self.clock.now())
            self.pulse.beat(self.name)
            await first_change((self.prices, seen[0]), (self.states, seen[1]), (self.outcomes, seen[2]), timeout_s=0.5)

    async def consider(self, state: ChainState, now: Timestamp) -> None:
        """Decides on every market of the deployment and pushes those that are due, in one batch."""
        self._landed(state)
        if self.flight.last_round - round_id(now) > _ROUND_AHEAD_MS:
            for market in sorted(self.deployment.markets.values()):
                self._hold(market, "round_ahead", now)
        if self._waits(state) or self.flight.refused_at == state.at.hash or round_id(now) <= self.flight.last_round:
            return
        ready = self._ready(state, now)
        dues = {market: self._due(priced, marked, state) for market, (priced, marked) in ready.items()}
        verdicts = decide_batch(dues, now)
        for market, verdict in verdicts.items():
            self._note(market, verdict, now)
        wanted = [market for market, verdict in sorted(verdicts.items()) if isinstance(verdict, Publish)]
        if wanted and self.coordinator.is_leader(self.deployment.id):
            await self._push(wanted[:_MAX_BATCH], ready, verdicts, state, now)

    def _landed(self, state: ChainState) -> None:
        """Forgets the report under way once the chain holds it, or never will."""
        flight = self.flight
        if flight.intent_id is None:
            return
        outcome = self.outcomes.get(flight.intent_id)
        if outcome is None or outcome.state in _PENDING:
            return
        block = outcome.receipt.block_number if outcome.receipt is not None else 0
        if outcome.state in _LANDED and state.at.number < block:
            return
        word = "done" if outcome.state in _LANDED else outcome.state.value
        for market in flight.prices:
            trigger = flight.triggers.get(market, "")
            self.meter.count("keeper_reports_total", market=market, trigger=trigger, outcome=word)
            if word == "done":
                self.meter.observe("keeper_publish_seconds", (outcome.at - flight.decided_at) / SECOND, market=market)
                self.meter.gauge("keeper_report_last_success_timestamp_seconds", to_seconds(outcome.at), market=market)
        flight.intent_id, flight.prices = None, {}

    def _waits(self, state: ChainState) -> bool:
        """Only for what the chain does not hold yet, whether or not anybody has shown us the receipt."""
        flight = self.flight
        held = any(feed.round_id >= flight.last_round for feed in state.feeds.values())
        patient = state.at.number < flight.since_block + self.options.patience_blocks
        return flight.intent_id is not None and patient and not held

    def _ready(self, state: ChainState, now: Timestamp) -> dict[MarketId, tuple[PricedMarket, Marked]]:
        """Markets with a price that may go out; every other one gets its reason."""
        ready: dict[MarketId, tuple[PricedMarket, Marked]] = {}
        for market in sorted(self.deployment.markets.values()):
            priced = self.prices.get(market)
            refusal = self._refusal(market, priced, state, now)
            if refusal:
                self._hold(market, refusal, now)
            elif priced is not None and priced.publishable is not None:
                ready[market] = priced, priced.publishable
        return ready

    def _refusal(self, market: MarketId, priced: PricedMarket | None, state: ChainState, now: Timestamp) -> str:
        """Why nothing can be published for a market, or an empty text."""
        if state.oracle.paused or self.paused.get(market) is not None:
            return "oracle_paused" if state.oracle.paused else "paused"
        if priced is None or abs(now - priced.as_of) > FRESH_NS:
            return "no_price"
        if priced.seen.sequencer is not None and not priced.seen.sequencer.trusted:
            return "sequencer"
        if priced.publishable is None:
            return _unpublishable(priced)
        feed = state.feeds.get(priced.plan.market_no)
        if feed is None or feed.frozen:
            return "unknown_market" if feed is None else "frozen"
        return ""

    def _due(self, priced: PricedMarket, marked: Marked, state: ChainState) -> Due:
        feed = state.feeds[priced.plan.market_no]
        chain = OnChain(feed.index_e18, feed.mark_e18, feed.observed_at_s, feed.round_id) if feed.round_id else None
        candidate = Candidate(marked.entry.index_e18, marked.entry.mark_e18, priced.heartbeat_only)
        return Due(priced.plan.policy, candidate, chain, self.flight.prices.get(priced.plan.market))

    async def _push(
        self,
        markets: Sequence[MarketId],
        ready: Mapping[MarketId, tuple[PricedMarket, Marked]],
        verdicts: Mapping[MarketId, Publish | Hold],
        state: ChainState,
        now: Timestamp,
    ) -> None:
        markets = self._affordable(markets, ready, state, now)
        if not markets:
            return
        spelled: Spelled = {}
        occasions = {market: self._occasion(*ready[market], verdicts[market], state, now) for market in markets}
        records = [self._record(*ready[market], occasions[market], spelled) for market in markets]
        report = self._report([ready[market][1] for market in markets], records, state, now)
        # Both reach the disk with the signed transaction: no node sees the one without the others.
        try:
            self.decisions.attach(records, "0x" + report.evidence.hex())
            self.store.attach(self._round, str(report.round_id))
        except TransientError as error:
            self.flight.refused_at = state.at.hash
            self.log.warning("report.unwritten", market=",".join(markets), error=str(error))
            return
        self.flight.last_round = report.round_id
        try:
            need = signatures_for(report, state)
            signed = await self.attestor.collect(report, self.deployment.protocol.digest(report), need)
        except SignerUnavailable as error:
            self._unsigned(markets, error, state)
            return
        act = self.deployment.protocol.publish(signed)
        deadline = from_seconds(report.valid_until_s)
        intent = self.deployment.intent(Lane.PRICE, str(report.round_id), act, now, deadline)
        self.flight.intent_id, self.flight.since_block, self.flight.decided_at = intent.id, state.at.number, now
        self.flight.refused_at, self.flight.refused_epoch = "", None
        self.flight.prices = {
            price.market: OnChain(price.index_e18, price.mark_e18, report.observed_at_s, report.round_id)
            for price in report.prices
        }
        self.underway.put(self.deployment.id, UnderWay(report, intent.id))
        self.slot.put(self.deployment.id, intent)
        try:
            await asyncio.sleep(_AFTER_THE_SENDER_S)
        finally:
            self._announce(report, verdicts, intent, need)

    def _affordable(
        self,
        markets: Sequence[MarketId],
        ready: Mapping[MarketId, tuple[PricedMarket, Marked]],
        state: ChainState,
        now: Timestamp,
    ) -> list[MarketId]:
        """Without the markets for which the contract will want more signatures than we can give."""
        oracle, kept = state.oracle, []
        for market in markets:
            entry = ready[market][1].entry
            need = signatures_needed(entry, state.feeds[entry.market_no], oracle.quorum, oracle.super_quorum)
            # A quorum that a rotation took from our keys is the attestor's to complain about: it stops every market.
            ours = self.options.signers
            held = len(ours if need <= oracle.quorum else ours.intersection(oracle.signers))
            if need <= held:
                kept.append(market)
            else:
                self._hold(market, f"signatures: {need} needed, {held} held", now)
        return kept

    def _record(self, priced: PricedMarket, marked: Marked, due: Occasion, spelled: Spelled) -> DecisionRecord:
        indices = (priced.index, *priced.conversions())
        known = {index.index for index in indices}
        decision = Decision(
            entry=marked.entry,
            config_hash=priced.plan.config_hash,
            code_version=self.options.code_version,
            indices=indices,
            quotes=priced.seen.quotes,
            last=priced.seen.last,
            inputs=marked.inputs,
            mark=marked.mark,
            mark_state=marked.state_before,
            impact=marked.impact,
            carried=marked.carried_before,
            notes={"trigger": due.trigger},
            accepted={index: level for index, level in priced.seen.accepted.items() if index in known},
            guard_before=priced.guard_before,
            guard=priced.guard,
            gate=priced.gate,
            due=due,
            rated=marked.rated,
            condition_before=priced.condition_before,
            session=session_record(priced.plan.session, priced.session),
        )
        text = canonical_record(decision, spelled)
        leaf = "0x" + leaf_of(text, self.keccak).hex()
        return DecisionRecord(leaf, "price", priced.plan.market, text)

    def _occasion(
        self, priced: PricedMarket, marked: Marked, verdict: Publish | Hold, state: ChainState, now: Timestamp
    ) -> Occasion:
        due = self._due(priced, marked, state)
        held, round_, block = newest(due.chain, due.in_flight), round_id(now), state.at.number
        if isinstance(verdict, Hold):
            return Occasion(round_, verdict.reason.value, 0, 0, block, held)
        return Occasion(round_, verdict.trigger.value, verdict.deviation_bps, verdict.age_ms, block, held)

    def _report(
        self, marked: Sequence[Marked], records: Sequence[DecisionRecord], state: ChainState, now: Timestamp
    ) -> PriceReport:
        root = merkle_root([bytes.fromhex(each.leaf[2:]) for each in records], self.keccak)
        round_ = round_id(now)
        observed_s = observed_at_s(round_)
        entries = sorted((each.entry for each in marked), key=lambda entry: entry.market_no)
        return PriceReport(
            deployment=self.deployment.id,
            round_id=round_,
            observed_at_s=observed_s,
            valid_until_s=valid_until_s(observed_s, self.options.ttl_s, state.oracle.max_validity_s),
            signer_epoch=state.oracle.signer_epoch,
            evidence=root,
            prices=tuple(entries),
        )

    def _announce(
        self, report: PriceReport, verdicts: Mapping[MarketId, Publish | Hold], intent: Intent, signatures: int
    ) -> None:
        for price in report.prices:
            verdict = verdicts[price.market]
            trigger = verdict.trigger.value if isinstance(verdict, Publish) else ""
            self.flight.triggers[price.market] = trigger
            status = self.statuses.get(price.market) or PublishStatus()
            pushes = {**status.pushes, trigger: status.pushes.get(trigger, 0) + 1}
            self.statuses.put(price.market, PublishStatus("publish", trigger, self.clock.now(), pushes))
            self.meter.gauge("keeper_oracle_price", float(decimal_of(price.mark_e18)), market=price.market)
            self.log.info(
                "report.signed",
                market=price.market,
                trigger=trigger,
                index=text_of(price.index_e18),
                mark=text_of(price.mark_e18),
                premium=text_of(price.premium_e18),
                deviation_bps=verdict.deviation_bps if isinstance(verdict, Publish) else None,
                round_id=report.round_id,
                evidence="0x" + report.evidence.hex(),
                signatures=signatures,
                intent_id=intent.id,
            )

    def _note(self, market: MarketId, verdict: Publish | Hold, now: Timestamp) -> None:
        if isinstance(verdict, Hold):
            self._hold(market, verdict.reason.value, now)

    def _hold(self, market: MarketId, reason: str, now: Timestamp) -> None:
        status = self.statuses.get(market) or PublishStatus()
        if status.kind == "hold" and status.reason == reason:
            return
        self.statuses.put(market, PublishStatus("hold", reason, now, status.pushes))
        if reason not in ("quiet", "min_interval", "not_newer"):
            self.log.info("report.held", market=market, reason=reason)

    def _unsigned(self, markets: Sequence[MarketId], error: SignerUnavailable, state: ChainState) -> None:
        """Told once for each set of signers; tried again at each head, which may bring another set."""
        self.flight.refused_at = state.at.hash
        if self.flight.refused_epoch != state.oracle.signer_epoch:
            self.flight.refused_epoch = state.oracle.signer_epoch
            self.log.error(
                "report.unsigned",
                market=",".join(markets),
                error=str(error),
                advice="too few report keys are authorised on chain or answer: `keeper check` names them",
            )
        for market in markets:
            self.meter.count("keeper_reports_total", market=market, trigger="any", outcome="unsigned")


def _unpublishable(priced: PricedMarket) -> str:
    """Why a market's own price may not go out."""
    if priced.condition.condition is Condition.HALT:
        return "halted"
    return "withheld" if priced.marked is None else "index_held" if priced.held else "guard"
