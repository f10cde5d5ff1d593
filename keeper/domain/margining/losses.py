"""What a liquidation costs, who gets it, and who pays when nothing is left.

    penalty = rate · closed notional, split between keeper and insurance fund while AV > 0, else all to the keeper
    deficit = max(0, −AV after it)   → insurance fund   → deleveraging at the bankruptcy price   → or pro rata to the winners
    ADL rank = PnL% · leverage (PnL > 0) or PnL% / leverage, leverage = |mark value| / (mark value − bankruptcy value)

https://www.bitmex.com/app/autoDeleveraging, https://github.com/perpetual-protocol/perp-curie-contract
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from keeper.domain.margining.contracts import Contract, ceil, floor


@dataclass(frozen=True, slots=True)
class PenaltyRules:
    """`capped`: never more than what the account has (then it makes no deficit); Curie charges it in full."""

    rate: Fraction
    keeper_share: Fraction = Fraction(1, 2)
    capped: bool = False


@dataclass(frozen=True, slots=True)
class Penalty:
    """`keeper_e18` + `fund_e18` is what the account is charged; `deficit_e18` is what it then lacks."""

    keeper_e18: int
    fund_e18: int
    deficit_e18: int


def penalty(closed_notional_e18: int, equity_e18: int, rules: PenaltyRules) -> Penalty:
    """Charged rounded up; the keeper's share rounded down, the rest is the fund's, so that nothing is lost or made."""
    charged = ceil(rules.rate * closed_notional_e18)
    if rules.capped:
        charged = min(charged, max(0, equity_e18))
    keeper = floor(charged * rules.keeper_share) if equity_e18 > 0 else charged
    return Penalty(keeper, charged - keeper, max(0, charged - equity_e18))


@dataclass(frozen=True, slots=True)
class Cover:
    """What the fund pays of a deficit, and what is left for deleveraging or the winners."""

    fund_e18: int
    left_e18: int


def cover(deficit_e18: int, fund_e18: int) -> Cover:
    paid = min(deficit_e18, max(0, fund_e18))
    return Cover(paid, deficit_e18 - paid)


def socialised(loss_e18: int, profits: Mapping[str, int]) -> dict[str, int] | None:
    """Each winner's share of a loss, pro rata to its profit; they add up to the loss exactly. None if profits do not cover it.

    Shares are rounded down; the units left over go one each to those whose share lost most by it, ties by name, so that
    nobody pays more than a unit above the exact share, or more than the profit.
    """
    winners = {name: profit for name, profit in profits.items() if profit > 0}
    total = sum(winners.values())
    if loss_e18 > total:
        return None
    exact = {name: Fraction(loss_e18 * profit, total) for name, profit in winners.items()}
    shares = {name: floor(share) for name, share in exact.items()}
    units = loss_e18 - sum(shares.values())
    for name in sorted(exact, key=lambda name: (shares[name] - exact[name], name))[:units]:
        shares[name] += 1
    return shares


@dataclass(frozen=True, slots=True)
class Candidate:
    """A position on the winning side; `bankruptcy_equity_e18` is what it, or its account, has left: mark value − bankruptcy value."""

    name: str
    contract: Contract
    size_e18: int
    entry_e18: int
    mark_e18: int
    bankruptcy_equity_e18: int


def adl_score(position: Candidate) -> Fraction | None:
    """Exact; None for one that has nothing left, which is a bankrupt itself."""
    if position.bankruptcy_equity_e18 <= 0:
        return None
    mark = position.contract.worth(position.size_e18, position.mark_e18)
    entry = position.contract.worth(position.size_e18, position.entry_e18)
    share, leverage = (mark - entry) / abs(entry), abs(mark) / position.bankruptcy_equity_e18
    return share * leverage if share > 0 else share / leverage


def adl_order(positions: Iterable[Candidate]) -> tuple[str, ...]:
    """Highest score first, ties by name."""
    scored = [(-score, each.name) for each in positions if (score := adl_score(each)) is not None]
    return tuple(name for _, name in sorted(scored))
