"""Settings as the domain's own parameters: seconds become nanoseconds, names become identities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from keeper.domain.confirmation import Confirmation
from keeper.domain.gate import Gate
from keeper.domain.guard import Guard
from keeper.domain.ids import MarketId
from keeper.domain.mark import MARK_METHODS
from keeper.domain.mark.method import MarkMethod
from keeper.domain.mark.stepped import Stepped
from keeper.domain.market import LiquidationRules, MarketPlan
from keeper.domain.publishing import PublishPolicy
from keeper.domain.rates import FUNDING_METHODS
from keeper.domain.rates.fold import RatePlan
from keeper.domain.rates.history import HISTORY
from keeper.domain.rates.versions import Versions
from keeper.domain.time import nanos
from keeper.settings.index_specs import index_spec, source_spec
from keeper.settings.market import FundingSettings, GateSettings, MarketSettings, MarkSettings, PublishSettings
from keeper.settings.models import Settings
from keeper.settings.options import build
from keeper.settings.safeguard_specs import condition_rules

__all__ = ["gate", "guard", "index_spec", "market_plan", "publish_policy"]

_SAMPLES_CARRIED = 3
_BOOK_MAX_AGE_S = 5.0


def _confirmation(market: MarketSettings) -> Confirmation:
    rules = market.guard
    return Confirmation(nanos(rules.confirm_s), rules.confirm_sources, rules.confirm_quote_groups, rules.agree_bps)


def guard(market: MarketSettings) -> Guard:
    """Raises ValueError when its parts contradict each other."""
    return Guard(market.guard.max_jump_bps, _confirmation(market))


def publish_policy(rules: PublishSettings) -> PublishPolicy:
    """Raises ValueError when its parts contradict each other."""
    return PublishPolicy(
        rules.deviation_bps,
        nanos(rules.heartbeat_s),
        nanos(rules.min_interval_s),
        rules.ride_along_bps,
        rules.ride_along_heartbeat_pct,
    )


def gate(market: MarketSettings) -> Gate:
    """Raises ValueError when its parts contradict each other."""
    rules = market.liquidation.gate if market.liquidation else GateSettings()
    return Gate(
        min_sources=rules.min_sources,
        max_mark_age_ns=nanos(rules.max_mark_age_s),
        max_dispersion_bps=rules.max_dispersion_bps,
        max_move_bps=rules.max_move_bps,
        confirmation=_confirmation(market),
    )


def rate_plan(market: MarketSettings) -> RatePlan | None:
    """None without a method. Raises ConfigError for its options, ValueError for versions out of order."""
    rules = market.funding
    if rules is None or rules.method is None:
        return None
    if not rules.options and not rules.versions and rules.method in HISTORY:
        return RatePlan(HISTORY[rules.method], rules.impact_notional_e18)
    options = dict(rules.options)
    entries = [(0, build(FUNDING_METHODS, rules.method, options, f"{market.market}: funding"))]
    for version in rules.versions:
        options |= version.options
        where = f"{market.market}: funding.versions"
        entries.append((version.valid_from_s, build(FUNDING_METHODS, rules.method, options, where)))
    return RatePlan(Versions(tuple(entries)), rules.impact_notional_e18)


def mark_options(mark: MarkSettings) -> dict[str, Any]:
    """Those of the method itself, the limit of a step among them where the method knows one."""
    return {**mark.options, **(_step(mark) if _steps_itself(mark.method) else {})}


def mark_method(market: str, mark: MarkSettings) -> MarkMethod[Any]:
    """With the limit of a step around it where it has none of its own. Raises ConfigError, ValueError for the limit."""
    method = build(MARK_METHODS, mark.method, mark_options(mark), f"{market}: mark")
    if _steps_itself(mark.method) or not mark.max_step_bps:
        return method
    return Stepped(method, **_step(mark))


def _steps_itself(method: str) -> bool:
    described: Any = MARK_METHODS.get(method)
    return described is not None and "max_step_bps" in {found.name for found in fields(described)}


def _step(mark: MarkSettings) -> dict[str, int]:
    given = {"max_step_bps": mark.max_step_bps, "step_s": mark.step_s}
    return {key: value for key, value in given.items() if value is not None}


def market_plan(market: MarketSettings) -> MarketPlan:
    """The whole of one perpetual. Raises ValueError for an index without a deployment, ConfigError for a mark's options."""
    if market.deployment_id is None or market.market_no is None or market.mark is None or market.publish is None:
        raise ValueError(f"{market.market} is an index alone")
    funding, book, liquidation = market.funding or FundingSettings(), market.book, market.liquidation
    return MarketPlan(
        market=market.id,
        market_no=market.market_no,
        deployment=market.deployment_id,
        spec=index_spec(market),
        mark=mark_method(market.market, market.mark),
        policy=publish_policy(market.publish),
        guard=guard(market),
        gate=gate(market),
        book=book.id if book else None,
        rates=rate_plan(market),
        condition=condition_rules(market),
        impact_notional_e18=funding.impact_notional_e18 if funding.premium == "impact" else 0,
        premium_carry_ns=nanos(_SAMPLES_CARRIED * funding.sample_s),
        book_max_age_ns=nanos(book.max_age_s if book else _BOOK_MAX_AGE_S),
        liquidation=LiquidationRules(liquidation.enabled, liquidation.max_batch)
        if liquidation
        else LiquidationRules(False),
        references=tuple(source_spec(source, market.index.max_age_s) for source in market.mark.references),
    )


def market_plans(settings: Settings) -> Mapping[MarketId, MarketPlan]:
    """Of every perpetual, each with the name of the configuration that it stands in. Raises as `market_plan`."""
    named = settings.hash
    return {market.id: replace(market_plan(market), config_hash=named) for market in settings.perps}
