"""Settings as the domain's own parameters: seconds become nanoseconds, names become identities."""

from __future__ import annotations

from keeper.domain.confirmation import Confirmation
from keeper.domain.guard import Guard
from keeper.domain.ids import IndexId
from keeper.domain.index_spec import IndexSpec, PegSpec, SourceSpec
from keeper.domain.publishing import PublishPolicy
from keeper.domain.time import nanos
from keeper.settings.market import MarketSettings, PublishSettings, SourceSettings


def index_spec(market: MarketSettings) -> IndexSpec:
    """Raises ValueError when the index could never work."""
    rules = market.index
    return IndexSpec(
        id=market.index_id,
        sources=tuple(_source_spec(source, rules.max_age_s) for source in market.sources),
        quote=market.currency,
        method=rules.method,
        max_deviation_bps=rules.max_deviation_bps,
        max_dispersion_bps=rules.max_dispersion_bps,
        clamp_bps=rules.clamp_bps,
        min_sources=rules.min_sources,
        min_quote_groups=rules.min_quote_groups,
        allow_two=rules.allow_two,
        pair_bps=rules.pair_bps,
        pair_last_bps=rules.pair_last_bps,
        frozen_after_ns=None if rules.frozen_after_s is None else nanos(rules.frozen_after_s),
        max_spread_bps=rules.max_spread_bps,
        max_skew_ns=nanos(rules.max_skew_s),
        conversions={
            quote: PegSpec(IndexId(found.index), found.low_e18, found.high_e18)
            for quote, found in sorted(market.conversions.items())
        },
    )


def _source_spec(source: SourceSettings, max_age_s: float) -> SourceSpec:
    return SourceSpec(
        source=source.id,
        quote=source.quote,
        weight=source.weight,
        max_age_ns=nanos(source.max_age_s or max_age_s),
        quiet_max_ns=nanos(source.quiet_max_s),
        multiplier_e18=source.multiplier_e18,
    )


def guard(market: MarketSettings) -> Guard:
    """Raises ValueError when its parts contradict each other."""
    rules = market.guard
    confirmation = Confirmation(
        nanos(rules.confirm_s), rules.confirm_sources, rules.confirm_quote_groups, rules.agree_bps
    )
    return Guard(rules.max_jump_bps, confirmation)


def publish_policy(rules: PublishSettings) -> PublishPolicy:
    """Raises ValueError when its parts contradict each other."""
    return PublishPolicy(
        rules.deviation_bps,
        nanos(rules.heartbeat_s),
        nanos(rules.min_interval_s),
        rules.ride_along_bps,
        rules.ride_along_heartbeat_pct,
    )
