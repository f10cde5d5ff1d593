"""Markets and openings that the scripted tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from keeper.devnet.deploy import BTC_RULES, FeedParameters, MarketListing
from keeper.domain.exchange import Tier
from tests.evm.oracle_model import ONE
from tests.evm.world import World, world

USD = 10**6
COIN = ONE
SIMPLE = replace(
    BTC_RULES,
    tiers=(Tier(0, 500),),
    im_factor_bps=20_000,
    buffer_bps=11_000,
    penalty_bps=100,
    maker_bps=0,
    taker_bps=0,
    band_bps=500,
    max_notional_units=10**15,
    max_oi_e18=10**36,
    interest_e18=0,
    clamp_e18=0,
)
"""5 % maintenance, 10 % initial margin, no fees; a premium of 0 makes a funding rate of 0."""


def listing(no: int = 1, interval_s: int = 3600, premium_kind: int = 1, **rules: Any) -> MarketListing:
    return MarketListing(no, FeedParameters(interval_s, 120, 500, 300, premium_kind), replace(SIMPLE, **rules))


@asynccontextmanager
async def market_at(
    price: int = 100, insurance: int = 0, markets: tuple[MarketListing, ...] = (), **changes: Any
) -> AsyncIterator[World]:
    """Every market at `price` USD, the fund at `insurance` USD; `changes` go to the deployment."""
    listings = markets or (listing(),)
    async with world(listings, insurance * USD, **changes) as w:
        outcome = await w.push({market.market_no: price * ONE for market in listings}, signers=4)
        assert outcome.error is None
        yield w


async def open_pair(w: World, long: str, short: str, coins: int, price: int, margin: int, no: int = 1) -> None:
    """Both deposit `margin` USD, then `long` buys `coins` from `short`."""
    for who in (long, short):
        await w.deposit(who, margin * USD)
    outcome = await w.trade((short, long, no, coins * COIN, price * ONE))
    assert outcome.error is None, outcome


async def reprice(w: World, price: float, *nos: int) -> None:
    """A second later, with a super-quorum, so that any move is accepted."""
    w.tick(1)
    exact = round(price * 10**6) * 10**12
    outcome = await w.push(dict.fromkeys(nos or (1,), exact), signers=4)
    assert outcome.error is None, outcome
