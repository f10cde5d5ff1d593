"""The protocol's whole state, rebuilt from its logs alone, with every figure in them recomputed on the way.

What a log says and what its rule gives are compared at each step; differences are collected in `faults`, never raised,
so that one wrong figure does not hide the next.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from keeper.devnet.verify.abi import Event
from keeper.devnet.verify.arithmetic import (
    derived_premium_e18,
    funding_rate_e18,
    maintenance_units,
    notional_units,
    owed_units,
    truncated,
    up,
    value_units,
    weighted_notional,
)

PAUSE_FUNDING = 8


@dataclass(slots=True)
class Feed:
    """One feed of the oracle after the last log."""

    interval: int
    hold: int
    kind: int
    frozen: bool = False
    index: int = 0
    mark: int = 0
    premium: int = 0
    observed_at: int = 0
    round_id: int = 0
    acc: int = 0
    covered: int = 0
    checkpoint: tuple[int, int, int, int] = (0, 0, 0, 0)

    def extrapolated(self, to_s: int) -> tuple[int, int]:
        """(acc, covered) at `to_s`: a price counts for at most `hold` seconds."""
        held = min(to_s - self.observed_at, self.hold)
        return self.acc + self.premium * held, self.covered + held

    def premium_at(self, boundary_s: int) -> tuple[int, int, int]:
        """(acc, covered, mark) at a boundary, whenever it is asked."""
        if not self.round_id:
            return 0, 0, 0
        if self.observed_at < boundary_s:
            return *self.extrapolated(boundary_s), self.mark
        return self.checkpoint[1:]


@dataclass(slots=True)
class Market:
    config: Mapping[str, Any]
    interval: int
    funding_at: int
    snap_s: int
    snap_v: int
    cum: int
    clearing: int = 0

    @property
    def tiers(self) -> list[tuple[int, int]]:
        return [(tier["floor"], tier["mmrBps"]) for tier in self.config["tiers"]]


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a settlement at some moment has to say."""

    boundary: int
    intervals: int
    premium: int
    covered: int
    rate: int
    mark: int
    cum: int
    snap_s: int
    snap_v: int


