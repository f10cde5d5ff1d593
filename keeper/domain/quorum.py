"""How many signatures the contract will ask for. Mirrors rules 5 and 6 of its `pushPrices` (docs/reference-protocol.md)."""

from __future__ import annotations

from keeper.domain.exchange import ChainState, FeedState
from keeper.domain.numbers import exceeds_bps
from keeper.domain.report import MarketPrice, PriceReport


def deviates(price: MarketPrice, feed: FeedState) -> bool:
    """Rule 5: no price stored yet, or index or mark further from the stored one than the feed allows."""
    if feed.index_e18 <= 0 or feed.mark_e18 <= 0:
        return True
    limit = feed.max_deviation_bps
    return exceeds_bps(price.index_e18, feed.index_e18, limit) or exceeds_bps(price.mark_e18, feed.mark_e18, limit)


def spreads(price: MarketPrice, feed: FeedState) -> bool:
    """Rule 6: mark further from its own index than the feed allows."""
    return exceeds_bps(price.mark_e18, price.index_e18, feed.max_spread_bps)


def signatures_needed(price: MarketPrice, feed: FeedState, quorum: int, super_quorum: int) -> int:
    """Signatures for one entry to be accepted: the super-quorum lifts rules 5 and 6.

    `feed` holds the rules and the stored prices: those that the chain will hold when the report arrives.
    """
    return super_quorum if deviates(price, feed) or spreads(price, feed) else quorum


def signatures_for(report: PriceReport, state: ChainState) -> int:
    """Signatures for every entry of a batch to be accepted. Raises KeyError for a market that has no feed."""
    oracle = state.oracle
    needs = (
        signatures_needed(price, state.feeds[price.market_no], oracle.quorum, oracle.super_quorum)
        for price in report.prices
    )
    return max(needs, default=oracle.quorum)
