"""Positions that share one wallet. The general form is Binance's, with both legs of a hedge in one market:

    LP = (WB − Σ MM of others + Σ PnL of others + Σ amount of legs − Σ s·q·E of legs) / Σ (q·rate − s·q) of legs

An account in several markets has no liquidation price in closed form, since all prices move. What is liquidatable is
found by evaluating AV − MM; a price is given per market, with the other markets and the collateral as they are now.
https://www.binance.com/en/support/faq/b3c689c1f50a44cabb3a84e663b81d93
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from keeper.domain.margining.contracts import Contract, notional, unrealised_pnl
from keeper.domain.margining.threshold import Healthy, Leg, Unreachable, healthy_prices
from keeper.domain.margining.tiers import NO_MAINTENANCE, TierTable

Marks = Mapping[str, int]
"""Mark price by market, scaled by 1e18."""


@dataclass(frozen=True, slots=True)
class Held:
    """All positions of an account settle in one currency. Two of them in one market are a hedge's legs."""

    market: str
    contract: Contract
    size_e18: int
    entry_e18: int
    table: TierTable

    def __post_init__(self) -> None:
        if self.size_e18 == 0:
            raise ValueError(f"size_e18: 0 is no position in {self.market}")


@dataclass(frozen=True, slots=True)
class CrossAccount:
    """`wallet_e18` less fees due; `collateral_e18` as `collateral` values it, 0 where only the wallet counts."""

    name: str
    wallet_e18: int
    positions: tuple[Held, ...]
    collateral_e18: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """AV rounded down, MM and notional up, position by position."""

    equity_e18: int
    maintenance_e18: int
    notional_e18: int

    @property
    def is_liquidatable(self) -> bool:
        """Equality is healthy. Positions are taken to exist: without one nothing is demanded."""
        return self.equity_e18 < self.maintenance_e18

    def margin_ratio(self) -> Fraction | None:
        """AV / Σ notional; None without a position."""
        return Fraction(self.equity_e18, self.notional_e18) if self.notional_e18 else None


def standing(account: CrossAccount, marks: Marks) -> Standing:
    """Raises KeyError for a position in a market that `marks` lacks: an unknown market must not look healthy."""
    equity, maintenance, total = account.wallet_e18 + account.collateral_e18, 0, 0
    for held in account.positions:
        mark = marks[held.market]
        worth = notional(held.contract, held.size_e18, mark)
        equity += unrealised_pnl(held.contract, held.size_e18, held.entry_e18, mark)
        maintenance += held.table.maintenance(worth)
        total += worth
    return Standing(equity, maintenance, total)


def liquidatable(accounts: Iterable[CrossAccount], marks: Marks) -> tuple[str, ...]:
    """Names of the accounts with a position and AV < MM, the lowest AV / MM first, ties by name."""
    found = [
        (Fraction(state.equity_e18, max(1, state.maintenance_e18)), account.name)
        for account in accounts
        if account.positions and (state := standing(account, marks)).is_liquidatable
    ]
    return tuple(name for _, name in sorted(found))


def liquidation_prices(account: CrossAccount, market: str, marks: Marks) -> Healthy | Unreachable:
    """Between which prices of one market the account is healthy, the others standing still."""
    return _prices(account, market, marks, bankrupt=False)


def bankruptcy_prices(account: CrossAccount, market: str, marks: Marks) -> Healthy | Unreachable:
    """Between which prices of one market the account is worth nothing or more: M − s·AV/q for one linear position."""
    return _prices(account, market, marks, bankrupt=True)


def _prices(account: CrossAccount, market: str, marks: Marks, *, bankrupt: bool) -> Healthy | Unreachable:
    """Raises ValueError without a position in `market`, or if two there are in different contracts."""
    legs = [held for held in account.positions if held.market == market]
    contracts = {held.contract for held in legs}
    if len(contracts) != 1:
        raise ValueError(f"market: {len(contracts)} kinds of contract held in {market!r}, not 1")
    cash = Fraction(account.wallet_e18 + account.collateral_e18)
    for held in account.positions:
        cash -= held.contract.worth(held.size_e18, held.entry_e18)
        if held.market != market:
            worth = held.contract.worth(held.size_e18, marks[held.market])
            cash += worth if bankrupt else worth - held.table.exact(abs(worth))
    found = [Leg(held.contract.slope(held.size_e18), NO_MAINTENANCE if bankrupt else held.table) for held in legs]
    return healthy_prices(legs[0].contract, cash, found)
