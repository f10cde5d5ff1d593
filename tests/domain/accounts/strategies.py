"""Random accounts, rules and prices over the whole range that the exchange admits."""

from __future__ import annotations

from hypothesis import strategies as st

from keeper.domain.account import Account, Position
from keeper.domain.exchange import MarketParameters, Tier
from keeper.domain.margin import Terms
from keeper.domain.numbers import MAX_PRICE_E18
from tests.domain.accounts.bridge import who

UNIT_CAP = 10**18
"""Notional of a position in units of the quote token when it is traded."""

prices = st.one_of(
    st.sampled_from([1, 10**10, 10**18, 10**24, MAX_PRICE_E18]),
    st.integers(1, MAX_PRICE_E18),
    st.integers(0, 95).flatmap(lambda bits: st.integers(1, 2**bits)),
)


@st.composite
def tier_tables(draw):
    rises = draw(st.lists(st.tuples(st.integers(1, 10**14), st.integers(1, 500)), max_size=9))
    floor, rate = 0, draw(st.integers(41, 500))
    tiers = [Tier(floor, rate)]
    for floor_rise, rate_rise in rises:
        floor, rate = floor + floor_rise, rate + rate_rise
        tiers.append(Tier(floor, rate))
    return tuple(tiers)


@st.composite
def parameters(draw):
    buffer = draw(st.integers(10_100, 20_000))
    return MarketParameters(
        tiers=draw(tier_tables()),
        im_factor_bps=draw(st.integers(max(12_500, buffer), 60_000)),
        buffer_bps=buffer,
        penalty_bps=draw(st.integers(0, 40)),
        liquidator_bps=draw(st.integers(0, 10_000)),
        lot_e18=draw(st.sampled_from([1, 10**12, 10**15, 10**18])),
        min_notional_units=draw(st.sampled_from([0, 5 * 10**6])),
        max_notional_units=UNIT_CAP,
        max_oi_e18=10**38,
        maker_bps=1,
        taker_bps=4,
        band_bps=200,
        max_price_age_s=60,
        funding_kind=0,
        interest_e18=10**14,
        clamp_e18=5 * 10**14,
        cap_e18=75 * 10**14,
    )


@st.composite
def terms(draw, market_no=1):
    cum = draw(st.integers(-(10**40), 10**40))
    return Terms(market_no, draw(parameters()), draw(prices), cum, fresh=True, passable=True)


@st.composite
def positions(draw, at: Terms, sign=None):
    """Of at most the traded notional at the market's mark, whole lots, entered near that mark."""
    lots = max(1, UNIT_CAP * 10**30 // at.mark_e18 // at.parameters.lot_e18)
    most = min(lots, 2**126 // at.parameters.lot_e18)
    size = draw(st.one_of(st.integers(1, most), st.integers(max(1, most // 10**9), most))) * at.parameters.lot_e18
    size *= sign or draw(st.sampled_from([1, -1]))
    worth = size * at.mark_e18 // 10**30
    quote = -worth * draw(st.integers(5_000, 20_000)) // 10_000
    entry = at.cum_e36 - draw(st.integers(-(10**39), 10**39))
    return Position(size, quote, entry)


@st.composite
def books(draw, sign=None, most=4):
    """(markets, an account with 1 … `most` positions whose equity lies near its maintenance)."""
    numbers = sorted(draw(st.sets(st.integers(1, 32), min_size=1, max_size=most)))
    markets = {number: draw(terms(number)) for number in numbers}
    held = {number: draw(positions(markets[number], sign)) for number in numbers}
    margin = draw(st.integers(-(10**12), 10**12))
    return markets, Account(who(1), margin, held)
