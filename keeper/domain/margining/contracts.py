"""What a position is worth, by the kind of contract, in its settlement currency.

    linear    worth = size · multiplier · M           settled in the quote currency
    inverse   worth = −size · multiplier / M          settled in the base currency; a contract is an amount of quote currency
    quanto    worth = size · multiplier · M           settled in a third currency; the multiplier is money per point and contract

Worth is what the position adds to equity besides its entry cash, so PnL = worth(M) − worth(E) for every kind and both
sides, and each is linear in one coordinate: M for linear and quanto, 1/M for inverse.
https://www.bitmex.com/app/perpetualContractsGuide
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from keeper.domain.numbers import E18


class Kind(StrEnum):
    LINEAR = "linear"
    INVERSE = "inverse"
    QUANTO = "quanto"


@dataclass(frozen=True, slots=True)
class Contract:
    """`multiplier` per contract: base units (linear), quote currency (inverse), settlement money per point (quanto)."""

    kind: Kind
    multiplier: Fraction = Fraction(1)

    def __post_init__(self) -> None:
        if self.multiplier <= 0:
            raise ValueError(f"multiplier: {self.multiplier} must be above 0")

    def coordinate(self, price_e18: int) -> Fraction:
        """Where a price lies on the axis on which worth is a line. Raises ValueError for a price that is not positive."""
        if price_e18 <= 0:
            raise ValueError(f"price_e18: {price_e18} must be above 0")
        return Fraction(1, price_e18) if self.kind is Kind.INVERSE else Fraction(price_e18)

    def slope(self, size_e18: int) -> Fraction:
        """Change of worth (scaled 1e18) per unit of the coordinate: below 0 for an inverse long."""
        if self.kind is Kind.INVERSE:
            return -size_e18 * self.multiplier * E18
        return size_e18 * self.multiplier / E18

    def worth(self, size_e18: int, price_e18: int) -> Fraction:
        """Exact, scaled by 1e18, signed: an inverse long's is negative."""
        return self.slope(size_e18) * self.coordinate(price_e18)


LINEAR = Contract(Kind.LINEAR)
INVERSE = Contract(Kind.INVERSE)
"""Of one unit of quote currency, as most are."""


def floor(exact: Fraction) -> int:
    """Toward minus infinity: what is credited to an account."""
    return exact.numerator // exact.denominator


def ceil(exact: Fraction) -> int:
    """Toward plus infinity: what is demanded of an account."""
    return -(-exact.numerator // exact.denominator)


def value(contract: Contract, size_e18: int, price_e18: int) -> int:
    """Worth, rounded down: it counts as equity."""
    return floor(contract.worth(size_e18, price_e18))


def notional(contract: Contract, size_e18: int, price_e18: int) -> int:
    """|worth|, rounded up: margin and fees are charged on it."""
    return ceil(abs(contract.worth(size_e18, price_e18)))


def unrealised_pnl(contract: Contract, size_e18: int, entry_e18: int, mark_e18: int) -> int:
    """worth(mark) − worth(entry), rounded down: a profit is credited, a loss charged in full."""
    return floor(contract.worth(size_e18, mark_e18) - contract.worth(size_e18, entry_e18))


def equity(wallet_e18: int, pnl_e18: int, fees_due_e18: int = 0, collateral_e18: int = 0) -> int:
    """AV = wallet + Σ unrealised PnL − fees and funding due + collateral after haircuts. A sum: nothing is rounded."""
    return wallet_e18 + pnl_e18 - fees_due_e18 + collateral_e18
