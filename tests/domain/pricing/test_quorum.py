"""How many signatures: the contract's rules 5 and 6, to the last unit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.chain import BlockRef
from keeper.domain.exchange import ChainState, FeedState, OracleState
from keeper.domain.ids import DeploymentId, Hash, MarketId
from keeper.domain.numbers import BPS, MAX_PRICE_E18
from keeper.domain.quorum import signatures_for, signatures_needed
from keeper.domain.report import MarketPrice, PriceReport
from tests.domain.pricing.builders import LAW

FEED = FeedState(
    market_no=1,
    interval_s=3600,
    hold_s=60,
    max_deviation_bps=1000,
    max_spread_bps=200,
    premium_kind=1,
    frozen=False,
    index_e18=10_000,
    mark_e18=10_000,
    premium_e18=0,
    observed_at_s=1,
    round_id=1000,
    acc=0,
    covered=0,
    checkpoint_at_s=0,
    checkpoint_acc=0,
    checkpoint_covered=0,
    checkpoint_mark_e18=0,
)
QUORUM, SUPER = 2, 3


def entry(index: int, mark: int, market_no: int = 1) -> MarketPrice:
    return MarketPrice(MarketId("BTC-USD"), market_no, index, mark, 0)


@pytest.mark.parametrize(
    ("index", "mark", "expected"),
    [
        (10_000, 10_000, QUORUM),
        (11_000, 11_000, QUORUM),
        (11_001, 11_000, SUPER),
        (11_000, 11_001, SUPER),
        (9_000, 9_000, QUORUM),
        (8_999, 9_000, SUPER),
        (9_000, 8_999, SUPER),
        (10_000, 10_200, QUORUM),
        (10_000, 10_201, SUPER),
        (10_000, 9_800, QUORUM),
        (10_000, 9_799, SUPER),
        (20_000, 20_000, SUPER),
    ],
)
def test_signatures_needed__at_the_limits(index: int, mark: int, expected: int) -> None:
    assert signatures_needed(entry(index, mark), FEED, QUORUM, SUPER) == expected


@pytest.mark.parametrize("stored", [(0, 0), (10_000, 0), (0, 10_000)])
def test_signatures_needed__no_stored_price__is_the_super_quorum(stored: tuple[int, int]) -> None:
    feed = replace(FEED, index_e18=stored[0], mark_e18=stored[1])
    assert signatures_needed(entry(10_000, 10_000), feed, QUORUM, SUPER) == SUPER


PRICE = st.integers(1, MAX_PRICE_E18)


@LAW
@given(
    new=st.tuples(PRICE, PRICE),
    old=st.tuples(PRICE, PRICE),
    deviation=st.integers(0, 10**5),
    spread=st.integers(0, 10**5),
)
def test_signatures_needed__any_prices__as_the_contract_writes_it(
    new: tuple[int, int], old: tuple[int, int], deviation: int, spread: int
) -> None:
    feed = replace(FEED, index_e18=old[0], mark_e18=old[1], max_deviation_bps=deviation, max_spread_bps=spread)
    rule5 = any(abs(one - other) * BPS > deviation * other for one, other in zip(new, old, strict=True))
    rule6 = abs(new[1] - new[0]) * BPS > spread * new[0]
    assert signatures_needed(entry(*new), feed, QUORUM, SUPER) == (SUPER if rule5 or rule6 else QUORUM)


def test_signatures_for__batch__asks_for_its_most_demanding_entry() -> None:
    state = ChainState(
        at=BlockRef(1, Hash("0x" + "0" * 64), Hash("0x" + "0" * 64), 1),
        oracle=OracleState((), QUORUM, SUPER, 1, 60, 60, paused=False),
        feeds={1: FEED, 2: replace(FEED, market_no=2)},
        markets={},
        pause_mask=0,
        account_count=0,
        held_units=0,
    )
    report = PriceReport(
        DeploymentId("main"), 1, 0, 1, 1, b"\1" * 32, (entry(10_000, 10_000), entry(10_001, 10_001, 2))
    )
    assert signatures_for(report, state) == QUORUM
    jump = replace(report, prices=(entry(10_000, 10_000), entry(20_000, 20_000, 2)))
    assert signatures_for(jump, state) == SUPER
