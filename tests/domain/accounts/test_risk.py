from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.domain.account import Account
from keeper.domain.margin import Health, terms_of
from keeper.domain.numbers import E18
from keeper.domain.risk import Band, at_risk, band_of, distances, health_bps
from tests.domain.accounts.bridge import ENGINE, who
from tests.domain.accounts.test_liquidation import NOW, USD, holder, state


@pytest.mark.parametrize(
    ("equity", "band"),
    [
        (-1, Band.BANKRUPT),
        (0, Band.LIQUIDATABLE),
        (999, Band.LIQUIDATABLE),
        (1_000, Band.NEAR),
        (1_099, Band.NEAR),
        (1_100, Band.WATCHED),
        (1_499, Band.WATCHED),
        (1_500, Band.SAFE),
    ],
)
def test_band__edges(equity, band):
    assert band_of(Health(0, equity, 1_000, 2_000, 10_000)) is band


def test_health_bps__without_a_position__is_unknown_and_safe():
    empty = Health(-5, -5, 0, 0, 0)
    assert health_bps(empty) is None
    assert band_of(empty) is Band.SAFE


def test_at_risk__worst_first_and_only_below_the_limit():
    accounts = [
        holder(16 * USD, name=4),
        holder(-USD, name=5),
        holder(16 * USD, name=2),
        holder(22_500_000, name=3),  # exactly 1.5
        replace(holder(0), address=ENGINE),
        Account(who(9), -5),
    ]
    found = at_risk(accounts, state(), NOW, engine=ENGINE)
    assert [(item.account, item.band) for item in found] == [
        (who(5), Band.BANKRUPT),
        (who(2), Band.NEAR),
        (who(4), Band.NEAR),
    ]
    assert found[1].health_bps == 10_666
    assert found[1].slack_bps == 3
    assert [len(at_risk(accounts, state(), NOW, engine=ENGINE, below_bps=b)) for b in (10_000, 15_001)] == [1, 4]


def test_distances__nearest_first():
    """Long 1 and short 0.1: the larger position is nearer to its alarm; a mark that reached it is at distance 0."""
    account = Account(who(1), 100 * USD, holder(0).positions | holder(0, size=-(10**17), number=2).positions)
    first, second = distances(account, terms_of(state(), NOW))
    assert (first.market_no, second.market_no) == (1, 2)
    assert first.mark_e18 == 3_000 * E18
    assert 2_900 * E18 < first.alarm_e18 < 3_000 * E18
    assert (first.distance_bps, second.distance_bps) == (279, 2_769)
    gone = distances(replace(account, margin_units=0), terms_of(state(), NOW))
    assert [d.distance_bps for d in gone] == [0, 0]


def test_distances__no_mark_would_do_it__is_none_and_last():
    account = Account(who(1), 10_000 * USD, holder(0).positions | holder(0, size=-(10**17), number=2).positions)
    first, second = distances(account, terms_of(state(), NOW))
    assert (first.market_no, second.market_no, second.alarm_e18, second.distance_bps) == (2, 1, None, None)
