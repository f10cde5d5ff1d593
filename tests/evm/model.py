"""The exchange's rules on integers, written from docs/reference-protocol.md and not from the Solidity.

What the chain must equal after every step: state, logs, refusals by name. Units as in the protocol.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from keeper.domain.exchange import MarketParameters
from tests.evm.books_model import (
    FUNDING,
    FUNDING_SCALE,
    PRICE_SCALE,
    BooksModel,
    Market,
    Position,
    Valuation,
    notional,
    reduces,
    sign,
    value,
    weighted,
)
from tests.evm.oracle_model import BPS, Revert, atomic, cdiv, fdiv

TRADE, WITHDRAW, LIQUIDATE = 1, 2, 4
FREE = 2**128 - 1


class Trade(NamedTuple):
    maker: str
    taker: str
    market_no: int
    taker_delta: int
    price: int


@dataclass(slots=True)
class Plan:
    reason: int
    stale_market: int = 0
    size: int = 0
    wanted: int = 0
    equity: int = 0
    mm: int = 0
    delta: int = 0
    cash: int = 0
    equity1: int = 0
    closed: int = 0
    loss: int = 0


class ExchangeModel(BooksModel):
    # ---------------------------------------------------------------- money

    @atomic
    def deposit(self, sender: str, who: str, amount: int) -> None:
        self.s.held += amount
        self._margin(who, 1, amount)

    @atomic
    def withdraw(self, sender: str, amount: int) -> None:
        self._require_active(WITHDRAW)
        stale = self.first_stale(sender)
        if stale:
            raise Revert("Stale", stale)
        engine = self.valuation(self.engine).equity
        if engine < 0:
            raise Revert("EngineUnderWater", engine)
        v = self.valuation(sender)
        free = min(v.cash, v.equity - v.im)
        if amount > free:
            raise Revert("InsufficientMargin", free)
        if amount > self.s.held:
            raise Revert("InsufficientLiquidity", self.s.held)
        self.s.held -= amount
        self._margin(sender, 2, -amount)

    @atomic
    def skim(self, stray: int) -> None:
        self.s.held += stray
        self._margin(self.engine, 9, stray)

    @atomic
    def collect_fees(self, to: str) -> int:
        amount, self.s.fees = self.s.fees, 0
        self.s.held -= amount
        self.log.append(("FeesCollected", to, amount))
        return amount

    # ---------------------------------------------------------------- administration

    def configure_market(self, sender: str, no: int, rules: MarketParameters) -> None:
        if no in self.s.markets:
            self._accrue(no, sender)
            self.s.markets[no].rules = rules
            return
        interval = self.oracle.s.feeds[no].rules.interval_s
        funding_at = self.now - self.now % interval
        snap_s, snap_v, _ = self.oracle.premium_at(no, funding_at)
        self.s.markets[no] = Market(rules, interval, funding_at, snap_s, snap_v)

    def pause(self, actions: int) -> None:
        self.s.paused |= actions

    def unpause(self, sender: str, actions: int) -> None:
        if self.s.paused & actions & FUNDING:
            for no in self.s.markets:
                self._settle(no, sender, waived=True)
        self.s.paused &= ~actions

    # ---------------------------------------------------------------- trades

    @atomic
    def settle_trades(self, sender: str, trades: Sequence[Trade]) -> None:
        self._require_active(TRADE)
        for i, trade in enumerate(trades):
            reason = self._trade(sender, trade)
            if reason:
                raise Revert("TradeRejected", i, reason)

    def _trade(self, sender: str, t: Trade) -> int:
        reason = self._check_terms(t)
        if reason:
            return reason
        self._accrue(t.market_no, sender)
        market = self.s.markets[t.market_no]
        cash = fdiv(-t.taker_delta * t.price, PRICE_SCALE)
        sides = [
            (t.taker, t.taker_delta, cash, market.rules.taker_bps),
            (t.maker, -t.taker_delta, -cash, market.rules.maker_bps),
        ]
        reducing = {who: self._reduces(who, t.market_no, delta) for who, delta, _, _ in sides}
        for who, delta, side_cash, fee_bps in sides:
            reason = self._apply(t, who, delta, side_cash, fee_bps, reducing[who])
            if reason:
                return reason
        if not all(reducing.values()) and market.open_interest > market.rules.max_oi_e18:
            return 8
        reason = next(filter(None, (self._check_after(who, reducing[who]) for who, *_ in sides)), 0)
        if not reason:
            self._sweep(t.market_no)
        return reason

    def _reduces(self, who: str, no: int, delta: int) -> bool:
        p = self.positions(who).get(no)
        return p is not None and reduces(p.size, delta)

    def _check_terms(self, t: Trade) -> int:
        if t.maker == t.taker:
            return 1
        if t.taker == self.engine:
            return 10
        rules = self.s.markets[t.market_no].rules
        if t.taker_delta == 0 or t.taker_delta % rules.lot_e18:
            return 2
        if not self.fresh(t.market_no):
            return 3
        mark = self.mark(t.market_no)
        return 4 if abs(t.price - mark) * BPS > rules.band_bps * mark else 0

    def _apply(self, t: Trade, who: str, delta: int, cash: int, fee_bps: int, reducing: bool) -> int:
        rules, n = self.s.markets[t.market_no].rules, notional(delta, t.price)
        if not reducing:
            if who == self.engine:
                return 10
            if n < rules.min_notional_units:
                return 5
            if len(self.positions(who)) >= 8 and t.market_no not in self.positions(who):
                return 6
        fee = 0 if who == self.engine else cdiv(n * fee_bps, BPS)
        self._move(who, t.market_no, 1, delta, cash, fee)
        if reducing:
            return 0
        size = self.positions(who)[t.market_no].size
        return 7 if notional(size, self.mark(t.market_no)) > rules.max_notional_units else 0

    def _check_after(self, who: str, reducing: bool) -> int:
        v = self.valuation(who)
        if who == self.engine:
            return 10 if v.equity < 0 else 0
        if self.first_stale(who):
            return 3
        return 9 if v.equity < (v.mm if reducing else v.im) else 0

    # ---------------------------------------------------------------- liquidation

    def plan(self, who: str, no: int, max_size: int = FREE, caller: str = "") -> Plan:
        if who in {self.engine, caller}:
            return Plan(1)
        if no not in self.positions(who):
            return Plan(2)
        stale = self.first_shielding(who, no)
        if stale:
            return Plan(3, stale)
        v = self.valuation(who)
        if v.equity >= v.mm:
            return Plan(4, equity=v.equity, mm=v.mm)
        wanted = self._wanted(who, no, v)
        size = min(wanted, max_size - max_size % self.s.markets[no].rules.lot_e18)
        plan = Plan(5, size=size, wanted=wanted, equity=v.equity, mm=v.mm)
        if size:
            self._price_plan(plan, who, no, v.notional)
            plan.reason = 6 if plan.loss and plan.loss > self.available() else 0
        return plan

    def _wanted(self, who: str, no: int, v: Valuation) -> int:
        rules, mark, size = self.s.markets[no].rules, self.mark(no), abs(self.positions(who)[no].size)
        if 2 * v.equity < v.mm:
            return size
        n = notional(size, mark)
        missing = cdiv(rules.buffer_bps * v.mm, BPS) - v.equity
        gained = fdiv(rules.buffer_bps * cdiv(weighted(rules, n), BPS), BPS) - cdiv(n * rules.penalty_bps, BPS)
        if gained <= missing:
            return size
        x = min(size, cdiv(cdiv(size * missing, gained), rules.lot_e18) * rules.lot_e18)
        return size if notional(size - x, mark) < rules.min_notional_units else x

    def _price_plan(self, plan: Plan, who: str, no: int, total: int) -> None:
        mark, size = self.mark(no), self.positions(who)[no].size
        plan.delta = -sign(size) * plan.size
        plan.cash = fdiv(-plan.delta * mark, PRICE_SCALE)
        plan.equity1 = plan.equity - value(size, mark) + value(size + plan.delta, mark) + plan.cash
        plan.closed = notional(plan.size, mark)
        last = plan.delta == -size and len(self.positions(who)) == 1
        if plan.equity1 < 0:
            plan.loss = -plan.equity1 if last else cdiv(-plan.equity1 * plan.closed, total)

    @atomic
    def liquidate(self, sender: str, who: str, no: int, max_size: int) -> int:
        self._require_active(LIQUIDATE)
        plan = self._liquidate(sender, who, no, max_size)
        errors: list[tuple[Any, ...]] = [
            ("SelfOrEngine",),
            ("NoPosition",),
            ("Stale", plan.stale_market),
            ("NotLiquidatable", plan.equity, plan.mm),
            ("SizeZero",),
            ("FundShort", plan.loss, self.available()),
        ]
        if plan.reason:
            raise Revert(*errors[plan.reason - 1])
        return plan.size

    @atomic
    def liquidate_batch(self, sender: str, requests: Sequence[tuple[str, int, int]]) -> bytes:
        self._require_active(LIQUIDATE)
        reasons = []
        for who, no, max_size in requests:
            reasons.append(self._liquidate(sender, who, no, max_size).reason)
            if reasons[-1]:
                self.log.append(("LiquidationSkipped", who, no, reasons[-1]))
        if all(reasons):
            raise Revert("NothingLiquidated", bytes(reasons))
        return bytes(reasons)

    def _liquidate(self, sender: str, who: str, no: int, max_size: int) -> Plan:
        if no in self.s.markets:
            self._accrue(no, sender)
        plan = self.plan(who, no, max_size, sender)
        if plan.reason:
            return plan
        self._move(who, no, 2, plan.delta, plan.cash)
        self._move(self.engine, no, 3, -plan.delta, -plan.cash)
        penalty = reward = 0
        if plan.equity1 >= 0:
            rules = self.s.markets[no].rules
            penalty = min(cdiv(plan.closed * rules.penalty_bps, BPS), plan.equity1)
            reward = fdiv(penalty * rules.liquidator_bps, BPS)
            self._margin(who, 3, -penalty)
            self._margin(sender, 4, reward)
            self._margin(self.engine, 3, penalty - reward)
        else:
            self._cover(who, plan.loss)
        outcome = (plan.size, self.mark(no), plan.equity, plan.mm, penalty, reward, plan.loss)
        self.log.append(("Liquidated", who, no, sender, *outcome))
        self._sweep(no)
        return plan

    def _cover(self, who: str, amount: int) -> None:
        self._margin(who, 5, amount)
        self._margin(self.engine, 5, -amount)

    @atomic
    def deleverage(self, sender: str, bankrupt: str, counterparty: str, no: int, size: int) -> None:
        self._require_active(LIQUIDATE)
        if counterparty in (bankrupt, self.engine):
            raise Revert("InvalidParties")
        self._accrue(no, sender)
        self._check_pair(bankrupt, counterparty, no, size)
        v = self.valuation(bankrupt)
        plan = Plan(0, size=size, equity=v.equity)
        self._price_plan(plan, bankrupt, no, v.notional)
        if plan.equity1 >= 0:
            raise Revert("NotBankrupt", plan.equity1)
        cover = 0 if bankrupt == self.engine else self.available()
        if cover >= plan.loss:
            raise Revert("FundNotEmpty", plan.loss, cover)
        cash = plan.cash + plan.loss - cover
        self._move(bankrupt, no, 4, plan.delta, cash)
        self._move(counterparty, no, 4, -plan.delta, -cash)
        self._cover(bankrupt, cover)
        after = self.valuation(counterparty)
        if after.equity < after.mm:
            raise Revert("CounterpartyUnhealthy", after.equity, after.mm)
        self.log.append(("Deleveraged", bankrupt, counterparty, no, size, self.mark(no), plan.loss, cover))
        self._sweep(no)

    def _check_pair(self, bankrupt: str, counterparty: str, no: int, size: int) -> None:
        b, c = self.positions(bankrupt).get(no), self.positions(counterparty).get(no)
        if b is None or c is None or sign(b.size) == sign(c.size):
            raise Revert("NoPosition")
        if size <= 0 or size % self.s.markets[no].rules.lot_e18 or size > min(abs(b.size), abs(c.size)):
            raise Revert("InvalidSize")
        stale = 0 if bankrupt == self.engine else self.first_shielding(bankrupt, no)
        stale = stale or self.first_shielding(counterparty, no)
        if stale:
            raise Revert("Stale", stale)

    # ---------------------------------------------------------------- what must always hold

    def all_positions(self) -> Iterator[tuple[int, Position]]:
        for account in self.s.accounts.values():
            yield from account.positions.items()

    def check_invariants(self, settlements: int) -> int:
        """The rounding gap in units: what is held beyond fees and all equity."""
        s = self.s
        margins = sum(account.margin for account in s.accounts.values())
        quotes = sum(p.quote for _, p in self.all_positions())
        assert s.held == margins + quotes + sum(m.clearing for m in s.markets.values()) + s.fees
        for no, market in s.markets.items():
            held = [p for other, p in self.all_positions() if other == no]
            assert sum(p.size for p in held) == 0
            assert market.open_interest == sum(max(p.size, 0) for p in held)
            exact = sum(p.size * (market.cum - p.cum_entry) for p in held)
            assert market.clearing * FUNDING_SCALE + exact >= 0
        gap = s.held - s.fees - sum(self.valuation(who).equity for who in s.accounts)
        assert 0 <= gap <= 2 * sum(1 for _ in self.all_positions()) + settlements, gap
        return gap
