"""/status and readiness: what the boards hold, in words for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keeper import __version__
from keeper.app.boards import Boards
from keeper.app.condition import condition_ready, shown_condition, shown_record
from keeper.app.halt import Switches
from keeper.app.ops import Readiness
from keeper.app.rates import shown_rate
from keeper.app.sessions import hours_page
from keeper.domain.exchange import ChainState, FeedState
from keeper.domain.gate import Open
from keeper.domain.guard import Held, Pass
from keeper.domain.holdings import Holdings
from keeper.domain.ids import DeploymentId, IndexId, MarketId, SourceId
from keeper.domain.index import IndexPrice, Withheld
from keeper.domain.margin import bankruptcy_price, terms_of
from keeper.domain.market import MarketPlan, PricedMarket
from keeper.domain.numbers import deviation_bps, text_of
from keeper.domain.risk import WATCH_BPS, at_risk
from keeper.domain.sequencer import Sequencer
from keeper.domain.time import MILLISECOND, SECOND, Timestamp, age_ms, to_millis
from keeper.domain.transaction import IntentState, Lane
from keeper.errors import KeeperError
from keeper.ports.clock import Clock
from keeper.runtime.pulse import Pulse
from keeper.services.funding import FundingStatus
from keeper.services.outbox.rules import WalletStatus
from keeper.services.publishing import PublishStatus

_EVERYBODY_BPS = 10**9


@dataclass(slots=True)
class StatusPage:
    """`wallets` gives what the outboxes are at."""

    mode: str
    config_hash: str
    boards: Boards
    plans: Mapping[MarketId, MarketPlan]
    indices: Sequence[IndexId]
    wallets: Sequence[Any]
    clock: Clock
    pulse: Pulse
    switches: Switches

    def status(self) -> dict[str, Any]:
        now = self.clock.now()
        block = self.boards.blocks.get("head")
        return {
            "version": __version__,
            "mode": self.mode,
            "config": self.config_hash,
            "now_ms": to_millis(now),
            "block": {"number": block.number, "timestamp_s": block.timestamp_s} if block is not None else None,
            "streams": dict(sorted(self.boards.announced.snapshot().items())),
            "markets": {market: self._market(plan, now) for market, plan in sorted(self.plans.items())},
            "indices": {index: self._index(index, now) for index in self.indices},
            "sequencer": _sequencer(self.boards.sequencer.get("sequencer")),
            "forbidden": dict(self.switches.causes()),
            "transactions": self._transactions(now),
            "wallets": [_wallet(wallet.status()) for wallet in self.wallets],
            "feeds": [self._feed(source) for source in sorted(self.boards.feeds.snapshot())],
            "late": {name: round(age, 1) for name, age in self.pulse.late().items()},
        }

    def ready(self, market: str | None) -> Sequence[Readiness]:
        """Of one market: index, guard, chain, mark on chain. Of the whole: the loops, and the chain's head."""
        if market is not None:
            return self._market_ready(self.plans[MarketId(market)])
        late = self.pulse.late()
        return (
            Readiness("loops", not late, ", ".join(late), "a loop does not come round: see the log of that service"),
            self._head_ready(),
            self._sending(),
        )

    def _head_ready(self) -> Readiness:
        head = self.boards.heads.get("head")
        fix = "no endpoint answers: see chain.rpc in keeper.yaml and rpc events in the log"
        return Readiness("chain", head is not None, "" if head is not None else "no head yet", fix)

    def _market_ready(self, plan: MarketPlan) -> Sequence[Readiness]:
        priced = self.boards.prices.get(plan.market)
        paused = self.boards.paused.get(plan.market)
        return (
            self._head_ready(),
            Readiness("not_paused", paused is None, paused or "", f"keeper ctl resume {plan.market}"),
            _index_ready(priced, self.clock.now()),
            _guard_ready(priced),
            condition_ready(priced),
            self._published(plan),
            self._sending(),
        )

    def _sending(self) -> Readiness:
        """A halt makes unready. A dry run is meant to be one, and what contracts pause is not the keeper's to mend."""
        causes = self.switches.causes()
        halted = not self.switches.dry_run and bool(self.switches.halt.causes())
        fix = "`keeper ctl unhalt`; a halt file has to be deleted"
        return Readiness("sending", not halted, "; ".join(causes.values()), fix)

    def _published(self, plan: MarketPlan) -> Readiness:
        state = self.boards.states.get(plan.deployment)
        feed = state.feeds.get(plan.market_no) if state is not None else None
        fix = "nothing of ours has landed: see report.* and tx.* events in the log"
        priced = self.boards.prices.get(plan.market)
        if priced is not None and priced.closed and priced.marked is None:
            return Readiness("published", True, "closed: nothing is due", fix)
        if state is None or feed is None or not feed.round_id:
            return Readiness("published", False, "the chain holds no price", fix)
        age_s = max(0, self.clock.now() // SECOND - feed.observed_at_s)
        limit_s = plan.policy.heartbeat_ns // SECOND + 30
        return Readiness("published", age_s <= limit_s, f"{age_s} s old, limit {limit_s} s", fix)

    def _market(self, plan: MarketPlan, now: Timestamp) -> dict[str, Any]:
        priced, state = self.boards.prices.get(plan.market), self.boards.states.get(plan.deployment)
        feed = state.feeds.get(plan.market_no) if state is not None else None
        holdings = self.boards.holdings.get(plan.deployment)
        pushed = self.boards.pushes.get(plan.market) or PublishStatus()
        index = priced.index if priced is not None else None
        marked = priced.marked if priced is not None else None
        return {
            "index": text_of(index.price_e18) if isinstance(index, IndexPrice) else None,
            "mark": text_of(marked.mark.price_e18) if marked is not None else None,
            "flags": [flag.value for flag in marked.mark.flags] if marked is not None else [],
            "premium": text_of(marked.entry.premium_e18) if marked is not None else None,
            "withheld": _withheld(index),
            "sources": self._sources(index, now) if index is not None else [],
            "onchain": _onchain(feed, marked.mark.price_e18 if marked is not None else None, now),
            "decision": {"kind": pushed.kind, "reason": pushed.reason},
            "condition": shown_condition(priced, now),
            "guard": _guard(priced),
            "gate": _gate(priced),
            "funding": _funding(self.boards.funding.get(plan.market), state, now),
            **({"funding_method": shown_rate(marked)} if plan.rates is not None else {}),
            "pushes": dict(pushed.pushes),
            "paused": self.boards.paused.get(plan.market),
            "session": hours_page(self.plans, plan.market, now),
            **self._accounts(plan, state, holdings),
        }

    def _index(self, index: IndexId, now: Timestamp) -> dict[str, Any]:
        priced = self.boards.indices.get(index)
        return {
            "price": text_of(priced.price_e18) if isinstance(priced, IndexPrice) else None,
            "withheld": _withheld(priced),
            "flags": [flag.value for flag in priced.flags] if isinstance(priced, IndexPrice) else [],
            "sources": self._sources(priced, now) if priced is not None else [],
        }

    def _sources(self, index: IndexPrice | Withheld, now: Timestamp) -> list[dict[str, Any]]:
        rows = [
            self._source(index, vote.source, text_of(vote.price_e18), "", now, used=isinstance(index, IndexPrice))
            for vote in index.inputs
        ]
        rows += [
            self._source(
                index,
                refused.source,
                text_of(refused.price_e18) if refused.price_e18 is not None else None,
                refused.reason.value,
                now,
                used=False,
            )
            for refused in index.rejected
        ]
        return sorted(rows, key=lambda row: str(row["source"]))

    def _source(
        self,
        index: IndexPrice | Withheld,
        source: SourceId,
        price: str | None,
        reason: str,
        now: Timestamp,
        *,
        used: bool,
    ) -> dict[str, Any]:
        quote, feed = self.boards.quotes.get(source), self.boards.feeds.get(source)
        scores = self.boards.scores.get(index.index)
        return {
            "source": source,
            "price": price,
            "age_ms": age_ms(quote.observed_at or quote.received_at, now) if quote is not None else None,
            "used": used,
            "reason": reason,
            "state": feed.state if feed is not None else "starting",
            "record": shown_record(scores.records.get(source)) if scores is not None else None,
        }

    def _accounts(self, plan: MarketPlan, state: ChainState | None, holdings: Holdings | None) -> dict[str, Any]:
        status = self.boards.liquidations.get(plan.deployment)
        shown: dict[str, Any] = {
            "accounts": 0,
            "at_risk": 0,
            "liquidatable": status.liquidatable.get(plan.market, 0) if status is not None else 0,
        }
        if state is None or holdings is None:
            return shown
        near = [held for held in holdings.below(state, WATCH_BPS) if plan.market_no in held.positions]
        return {
            **shown,
            "accounts": holdings.holders.get(plan.market_no, 0),
            "at_risk": len(near),
            "behind_blocks": holdings.behind,
        }

    def risks(self, deployment: DeploymentId, only_at_risk: bool) -> list[dict[str, Any]]:
        """Accounts, worst first, for `keeper accounts`.

        Per market, the other marks standing still: `alarms` has the liquidation price, a long's highest mark at which the
        account is liquidatable and a short's lowest; `bankruptcies` the same for being worth less than nothing.
        Raises KeeperError while they are not all known: an empty list would say that nobody is at risk.
        """
        state, holdings = self.boards.states.get(deployment), self.boards.holdings.get(deployment)
        if state is None or holdings is None or not holdings.holders.keys() <= state.markets.keys():
            raise KeeperError(f"{deployment}: its accounts are not all known yet; ask again after the next block")
        limit = WATCH_BPS if only_at_risk else _EVERYBODY_BPS
        near = holdings.below(state, WATCH_BPS) if only_at_risk else holdings.accounts.values()
        found = at_risk(near, state, state.at.timestamp_s, engine=holdings.engine, below_bps=limit)
        terms = terms_of(state, state.at.timestamp_s)
        return [
            {
                "account": each.account,
                "band": each.band.name.lower(),
                "health_bps": each.health_bps,
                "equity_units": each.health.equity,
                "maintenance_units": each.health.maintenance,
                "alarms": {str(near.market_no): _price(near.alarm_e18) for near in each.distances},
                "bankruptcies": {
                    str(near.market_no): _price(
                        bankruptcy_price(holdings.accounts[each.account], near.market_no, terms)
                    )
                    for near in each.distances
                },
            }
            for each in found
        ]

    def _transactions(self, now: Timestamp) -> dict[str, Any]:
        pending: list[dict[str, Any]] = []
        counts: dict[str, dict[str, int]] = {}
        for wallet in self.wallets:
            status: WalletStatus = wallet.status()
            pending += [
                {
                    "wallet": status.role,
                    "lane": each.lane.name.lower(),
                    "key": each.key,
                    "nonce": each.nonce,
                    "state": each.state.value,
                    "age_ms": age_ms(each.signed_at, now) if each.signed_at is not None else None,
                    "attempts": each.attempts,
                    "hash": each.tx_hash,
                }
                for each in status.pending
            ]
            for (lane, outcome), count in status.counts.items():
                by_outcome = counts.setdefault(_lane(lane), {})
                by_outcome[_word(outcome)] = by_outcome.get(_word(outcome), 0) + count
        return {"pending": pending, "counts": counts}

    def _feed(self, source: SourceId) -> dict[str, Any]:
        status = self.boards.feeds.get(source)
        venue, _, symbol = source.partition(":")
        if status is None:
            return {"venue": venue, "symbol": symbol, "state": "starting", "reconnects": 0}
        return {
            "venue": venue,
            "symbol": symbol,
            "state": status.state,
            "reason": status.reason,
            "reconnects": status.reconnects,
        }


def _price(price_e18: int | None) -> str | None:
    return text_of(price_e18) if price_e18 is not None else None


def _lane(lane: Lane) -> str:
    return lane.name.lower()


def _word(state: IntentState) -> str:
    return state.value


def _wallet(status: WalletStatus) -> dict[str, Any]:
    return {
        "name": status.role,
        "lanes": [_lane(lane) for lane in sorted(status.lanes)],
        "address": status.address,
        "nonce": status.next_nonce,
        "in_flight": status.in_flight,
        "queued": status.queued,
        "paused": status.paused,
        "balance_wei": status.balance_wei,
        "reserved_wei": status.reserved_wei,
        "runway_s": status.runway_s,
    }


def _sequencer(word: Sequencer | None) -> dict[str, Any] | None:
    """None where the chain is no rollup."""
    return None if word is None else {"state": word.state.value, "detail": word.detail, "until_s": word.until_s}


def _withheld(index: IndexPrice | Withheld | None) -> dict[str, str] | None:
    return {"reason": index.reason.value, "detail": index.detail} if isinstance(index, Withheld) else None


def _onchain(feed: FeedState | None, mark_e18: int | None, now: Timestamp) -> dict[str, Any] | None:
    if feed is None or not feed.round_id:
        return None
    return {
        "index": text_of(feed.index_e18),
        "mark": text_of(feed.mark_e18),
        "age_s": round((now // MILLISECOND - feed.round_id) / 1000, 1),
        "round_id": feed.round_id,
        "deviation_bps": deviation_bps(mark_e18, feed.mark_e18) if mark_e18 is not None else None,
    }


def _guard(priced: PricedMarket | None) -> dict[str, str]:
    verdict = priced.guard if priced is not None else None
    if isinstance(verdict, Held):
        return {"state": "held", "reason": f"{verdict.reason.value}: {verdict.detail}"}
    return {"state": "pass" if isinstance(verdict, Pass) else "waiting", "reason": ""}


def _gate(priced: PricedMarket | None) -> dict[str, Any]:
    if priced is None:
        return {"open": False, "reason": "no price", "closed_ms": 0}
    shut = [] if isinstance(priced.gate, Open) else [doubt.value for doubt in priced.gate.reasons]
    return {"open": not shut, "reason": ", ".join(shut), "closed_ms": priced.gate_shut_ns // MILLISECOND}


def _funding(status: FundingStatus | None, state: ChainState | None, now: Timestamp) -> dict[str, Any] | None:
    if status is None or state is None:
        return None
    expected = status.last_predicted_rate_e18
    return {
        "next_boundary_s": status.next_boundary_s,
        "in_s": max(0, status.next_boundary_s - now // SECOND),
        "predicted_rate": text_of(status.predicted_rate_e18),
        "last_boundary_s": status.last_boundary_s or None,
        "last_rate": text_of(status.last_rate_e18) if status.last_boundary_s else None,
        "last_predicted": text_of(expected) if expected is not None else None,
        "last_late_blocks": status.last_late_blocks,
    }


def _index_ready(priced: PricedMarket | None, now: Timestamp) -> Readiness:
    fix = "see /status: each source with the reason of its refusal"
    if priced is not None and priced.closed and isinstance(priced.index, Withheld):
        return Readiness("index", True, priced.index.detail, fix)
    if priced is None or now - priced.as_of > 5 * SECOND:
        return Readiness("index", False, "no price computed yet", fix)
    if isinstance(priced.index, Withheld):
        return Readiness("index", False, f"{priced.index.reason.value}: {priced.index.detail}", fix)
    return Readiness("index", True, f"{len(priced.index.inputs)} sources", fix)


def _guard_ready(priced: PricedMarket | None) -> Readiness:
    verdict = priced.guard if priced is not None else None
    fix = "a jump waits for its confirmation; it passes by itself when enough sources agree"
    return Readiness("guard", not isinstance(verdict, Held), verdict.detail if isinstance(verdict, Held) else "", fix)
