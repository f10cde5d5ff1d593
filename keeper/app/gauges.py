"""Gauges that are true at the moment of a scrape: ages and distances, which no event would keep up to date."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from keeper.app.boards import Boards
from keeper.app.halt import CAUSES
from keeper.app.sessions import days_left
from keeper.domain.ids import MarketId
from keeper.domain.market import MarketPlan
from keeper.domain.numbers import decimal_of
from keeper.domain.time import SECOND
from keeper.ports.clock import Clock
from keeper.ports.meter import Meter
from keeper.runtime.pulse import Pulse
from keeper.services.outbox.rules import WalletStatus
from keeper.services.outbox.service import Outbox


@dataclass(frozen=True, slots=True)
class Gauges:
    """`plans` gives the markets of now: a reload may change them."""

    meter: Meter
    boards: Boards
    plans: Callable[[], Mapping[MarketId, MarketPlan]]
    outboxes: Sequence[Outbox]
    pulse: Pulse
    clock: Clock
    forbidden: Callable[[], Mapping[str, str]] = dict
    """Why transactions are not sent, by the words in CAUSES."""

    def refresh(self) -> None:
        forbidden = self.forbidden()
        for cause in CAUSES:
            self.meter.gauge("keeper_tx_forbidden", float(cause in forbidden), reason=cause)
        for outbox in self.outboxes:
            self.meter.gauge("keeper_mailbox_depth", outbox.inbox.depth, mailbox=outbox.inbox.name)
            self._funds(outbox.status())
        for service, at in self.pulse.beats.items():
            self.meter.gauge("keeper_service_last_beat_timestamp_seconds", at / SECOND, service=service)
        for plan in self.plans().values():
            self._oracle(plan)

    def _calendar(self, plan: MarketPlan) -> None:
        if plan.session is not None:
            left = days_left(plan.session.calendar, self.clock.now())
            self.meter.gauge("keeper_calendar_days_left", left, market=plan.market)

    def _funds(self, status: WalletStatus) -> None:
        self.meter.gauge("keeper_wallet_reserved_wei", status.reserved_wei, signer=status.address)
        if status.runway_s is not None:
            self.meter.gauge("keeper_wallet_runway_seconds", status.runway_s, signer=status.address)

    def _oracle(self, plan: MarketPlan) -> None:
        """What the chain holds, how old it is and how far from our mark; nothing before the first price."""
        self._calendar(plan)
        state = self.boards.states.get(plan.deployment)
        feed = state.feeds.get(plan.market_no) if state is not None else None
        if feed is None or not feed.round_id:
            return
        market = plan.market
        self.meter.gauge("keeper_oracle_price", float(decimal_of(feed.mark_e18)), market=market)
        self.meter.gauge("keeper_oracle_age_seconds", self.clock.now() / SECOND - feed.observed_at_s, market=market)
        priced = self.boards.prices.get(market)
        if priced is not None and priced.marked is not None:
            ours = priced.marked.mark.price_e18
            ratio = float(decimal_of(abs(ours - feed.mark_e18)) / decimal_of(feed.mark_e18))
            self.meter.gauge("keeper_oracle_deviation_ratio", ratio, market=market)
