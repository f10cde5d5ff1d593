"""Who is near liquidation, and how near.

Health in basis points = equity / maintenance, rounded down; 10,000 and more is healthy, exactly as in
`keeper.domain.margin`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from keeper.domain.account import Account
from keeper.domain.exchange import ChainState
from keeper.domain.ids import Address
from keeper.domain.margin import Health, Markets, alarm_price, health_in, terms_of
from keeper.domain.numbers import BPS, fdiv

NEAR_BPS, WATCH_BPS = 11_000, 15_000


class Band(IntEnum):
    """From worst to best. NEAR is within 10 % of the threshold, WATCHED within 50 %."""

    BANKRUPT = 0
    LIQUIDATABLE = 1
    NEAR = 2
    WATCHED = 3
    SAFE = 4


@dataclass(frozen=True, slots=True)
class Distance:
    """How far one market's mark may move before the account is liquidatable, the others standing still.

    `alarm_e18` and `distance_bps` are None where no mark would do it; `distance_bps` is 0 once it has been reached.
    """

    market_no: int
    mark_e18: int
    alarm_e18: int | None
    distance_bps: int | None


@dataclass(frozen=True, slots=True)
class AtRisk:
    """`slack_bps` is (E − MM) / notional: to first order, the move of all markets against the account that it bears."""

    account: Address
    health: Health
    health_bps: int
    slack_bps: int
    band: Band
    distances: tuple[Distance, ...]


def health_bps(found: Health) -> int | None:
    """Equity over maintenance in basis points, rounded down; None without a position."""
    return fdiv(found.equity * BPS, found.maintenance) if found.maintenance else None


def band_of(found: Health) -> Band:
    """SAFE without a position."""
    ratio = health_bps(found)
    if ratio is None or ratio >= WATCH_BPS:
        return Band.SAFE
    if found.equity < 0:
        return Band.BANKRUPT
    if ratio < BPS:
        return Band.LIQUIDATABLE
    return Band.NEAR if ratio < NEAR_BPS else Band.WATCHED


def distances(account: Account, markets: Markets) -> tuple[Distance, ...]:
    """Of every position, nearest first."""
    found = [_distance(account, number, markets) for number in account.positions]
    return tuple(sorted(found, key=_nearness))


def _nearness(found: Distance) -> tuple[bool, int, int]:
    return found.distance_bps is None, found.distance_bps or 0, found.market_no


def _distance(account: Account, number: int, markets: Markets) -> Distance:
    mark, alarm = markets[number].mark_e18, alarm_price(account, number, markets)
    if alarm is None or mark == 0:
        return Distance(number, mark, alarm, None)
    away = mark - alarm if account.positions[number].size_e18 > 0 else alarm - mark
    return Distance(number, mark, alarm, max(0, fdiv(away * BPS, mark)))


def at_risk(
    accounts: Iterable[Account], state: ChainState, now_s: int, *, engine: Address, below_bps: int = WATCH_BPS
) -> tuple[AtRisk, ...]:
    """Accounts whose health is below `below_bps`, worst first, ties by lower address; ENGINE is never among them."""
    markets, found = terms_of(state, now_s), []
    for account in accounts:
        if account.address == engine or not account.positions:
            continue
        health = health_in(account, markets)
        ratio = health_bps(health)
        if ratio is not None and ratio < below_bps:
            slack = fdiv((health.equity - health.maintenance) * BPS, health.notional)
            found.append(AtRisk(account.address, health, ratio, slack, band_of(health), distances(account, markets)))
    return tuple(sorted(found, key=lambda item: (item.health_bps, item.account)))
