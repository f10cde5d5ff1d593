"""The part of a market file that prices its index, as the domain's own parameters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from keeper.domain.caps import Caps
from keeper.domain.ids import IndexId
from keeper.domain.index_methods import INDEX_METHODS
from keeper.domain.index_spec import CrossCheck, IndexSpec, PegSpec, SourceSpec
from keeper.domain.ladder import LADDERS, Ladder
from keeper.domain.numbers import E18
from keeper.domain.outlier_rules import OUTLIER_RULES, OutlierRule
from keeper.domain.reference import ReferenceBand
from keeper.domain.rounding import Rounding
from keeper.domain.time import nanos
from keeper.settings.index_settings import (
    ConversionSettings,
    IndexSettings,
    LadderSettings,
    OutlierSettings,
    ReferenceSettings,
)
from keeper.settings.market import MarketSettings, SourceSettings
from keeper.settings.options import build
from keeper.settings.safeguard_specs import score_rules

BAND = "band"
"""The rule that `max_deviation_bps` and `max_dispersion_bps` are of."""
_ALERT_BPS = 50


def index_spec(market: MarketSettings) -> IndexSpec:
    """Raises ValueError when the index could never work, ConfigError for a method's options."""
    rules, where = market.index, f"{market.market}: index"
    return IndexSpec(
        id=market.index_id,
        sources=tuple(source_spec(source, rules.max_age_s) for source in market.sources),
        quote=market.currency,
        method=build(INDEX_METHODS, rules.method, rules.options, where),
        max_deviation_bps=rules.max_deviation_bps,
        max_dispersion_bps=rules.max_dispersion_bps,
        min_sources=rules.min_sources,
        min_quote_groups=rules.min_quote_groups,
        min_operators=rules.min_operators,
        allow_two=rules.allow_two,
        pair_bps=rules.pair_bps,
        pair_last_bps=rules.pair_last_bps,
        frozen_after_ns=None if rules.frozen_after_s is None else nanos(rules.frozen_after_s),
        max_spread_bps=rules.max_spread_bps,
        max_skew_ns=nanos(rules.max_skew_s),
        conversions={quote: _peg(found) for quote, found in sorted(market.conversions.items())},
        own_venue=market.own_venue,
        scorecard=score_rules(market),
        **_choices(rules, where),
    )


def _choices(rules: IndexSettings, where: str) -> dict[str, Any]:
    """What is left out stays as the domain has it."""
    rounding, caps, check = rules.rounding, rules.caps, rules.cross_check
    return {
        "outliers": outlier_rule(rules.outliers, where),
        "ladder": ladder(rules.ladder),
        "rounding": None if rounding is None else Rounding(rounding.mode, rounding.tick_e18),
        "caps": None if caps is None else Caps(caps.venue_bps, caps.operator_bps, caps.quote_group_bps),
        "reference": None if rules.reference is None else _reference(rules.reference),
        "cross_check": None if check is None else CrossCheck(check.max_bps, check.then == "withhold"),
    }


def outlier_rule(rules: OutlierSettings | None, where: str) -> OutlierRule | None:
    """None: the band. Raises ConfigError for a rule or an option that does not exist."""
    if rules is None or rules.rule == BAND:
        return None
    return build(OUTLIER_RULES, rules.rule, rules.options, f"{where}.outliers")


def ladder(rules: LadderSettings | None) -> Ladder:
    """Raises ValueError for rungs that contradict each other, KeyError for a ladder that does not exist."""
    if rules is None:
        return Ladder()
    chosen = {name: getattr(rules, name) for name in ("two", "one", "none", "two_reach_bps", "one_reach_bps")}
    chosen["hold_max_ns"] = None if rules.hold_max_s is None else nanos(rules.hold_max_s)
    made = replace(LADDERS[rules.like], **{name: value for name, value in chosen.items() if value is not None})
    if made.takes_one and not rules.allow_one:
        raise ValueError("one source alone would make the price: say so with allow_one: true, or write one: withhold")
    return made


def _peg(found: ConversionSettings) -> PegSpec:
    alert_bps = found.alert_bps
    if alert_bps is None and found.low_e18 <= E18 <= found.high_e18:
        alert_bps = _ALERT_BPS
    return PegSpec(IndexId(found.index), found.low_e18, found.high_e18, alert_bps, found.on_depeg)


def source_spec(source: SourceSettings, max_age_s: float) -> SourceSpec:
    return SourceSpec(
        source=source.id,
        quote=source.quote,
        weight=source.weight,
        max_age_ns=nanos(source.max_age_s or max_age_s),
        quiet_max_ns=nanos(source.quiet_max_s),
        multiplier_e18=source.multiplier_e18,
        operator=source.operator,
        fallback=source.fallback,
    )


def _reference(found: ReferenceSettings) -> ReferenceBand:
    return ReferenceBand(found.id, found.max_bps, found.then == "withhold", nanos(found.max_age_s))
