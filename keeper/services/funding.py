"""Settles each funding boundary once: level-triggered on chain time and the chain's own record.

Due or not is computed anew at each head from what the chain holds, so that a restart, missed boundaries or a clock that
jumps change nothing. The schedule only makes the service look; a settlement by somebody else is as good as ours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from keeper.domain.events import FundingSettled
from keeper.domain.exchange import ChainState, FeedState, MarketState
from keeper.domain.funding import Due, due, is_paused, predict, rate_of_sums
from keeper.domain.ids import DeploymentId, MarketId
from keeper.domain.numbers import text_of
from keeper.domain.time import from_seconds
from keeper.domain.transaction import Intent, Lane
from keeper.ports.clock import Clock
from keeper.ports.deployment import Deployment
from keeper.ports.log import EventLog
from keeper.ports.meter import Meter
from keeper.ports.signer import Coordinator
from keeper.runtime.board import Board, first_change
from keeper.runtime.mailbox import Mailbox
from keeper.runtime.pulse import Pulse


@dataclass(frozen=True, slots=True)
class FundingStatus:
    """Of one market. `opened` is the chain's record before the boundary to come is settled: what we compare with."""

    next_boundary_s: int = 0
    predicted_rate_e18: int = 0
    opened: MarketState | None = None
    due_for_s: int = 0
    first_block_due: int = 0
    last_boundary_s: int = 0
    last_rate_e18: int = 0
    last_predicted_rate_e18: int | None = None
    last_late_blocks: int | None = None


@dataclass(frozen=True, slots=True)
class FundingService:
    """One per deployment. `wake` is touched by the schedule; `settlements` holds each market's newest settlement."""

    deployment: Deployment
    states: Board[DeploymentId, ChainState]
    settlements: Board[int, FundingSettled]
    statuses: Board[MarketId, FundingStatus]
    paused: Board[MarketId, str]
    wake: Board[str, int]
    intents: Mailbox[Intent]
    coordinator: Coordinator
    clock: Clock
    pulse: Pulse
    meter: Meter
    log: EventLog

    @property
    def name(self) -> str:
        return f"funding:{self.deployment.id}"

    async def run(self) -> None:
        self.pulse.expect(self.name, 60)
        while True:
            seen = (self.states.version, self.wake.version, self.settlements.version)
            state = self.states.get(self.deployment.id)
            if state is not None:
                for market_no, market in sorted(self.deployment.markets.items()):
                    self._look(market_no, market, state)
            self.pulse.beat(self.name)
            await first_change((self.states, seen[0]), (self.wake, seen[1]), (self.settlements, seen[2]), timeout_s=5.0)

    def _look(self, market_no: int, market: MarketId, state: ChainState) -> None:
        held, feed = state.markets.get(market_no), state.feeds.get(market_no)
        if held is None or feed is None:
            return
        now_s = state.at.timestamp_s
        status = self._noted(self.statuses.get(market) or FundingStatus(), state)
        status = self._compared(market_no, market, feed, status)
        estimate = predict(held, feed, now_s)
        opened = status.opened
        if opened is None or held.funding_at_s <= max(opened.funding_at_s, status.last_boundary_s):
            opened = held
        status = replace(
            status, next_boundary_s=estimate.boundary_s, predicted_rate_e18=estimate.rate_e18, opened=opened
        )
        self.statuses.put(market, status)
        self.meter.gauge("keeper_funding_next_timestamp_seconds", estimate.boundary_s, market=market)
        payment = due(held, feed, now_s, is_paused(state))
        if isinstance(payment, Due):
            self._settle(market_no, market, payment, payment.boundary_s + feed.interval_s)

    def _noted(self, status: FundingStatus, state: ChainState) -> FundingStatus:
        """Remembers the first block at or after a boundary: lateness is counted from it."""
        boundary = status.next_boundary_s
        if not boundary or state.at.timestamp_s < boundary or status.due_for_s == boundary:
            return status
        return replace(status, due_for_s=boundary, first_block_due=state.at.number)

    def _settle(self, market_no: int, market: MarketId, payment: Due, next_s: int) -> None:
        """Asks again at each head while it is due: the outbox knows an intent that is under way.

        Wanted until the next boundary, `next_s` by the chain: from there one settlement pays for both, and a second
        would revert.
        """
        if self.paused.get(market) is not None or not self.coordinator.is_leader(self.deployment.id):
            return
        key = f"{market}@{payment.boundary_s}"
        act = self.deployment.protocol.settle_funding([market_no])
        intent = self.deployment.intent(Lane.FUNDING, key, act, self.clock.now(), from_seconds(next_s))
        if not self.intents.offer(intent):
            self.log.warning("funding.deferred", market=market, reason="the outbox is full")

    def _compared(self, market_no: int, market: MarketId, feed: FeedState, status: FundingStatus) -> FundingStatus:
        """What the chain charged beside what we predicted, and beside what its rules give for its own sums."""
        settled, opened = self.settlements.get(market_no), status.opened
        if settled is None or settled.boundary_s <= status.last_boundary_s:
            return status
        by_rule = None
        if opened is not None and settled.boundary_s - settled.intervals * feed.interval_s == opened.funding_at_s:
            by_rule = rate_of_sums(opened, feed.interval_s, settled.boundary_s, settled.snap_acc, settled.snap_covered)
        late = settled.ref.block_number - status.first_block_due if status.due_for_s == settled.boundary_s else None
        predicted = status.predicted_rate_e18 if status.next_boundary_s == settled.boundary_s else None
        self._announce(market, settled, by_rule, predicted, late)
        return replace(
            status,
            last_boundary_s=settled.boundary_s,
            last_rate_e18=settled.rate_e18,
            last_predicted_rate_e18=predicted,
            last_late_blocks=late,
        )

    def _announce(
        self, market: MarketId, settled: FundingSettled, by_rule: int | None, predicted: int | None, late: int | None
    ) -> None:
        keys = {
            "market": market,
            "boundary_s": settled.boundary_s,
            "intervals": settled.intervals,
            "rate": text_of(settled.rate_e18),
            "predicted": text_of(predicted) if predicted is not None else None,
            "late_blocks": late,
            "tx_hash": settled.ref.tx_hash,
        }
        agrees = by_rule is None or by_rule == settled.rate_e18
        self.meter.count("keeper_funding_settlements_total", market=market, outcome="settled" if agrees else "differs")
        self.meter.gauge("keeper_funding_last_success_timestamp_seconds", settled.boundary_s, market=market)
        if late is not None:
            self.meter.observe("keeper_funding_late_blocks", late, market=market)
        if agrees:
            self.log.info("funding.settled", **keys)
            return
        self.log.error(
            "funding.differs",
            expected=text_of(by_rule or 0),
            advice="the chain charged another rate than its rules give: compare the contract's version with ours",
            **keys,
        )
