"""Closing a bankrupt account against its counterparties when the insurance fund cannot pay.

Rules: docs/reference-protocol.md, "Insurance and deleveraging" and "Off-chain formulas". The contract cannot prove the
rank; it is fixed here so that anyone can audit the order from the events.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from keeper.domain.account import Account
from keeper.domain.exchange import PAUSE_LIQUIDATE, ChainState
from keeper.domain.ids import Address
from keeper.domain.liquidation import (
    Closing,
    Reason,
    Skip,
    available,
    closing_of,
    closing_order,
    plan_in,
    price_usable,
)
from keeper.domain.margin import Markets, Terms, health_in, moved, part_of, terms_of
from keeper.domain.numbers import E18, fdiv, tdiv


@dataclass(frozen=True, slots=True)
class Counterparty:
    """One who may be deleveraged: profit over entry notional, and the position's notional over the account's equity."""

    account: Address
    size_e18: int
    pct_e18: int
    leverage_e18: int
    score_e18: int


@dataclass(frozen=True, slots=True)
class DeleverageStep:
    """One call of `deleverage`. The fund pays `cover` of `loss`, the counterparty the rest."""

    bankrupt: Address
    counterparty: Address
    market_no: int
    size_e18: int
    loss: int
    cover: int


def needed(account: Account, state: ChainState, now_s: int, *, engine: Account) -> bool:
    """ENGINE under water, or an account that the fund cannot even help out of one lot anywhere.

    While FUND_SHORT still leaves an affordable size, liquidate that first: it uses the fund up.
    """
    if state.pause_mask & PAUSE_LIQUIDATE:
        return False
    markets = terms_of(state, now_s)
    if account.address == engine.address:
        return bool(account.positions) and health_in(account, markets).equity < 0
    answers = [plan_in(account, number, markets, engine=engine) for number in account.positions]
    judged = [a for a in answers if not (isinstance(a, Skip) and a.reason is Reason.STALE)]
    return bool(judged) and all(
        isinstance(a, Skip) and a.reason is Reason.FUND_SHORT and not a.affordable_e18 for a in judged
    )


def counterparties(
    side: int, market_no: int, accounts: Iterable[Account], markets: Markets, *, engine: Address
) -> tuple[Counterparty, ...]:
    """Holders of the side opposite to `side` (a signed size), highest score first, ties by lower address.

    pct = (value + quote) / max(1, |quote|); lev = notional / E; score = pct · lev where pct > 0, else pct / lev.
    ENGINE and accounts with E ≤ 0 are left out.
    """
    terms = markets[market_no]
    found = []
    for account in accounts:
        position = account.positions.get(market_no)
        if account.address == engine or position is None or (position.size_e18 > 0) == (side > 0):
            continue
        ranked = _ranked(account, terms, health_in(account, markets).equity)
        if ranked is not None:
            found.append(ranked)
    return tuple(sorted(found, key=lambda c: (-c.score_e18, c.account)))


def _ranked(account: Account, terms: Terms, equity: int) -> Counterparty | None:
    if equity <= 0:
        return None
    position = account.positions[terms.market_no]
    part = part_of(position, terms)
    pct = tdiv((part.value + part.quote) * E18, max(1, abs(part.quote)))
    leverage = fdiv(part.notional * E18, equity)
    score = fdiv(pct * leverage, E18) if pct > 0 else tdiv(pct * E18, max(1, leverage))
    return Counterparty(account.address, position.size_e18, pct, leverage, score)


def plan_deleverage(
    bankrupt: Address, state: ChainState, accounts: Mapping[Address, Account], now_s: int, *, engine: Address
) -> tuple[DeleverageStep, ...]:
    """The calls that close `bankrupt` (which may be ENGINE), in order, each planned on what the ones before it leave.

    Markets with most maintenance first; in each the counterparties by rank, min(sizes) each; one that would end below
    its maintenance, or whose prices are stale, is passed over for the next. It ends when the account is closed, no
    longer bankrupt, or its next hole is one that the fund can pay (liquidate again). Empty if nothing can be done now.
    """
    if state.pause_mask & PAUSE_LIQUIDATE or bankrupt not in accounts:
        return ()
    markets = terms_of(state, now_s)
    book = _Book(dict(accounts), markets, engine)
    steps: list[DeleverageStep] = []
    for number in closing_order(accounts[bankrupt], markets):
        steps.extend(book.close(bankrupt, number))
        if book.payable:
            break
    return tuple(steps)


def plan_all(
    bankrupts: Iterable[Address], state: ChainState, accounts: Mapping[Address, Account], now_s: int, *, engine: Address
) -> tuple[DeleverageStep, ...]:
    """As `plan_deleverage` for several, in that order, each that still needs it after the steps for those before it."""
    if state.pause_mask & PAUSE_LIQUIDATE:
        return ()
    markets = terms_of(state, now_s)
    book = _Book(dict(accounts), markets, engine)
    steps: list[DeleverageStep] = []
    for bankrupt in bankrupts:
        account = book.account(bankrupt)
        if needed(account, state, now_s, engine=book.account(engine)):
            for number in closing_order(account, markets):
                steps.extend(book.close(bankrupt, number))
    return tuple(steps)


class _Book:
    """Accounts as the steps planned so far would leave them; `payable` once the next hole is the fund's to fill."""

    def __init__(self, accounts: dict[Address, Account], markets: Markets, engine: Address) -> None:
        self._accounts, self._markets, self._engine = accounts, markets, engine
        self.payable = False

    def account(self, address: Address) -> Account:
        return self._accounts.get(address, Account(address))

    def close(self, bankrupt: Address, market_no: int) -> Iterator[DeleverageStep]:
        side = self._accounts[bankrupt].positions[market_no].size_e18
        ranked = counterparties(side, market_no, self._accounts.values(), self._markets, engine=self._engine)
        for counterparty in ranked:
            if counterparty.account == bankrupt or not self._open(bankrupt, market_no):
                continue
            held = self._accounts[bankrupt].positions[market_no].size_e18
            size = min(abs(held), abs(counterparty.size_e18))
            closing = self._closing(bankrupt, market_no, size)
            cover = 0 if bankrupt == self._engine else available(self._fund(), self._markets)
            if closing.loss <= cover:
                self.payable = True
                return
            step = DeleverageStep(bankrupt, counterparty.account, market_no, size, closing.loss, cover)
            if self._take(step, closing):
                yield step

    def _open(self, bankrupt: Address, market_no: int) -> bool:
        """Whether the account still holds the position, at prices that may be used."""
        account = self._accounts[bankrupt]
        if market_no not in account.positions:
            return False
        if bankrupt == self._engine:
            return self._markets[market_no].fresh
        return price_usable(account, market_no, self._markets)

    def _closing(self, bankrupt: Address, market_no: int, size_e18: int) -> Closing:
        account = self._accounts[bankrupt]
        found = health_in(account, self._markets)
        return closing_of(account, market_no, size_e18, found, self._markets[market_no])

    def _fund(self) -> Account:
        return self._accounts.get(self._engine, Account(self._engine))

    def _take(self, step: DeleverageStep, closing: Closing) -> bool:
        """Carries the step out, unless the contract would refuse the counterparty."""
        other = self._accounts[step.counterparty]
        if not price_usable(other, step.market_no, self._markets):
            return False
        cum, cash = self._markets[step.market_no].cum_e36, closing.cash_units + step.loss - step.cover
        other = moved(other, step.market_no, -closing.delta_e18, -cash, cum)
        after = health_in(other, self._markets)
        if after.equity < after.maintenance:
            return False
        closed = moved(self._accounts[step.bankrupt], step.market_no, closing.delta_e18, cash, cum)
        self._accounts[step.counterparty] = other
        self._accounts[step.bankrupt] = replace(closed, margin_units=closed.margin_units + step.cover)
        if step.cover:
            fund = self._fund()
            self._accounts[self._engine] = replace(fund, margin_units=fund.margin_units - step.cover)
        return True
