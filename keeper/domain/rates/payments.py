"""One interval's payments: who pays whom, in whole units, conserving to the last one.

linear: size · price · F in quote; inverse: contracts / price · F in base; quanto: contracts · multiplier · price · F in the
currency that settles. A debit is rounded up and a credit down, so that rounding makes nobody's money out of nothing; what is
left over (less than one unit per account) goes to the insurance fund.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from keeper.domain.numbers import E18, cdiv


class Contract(StrEnum):
    LINEAR = "linear"
    """Sizes in base, scaled 1e18; paid in quote."""
    INVERSE = "inverse"
    """Sizes in contracts of one unit of quote each, scaled 1e18; paid in base."""
    QUANTO = "quanto"
    """Sizes in contracts, scaled 1e18; a contract is worth price · multiplier in the currency that settles."""


@dataclass(frozen=True, slots=True)
class Terms:
    """`unit` is how many of the smallest payable units one whole of the currency has, e.g. 10**6; `price_e18` the one that
    the venue charges on: the mark, Hyperliquid's oracle.
    """

    contract: Contract
    price_e18: int
    rate_e18: int
    unit: int
    multiplier_e18: int = E18

    def __post_init__(self) -> None:
        if min(self.price_e18, self.unit, self.multiplier_e18) <= 0:
            raise ValueError("price, unit and multiplier must be positive")

    def owed(self, size_e18: int) -> int:
        """Units, positive: a debit. Rounded up, which is up for a debit and down for a credit."""
        if self.contract is Contract.INVERSE:
            return cdiv(size_e18 * self.rate_e18 * self.unit, E18 * self.price_e18)
        worth = self.price_e18 if self.contract is Contract.LINEAR else self.price_e18 * self.multiplier_e18
        scale = E18**3 if self.contract is Contract.LINEAR else E18**4
        return cdiv(size_e18 * worth * self.rate_e18 * self.unit, scale)


@dataclass(frozen=True, slots=True)
class Settlement:
    """`debits` by account, negative: a credit. `fund_units` is what the insurance fund gets (residue) or gives (shortfall).

    Σ debits = fund_units, always. `shortfall_units` is what payers could not pay; `reduced_units` the part of it that receivers
    did without, because the fund had not enough, rounded against them.
    """

    debits: Mapping[str, int]
    fund_units: int
    shortfall_units: int = 0
    reduced_units: int = 0


def settle(
    sizes: Mapping[str, int], terms: Terms, equities: Mapping[str, int] | None = None, fund_units: int = 0
) -> Settlement:
    """Payments of all accounts, in the order of their names.

    `sizes` are signed and must add up to zero: a contract has two sides; ValueError otherwise. `equities` are what payers can
    pay at most (left out: all of it); what they cannot comes from the fund, as far as it reaches, and then off the credits,
    in proportion.
    """
    if sum(sizes.values()):
        raise ValueError("long and short sizes differ: a contract has two sides")
    owed = {account: terms.owed(size) for account, size in sorted(sizes.items())}
    paid = {account: _payable(account, debit, equities) for account, debit in owed.items()}
    shortfall = sum(owed.values()) - sum(paid.values())
    residue = sum(owed.values())
    missing = max(0, shortfall - residue - max(0, fund_units))
    if missing:
        paid = _reduced(paid, missing)
    taken = sum(paid.values())
    return Settlement(paid, taken, shortfall, max(0, taken - (residue - shortfall)))


def _payable(account: str, debit: int, equities: Mapping[str, int] | None) -> int:
    if debit <= 0 or equities is None or account not in equities:
        return debit
    return min(debit, max(0, equities[account]))


def _reduced(paid: Mapping[str, int], missing: int) -> dict[str, int]:
    """Credits cut by at least `missing` in all, each in proportion and rounded against the receiver."""
    received = -sum(debit for debit in paid.values() if debit < 0)
    cut = min(missing, received)
    return {
        account: debit if debit >= 0 else debit + min(-debit, cdiv(-debit * cut, received))
        for account, debit in paid.items()
    }


@dataclass(frozen=True, slots=True)
class Lazy:
    """dYdX v1's way: an index that grows, and each account settled by the difference whenever it is touched.

    `balance_units`, `size` in whole units of the currency and of the position; the index is a price scaled 1e18.
    """

    balance_units: int
    size: int
    index_e18: int = 0

    def settled(self, index_e18: int) -> Lazy:
        """The account after all that the index grew: a debit is rounded up, a credit down."""
        return Lazy(self.balance_units - cdiv((index_e18 - self.index_e18) * self.size, E18), self.size, index_e18)


def grown_index(index_e18: int, price_e18: int, funding_e18: int) -> int:
    """The index after `funding_e18` of `price_e18`, toward minus infinity. Longs pay what it grows by."""
    return index_e18 + price_e18 * funding_e18 // E18
