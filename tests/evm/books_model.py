"""The exchange's rules on integers, written from docs/reference-protocol.md and not from the Solidity.

What the chain must equal after every step: state, logs, refusals by name. Units as in the protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from keeper.domain.exchange import MarketParameters
from tests.evm.oracle_model import BPS, OracleModel, Revert, atomic, cdiv, clamp, fdiv, tdiv

PRICE_SCALE = 10**30
FUNDING_SCALE = 10**48
STALE_GRACE = 3600
FUNDING = 8


class Valuation(NamedTuple):
    cash: int
    equity: int
    mm: int
    im: int
    notional: int


class Due(NamedTuple):
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
class Position:
    size: int
    quote: int
    cum_entry: int


@dataclass(slots=True)
class Account:
    margin: int = 0
    positions: dict[int, Position] = field(default_factory=dict)


@dataclass(slots=True)
class Market:
    rules: MarketParameters
    interval: int
    funding_at: int
    snap_s: int
    snap_v: int
    cum: int = 0
    clearing: int = 0
    open_interest: int = 0


@dataclass(slots=True)
class State:
    accounts: dict[str, Account]
    markets: dict[int, Market] = field(default_factory=dict)
    fees: int = 0
    held: int = 0
    paused: int = 0


def sign(x: int) -> int:
    return (x > 0) - (x < 0)


def value(size: int, price: int) -> int:
    return fdiv(size * price, PRICE_SCALE)


def notional(size: int, price: int) -> int:
    return cdiv(abs(size) * price, PRICE_SCALE)


def weighted(rules: MarketParameters, n: int) -> int:
    """Sum over the tiers of bps times the part of `n` inside the tier."""
    tiers = rules.tiers
    tops = [tier.floor_units for tier in tiers[1:]] + [n]
    return sum(
        tier.mmr_bps * (min(n, top) - tier.floor_units)
        for tier, top in zip(tiers, tops, strict=True)
        if tier.floor_units < n
    )


def reduces(size: int, delta: int) -> bool:
    return size != 0 and sign(delta) == -sign(size) and abs(delta) <= abs(size)


class BooksModel:
    """Accounts, funding and valuation."""

    def __init__(self, engine: str, oracle: OracleModel) -> None:
        self.engine = engine
        self.oracle = oracle
        self.s = State(accounts={engine: Account()})
        self.log: list[tuple[Any, ...]] = []

    @property
    def now(self) -> int:
        return self.oracle.now

    def account(self, who: str) -> Account:
        return self.s.accounts.setdefault(who, Account())

    def positions(self, who: str) -> dict[int, Position]:
        return self.s.accounts[who].positions if who in self.s.accounts else {}

    def mark(self, no: int) -> int:
        return self.oracle.s.feeds[no].mark

    # ---------------------------------------------------------------- books

    def _margin(self, who: str, cause: int, delta: int) -> None:
        if delta == 0:
            return
        account = self.account(who)
        account.margin += delta
        self.log.append(("MarginChanged", who, cause, delta, account.margin))

    def _move(self, who: str, no: int, cause: int, delta: int, cash: int, fee: int = 0) -> None:
        account, market = self.account(who), self.s.markets[no]
        p = account.positions.get(no, Position(0, 0, market.cum))
        funding = cdiv(p.size * (market.cum - p.cum_entry), FUNDING_SCALE)
        if p.size == 0 or sign(p.size) == sign(delta):
            quote, realized = p.quote + cash, 0
        elif abs(delta) <= abs(p.size):
            released = tdiv(p.quote * abs(delta), abs(p.size))
            quote, realized = p.quote - released, released + cash
        else:
            closing = tdiv(cash * abs(p.size), abs(delta))
            quote, realized = cash - closing, p.quote + closing
        size = p.size + delta
        account.margin += realized - funding - fee
        market.clearing += funding
        self.s.fees += fee
        market.open_interest += max(size, 0) - max(p.size, 0)
        account.positions[no] = Position(size, quote, market.cum)
        if size == 0:
            assert quote == 0
            del account.positions[no]
        result = (size, quote, market.cum, account.margin)
        self.log.append(("PositionChanged", who, no, cause, delta, cash, funding, fee, *result))

    def _sweep(self, no: int) -> None:
        market = self.s.markets[no]
        if market.open_interest == 0 and market.clearing:
            assert market.clearing > 0
            residue, market.clearing = market.clearing, 0
            self.log.append(("FundingResidue", no, residue))
            self._margin(self.engine, 6, residue)

    # ---------------------------------------------------------------- funding

    def due(self, no: int) -> Due | None:
        """The settlement of the boundaries passed, whether or not funding is paused."""
        market = self.s.markets[no]
        boundary = self.now - self.now % market.interval
        window = boundary - market.funding_at
        if window <= 0:
            return None
        s, v, mark = self.oracle.premium_at(no, boundary)
        covered = v - market.snap_v
        premium = tdiv(s - market.snap_s, covered) if 2 * covered >= window else 0
        r = market.rules
        if r.funding_kind == 0:
            limited = clamp(r.interest_e18 - premium, -r.clamp_e18, r.clamp_e18)
            rate = tdiv((premium + limited) * market.interval, 28_800)
        else:
            rate = tdiv(clamp(premium, -r.clamp_e18, r.clamp_e18) * market.interval, 86_400) + r.interest_e18
        rate = clamp(rate, -r.cap_e18, r.cap_e18)
        k = window // market.interval
        return Due(boundary, k, premium, covered, rate, mark, market.cum + rate * mark * k, s, v)

    def cum_now(self, no: int) -> int:
        due = None if self.s.paused & FUNDING else self.due(no)
        return self.s.markets[no].cum if due is None else due.cum

    def _accrue(self, no: int, caller: str) -> bool:
        return not self.s.paused & FUNDING and self._settle(no, caller, waived=False)

    def _settle(self, no: int, caller: str, *, waived: bool) -> bool:
        due, market = self.due(no), self.s.markets[no]
        if due is None:
            return False
        if waived:
            due = due._replace(rate=0, cum=market.cum)
        market.funding_at, market.snap_s, market.snap_v, market.cum = due.boundary, due.snap_s, due.snap_v, due.cum
        self.log.append(("FundingSettled", no, *due, caller))
        return True

    @atomic
    def settle_funding(self, sender: str, no: int) -> None:
        self._require_active(FUNDING)
        market = self.s.markets[no]
        due_at = market.funding_at + market.interval
        if not self._accrue(no, sender):
            raise Revert("FundingNotDue", due_at)

    @atomic
    def settle_funding_many(self, sender: str, nos: Sequence[int]) -> int:
        self._require_active(FUNDING)
        return sum(self._accrue(no, sender) for no in nos if no in self.s.markets)

    # ---------------------------------------------------------------- valuation

    def owed(self, who: str, no: int) -> int:
        p = self.positions(who)[no]
        return cdiv(p.size * (self.cum_now(no) - p.cum_entry), FUNDING_SCALE)

    def valuation(self, who: str) -> Valuation:
        margin = self.s.accounts[who].margin if who in self.s.accounts else 0
        debts = {no: self.owed(who, no) for no in self.positions(who)}
        cash = margin - sum(debts.values())
        equity, mm, im, total = cash, 0, 0, 0
        for no, p in self.positions(who).items():
            rules, n = self.s.markets[no].rules, notional(p.size, self.mark(no))
            equity += value(p.size, self.mark(no)) + p.quote
            w = weighted(rules, n)
            mm, im, total = mm + cdiv(w, BPS), im + cdiv(w * rules.im_factor_bps, BPS * BPS), total + n
        return Valuation(cash, equity, mm, im, total)

    def available(self) -> int:
        v = self.valuation(self.engine)
        return max(0, min(v.cash, v.equity))

    def fresh(self, no: int) -> bool:
        return self.oracle.fresh(no, self.s.markets[no].rules.max_price_age_s)

    def usable(self, no: int) -> bool:
        return self.fresh(no) or (self.oracle.live(no) and self.oracle.age(no) > STALE_GRACE)

    def first_stale(self, who: str) -> int:
        return next((no for no in sorted(self.positions(who)) if not self.fresh(no)), 0)

    def first_shielding(self, who: str, no: int) -> int:
        if not self.fresh(no):
            return no
        others = (other for other in sorted(self.positions(who)) if other != no)
        return next((other for other in others if not self.usable(other)), 0)

    def _require_active(self, action: int) -> None:
        if self.s.paused & action:
            raise Revert("ActionPaused", action)
