"""The protocol's whole state from its logs alone, from the first block on."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from keeper.devnet.deploy import FeedParameters
from keeper.domain.exchange import MarketParameters, Tier
from tests.evm.books_model import Account, Market, Position, State
from tests.evm.oracle_model import Feed


class LogMirror:
    """`apply` takes (event, *fields) in the order in which the chain has them."""

    def __init__(self, engine: str) -> None:
        self.state = State(accounts={engine: Account()})
        self.feeds: dict[int, Feed] = {}
        self.frozen_oracle = False

    def apply(self, log: tuple[Any, ...]) -> None:
        name, *values = log
        handler = getattr(self, f"_on_{name}", None)
        if handler is not None:
            handler(*values)

    # ---------------------------------------------------------------- oracle

    def _on_FeedConfigured(self, no: int, *rules: int) -> None:  # noqa: N802 - the event's own name
        parameters = FeedParameters(*rules)
        if no in self.feeds:
            self.feeds[no].rules = parameters
        else:
            self.feeds[no] = Feed(parameters)

    def _on_FrozenSet(self, no: int, frozen: bool) -> None:  # noqa: N802
        self.feeds[no].frozen = frozen

    def _on_PriceUpdated(  # noqa: N802
        self, no: int, round_id: int, observed_at: int, index: int, mark: int, premium: int, acc: int, covered: int
    ) -> None:
        feed = self.feeds[no]
        boundary = observed_at - observed_at % feed.rules.interval_s
        if feed.round_id == 0:
            feed.checkpoint = (boundary, 0, 0, 0)
        else:
            assert (acc, covered) == feed.sums_at(observed_at)
            if boundary > feed.observed_at:
                feed.checkpoint = (boundary, *feed.sums_at(boundary), feed.mark)
        feed.index, feed.mark, feed.premium, feed.acc, feed.covered = index, mark, premium, acc, covered
        feed.observed_at, feed.round_id = observed_at, round_id

    # ---------------------------------------------------------------- exchange

    def _on_MarketConfigured(  # noqa: N802
        self, no: int, config: tuple[Any, ...], interval: int, funding_at: int, snap_s: int, snap_v: int, cum: int
    ) -> None:
        rules = _rules(config)
        if no in self.state.markets:
            self.state.markets[no].rules = rules
        else:
            self.state.markets[no] = Market(rules, interval, funding_at, snap_s, snap_v, cum)

    def _on_MarginChanged(self, who: str, cause: int, delta: int, margin: int) -> None:  # noqa: N802
        account = self.state.accounts.setdefault(who, Account())
        account.margin += delta
        assert account.margin == margin
        if cause in {1, 2, 9}:
            self.state.held += delta

    def _on_FeesCollected(self, _to: str, amount: int) -> None:  # noqa: N802
        self.state.fees -= amount
        self.state.held -= amount

    def _on_FundingResidue(self, no: int, amount: int) -> None:  # noqa: N802
        self.state.markets[no].clearing -= amount

    def _on_FundingSettled(self, no: int, *values: Any) -> None:  # noqa: N802
        boundary, k, _, _, rate, mark, cum, snap_s, snap_v, _ = values
        market = self.state.markets[no]
        assert cum == market.cum + rate * mark * k
        assert boundary == market.funding_at + k * market.interval
        assert k > 0
        market.funding_at, market.cum, market.snap_s, market.snap_v = boundary, cum, snap_s, snap_v

    def _on_PositionChanged(self, who: str, no: int, _cause: int, *values: int) -> None:  # noqa: N802
        delta, cash, funding, fee, size, quote, cum_entry, margin = values
        account = self.state.accounts.setdefault(who, Account())
        market = self.state.markets[no]
        old = account.positions.pop(no, Position(0, 0, cum_entry))
        assert old.size + delta == size
        assert account.margin + old.quote + cash - funding - fee == margin + quote
        account.margin = margin
        market.clearing += funding
        market.open_interest += max(size, 0) - max(old.size, 0)
        self.state.fees += fee
        if size:
            account.positions[no] = Position(size, quote, cum_entry)

    def _on_PausedSet(self, paused: int) -> None:  # noqa: N802
        if isinstance(paused, bool):
            self.frozen_oracle = paused
        else:
            self.state.paused = paused


def _rules(config: tuple[Any, ...]) -> MarketParameters:
    """From the order of the ABI."""
    order = [
        "lot_e18",
        "max_oi_e18",
        "min_notional_units",
        "max_notional_units",
        "max_price_age_s",
        "maker_bps",
        "taker_bps",
        "band_bps",
        "im_factor_bps",
        "buffer_bps",
        "penalty_bps",
        "liquidator_bps",
        "funding_kind",
        "interest_e18",
        "clamp_e18",
        "cap_e18",
    ]
    named = dict(zip(order, config, strict=False))
    assert set(named) | {"tiers"} == {field.name for field in fields(MarketParameters)}
    return MarketParameters(tiers=tuple(Tier(*tier) for tier in config[-1]), **named)
