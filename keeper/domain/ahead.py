"""The chain as it will be when a report under way lands: what a liquidation right behind it will meet."""

from __future__ import annotations

from dataclasses import dataclass, replace

from keeper.domain.exchange import ChainState
from keeper.domain.feed import observe
from keeper.domain.report import PriceReport


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A report handed to the sender, and the intent that carries it."""

    report: PriceReport
    intent_id: str


def with_report(state: ChainState, report: PriceReport) -> ChainState:
    """`state` after `report`, in a block no older than its observation. Entries that the chain already has, or would skip
    as old or frozen, change nothing.
    """
    feeds = dict(state.feeds)
    for price in report.prices:
        feed = feeds.get(price.market_no)
        if feed is None or feed.frozen or report.round_id <= feed.round_id:
            continue
        feeds[price.market_no] = observe(
            feed, report.observed_at_s, report.round_id, price.index_e18, price.mark_e18, price.premium_e18
        )
    at = replace(state.at, timestamp_s=max(state.at.timestamp_s, report.observed_at_s))
    return replace(state, at=at, feeds=feeds)