@dataclass(slots=True)
class Held:
    """An account: margin, and positions (size, quote, cumEntry) by market."""

    margin: int = 0
    positions: dict[int, tuple[int, int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fault:
    """A figure in a log that its rule does not give."""

    event: str
    block: int
    text: str


@dataclass(frozen=True, slots=True)
class Health:
    cash: int
    equity: int
    maintenance: int
    initial: int
    notional: int


def moved_quote(size: int, quote: int, delta: int, cash: int) -> int:
    """Entry cash after a move: added to, released in proportion, or begun anew when the position crosses zero."""
    if size == 0 or (size > 0) == (delta > 0):
        return quote + cash
    if abs(delta) <= abs(size):
        return quote - truncated(quote * abs(delta), abs(size))
    return cash - truncated(cash * abs(size), abs(delta))


class Mirror:
    """Feed it every event in chain order with `take`."""

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self.feeds: dict[int, Feed] = {}
        self.markets: dict[int, Market] = {}
        self.accounts: dict[str, Held] = defaultdict(Held)
        self.fees = self.held = self.pause_mask = 0
        self.oracle_paused = False
        self.faults: list[Fault] = []
        self._steps: Mapping[tuple[str, str], Callable[[Event], None]] = {
            ("PriceOracle", "FeedConfigured"): self._feed_configured,
            ("PriceOracle", "PriceUpdated"): self._price_updated,
            ("PriceOracle", "FrozenSet"): self._frozen_set,
            ("PriceOracle", "PausedSet"): self._oracle_paused_set,
            ("PerpExchange", "MarketConfigured"): self._market_configured,
            ("PerpExchange", "PausedSet"): self._paused_set,
            ("PerpExchange", "FundingSettled"): self._funding_settled,
            ("PerpExchange", "MarginChanged"): self._margin_changed,
            ("PerpExchange", "PositionChanged"): self._position_changed,
            ("PerpExchange", "FundingResidue"): self._funding_residue,
            ("PerpExchange", "FeesCollected"): self._fees_collected,
        }

    def take(self, event: Event) -> None:
        step = self._steps.get((event.contract, event.name))
        if step is not None:
            step(event)

    # ------------------------------------------------------------------ what follows from the state

    def settlement_due(self, market_no: int, now_s: int) -> Settlement | None:
        market, feed = self.markets[market_no], self.feeds[market_no]
        boundary = now_s - now_s % market.interval
        if boundary <= market.funding_at or self.pause_mask & PAUSE_FUNDING:
            return None
        acc, covered, mark = feed.premium_at(boundary)
        elapsed = boundary - market.funding_at
        counted = covered - market.snap_v
        premium = truncated(acc - market.snap_s, counted) if 2 * counted >= elapsed else 0
        rate = funding_rate_e18(
            kind=market.config["fundingKind"],
            premium_e18=premium,
            interest_e18=market.config["interest"],
            clamp_e18=market.config["clamp"],
            cap_e18=market.config["cap"],
            interval_s=market.interval,
        )
        intervals = elapsed // market.interval
        cum = market.cum + rate * mark * intervals
        return Settlement(boundary, intervals, premium, counted, rate, mark, cum, acc, covered)

    def cum_now(self, market_no: int, now_s: int) -> int:
        due = self.settlement_due(market_no, now_s)
        return self.markets[market_no].cum if due is None else due.cum

    def fresh(self, market_no: int, now_s: int) -> bool:
        feed, config = self.feeds[market_no], self.markets[market_no].config
        stopped = self.oracle_paused or feed.frozen or not feed.round_id
        return not stopped and now_s - feed.observed_at <= config["maxPriceAge"]

    def health(self, account: str, now_s: int) -> Health:
        held = self.accounts[account]
        cash, worth, maintenance, initial, notional = held.margin, 0, 0, 0, 0
        for market_no, (size, quote, entry) in held.positions.items():
            market, mark = self.markets[market_no], self.feeds[market_no].mark
            cash -= owed_units(size, self.cum_now(market_no, now_s) - entry)
            worth += value_units(size, mark) + quote
            exposure = notional_units(size, mark)
            notional += exposure
            maintenance += maintenance_units(market.tiers, exposure)
            initial += self._initial(market, exposure)
        return Health(cash, cash + worth, maintenance, initial, notional)

    def liquidatable(self, now_s: int) -> set[str]:
        """Accounts with a position and E < MM."""
        found = set()
        for account, held in self.accounts.items():
            if held.positions and account != self.engine:
                health = self.health(account, now_s)
                if health.equity < health.maintenance:
                    found.add(account)
        return found

    def books_gap(self) -> int:
        """`held` − (Σ margin + Σ quote + Σ clearing + fees); the law is 0."""
        margins = sum(held.margin for held in self.accounts.values())
        quotes = sum(p[1] for held in self.accounts.values() for p in held.positions.values())
        return self.held - margins - quotes - sum(m.clearing for m in self.markets.values()) - self.fees

    def net_size(self, market_no: int) -> int:
        return sum(held.positions.get(market_no, (0, 0, 0))[0] for held in self.accounts.values())

    @staticmethod
    def _initial(market: Market, exposure: int) -> int:
        return up(weighted_notional(market.tiers, exposure) * market.config["imFactorBps"], 10**8)

    def _expect(self, event: Event, what: str, stated: Any, computed: Any) -> None:
        if stated != computed:
            where = f"in block {event.block}, log {event.index}"
            text = f"{event.name} {where}: {what} is {stated}, the rules give {computed}"
            self.faults.append(Fault(event.name, event.block, text))

    # ------------------------------------------------------------------ oracle

    def _feed_configured(self, event: Event) -> None:
        no = event["marketId"]
        if no not in self.feeds:
            self.feeds[no] = Feed(event["interval"], event["hold"], event["premiumKind"])
        self.feeds[no].kind = event["premiumKind"]

    def _price_updated(self, event: Event) -> None:
        feed, at = self.feeds[event["marketId"]], event["observedAt"]
        boundary = at - at % feed.interval
        acc, covered = 0, 0
        if not feed.round_id:
            feed.checkpoint = (boundary, 0, 0, 0)
        else:
            if boundary > feed.observed_at:
                feed.checkpoint = (boundary, *feed.extrapolated(boundary), feed.mark)
            acc, covered = feed.extrapolated(at)
            self._expect(event, "round order", event["roundId"] > feed.round_id, True)
        self._expect(event, "acc", event["acc"], acc)
        self._expect(event, "covered", event["covered"], covered)
        self._expect(event, "second of the round", event["roundId"] // 1000, at)
        if feed.kind == 0:
            self._expect(event, "premium", event["premium"], derived_premium_e18(event["index"], event["mark"]))
        feed.index, feed.mark, feed.premium = event["index"], event["mark"], event["premium"]
        feed.observed_at, feed.round_id, feed.acc, feed.covered = at, event["roundId"], event["acc"], event["covered"]

    def _frozen_set(self, event: Event) -> None:
        self.feeds[event["marketId"]].frozen = event["frozen"]

    def _oracle_paused_set(self, event: Event) -> None:
        self.oracle_paused = event["paused"]

    # ------------------------------------------------------------------ exchange

    def _market_configured(self, event: Event) -> None:
        no = event["marketId"]
        clearing = self.markets[no].clearing if no in self.markets else 0
        state = (event["interval"], event["fundingAt"], event["snapS"], event["snapV"], event["cum"])
        self.markets[no] = Market(event["config"], *state, clearing)

    def _paused_set(self, event: Event) -> None:
        self.pause_mask = event["paused"]

    def _funding_settled(self, event: Event) -> None:
        no = event["marketId"]
        due = self.settlement_due(no, event["boundary"])
        if due is None:
            text = f"FundingSettled in block {event.block}: {event['boundary']} was not due in market {no}"
            self.faults.append(Fault(event.name, event.block, text))
        else:
            stated = (event["intervals"], event["premium"], event["covered"], event["rate"], event["mark"])
            self._expect(
                event,
                f"intervals, premium, covered, rate, mark of market {no}",
                stated,
                (due.intervals, due.premium, due.covered, due.rate, due.mark),
            )
            self._expect(event, "cum", event["cum"], due.cum)
        market = self.markets[no]
        market.funding_at, market.cum = event["boundary"], event["cum"]
        market.snap_s, market.snap_v = event["snapS"], event["snapV"]

    def _margin_changed(self, event: Event) -> None:
        held = self.accounts[event["account"]]
        held.margin += event["delta"]
        self._expect(event, "margin", event["margin"], held.margin)
        held.margin = event["margin"]
        if event["cause"] in (1, 2, 9):  # deposit, withdraw, skim: the only ones that move tokens
            self.held += event["delta"]

    def _position_changed(self, event: Event) -> None:
        held, no = self.accounts[event["account"]], event["marketId"]
        market = self.markets[no]
        size, quote, entry = held.positions.get(no, (0, 0, market.cum))
        self._expect(event, "size", event["size"], size + event["delta"])
        self._expect(event, "funding", event["funding"], owed_units(size, market.cum - entry))
        self._expect(event, "cumEntry", event["cumEntry"], market.cum)
        self._expect(event, "quote", event["quote"], moved_quote(size, quote, event["delta"], event["cash"]))
        flows = event["cash"] - event["funding"] - event["fee"]
        self._expect(event, "margin + quote", event["margin"] + event["quote"], held.margin + quote + flows)
        market.clearing += event["funding"]
        self.fees += event["fee"]
        held.margin = event["margin"]
        held.positions.pop(no, None)
        if event["size"]:
            held.positions[no] = (event["size"], event["quote"], event["cumEntry"])

    def _funding_residue(self, event: Event) -> None:
        self.markets[event["marketId"]].clearing -= event["amount"]

    def _fees_collected(self, event: Event) -> None:
        self.fees -= event["amount"]
        self.held -= event["amount"]
