"""The parts of a market file that watch over its price, as the domain's own parameters."""

from __future__ import annotations

from keeper.domain.condition import ConditionRules
from keeper.domain.mark import MARK_METHODS
from keeper.domain.mark.dated import DatedBasis
from keeper.domain.mark.venues import BybitDated
from keeper.domain.scorecard import ScoreRules
from keeper.domain.time import SECOND, nanos
from keeper.settings.market import MarketSettings
from keeper.settings.safeguards import ConditionSettings

ALERT_BPS, HALT_BPS = 100, 300
"""Measured on exchanges outside of crises: |mark / index − 1| at most 0.78 %, its 99th percentile 0.38 %."""
_DATED = (DatedBasis, BybitDated)
_SPARE = 2
"""Sources beyond the quorum with which one that is missing is no event yet."""


def condition_rules(market: MarketSettings) -> ConditionRules:
    """Raises ValueError when its parts contradict each other."""
    rules = market.condition or ConditionSettings()
    return ConditionRules(
        full_sources=_full_sources(market) if rules.full_sources is None else rules.full_sources,
        degraded_max_ns=nanos(rules.degraded_max_s),
        halt_after_ns=nanos(rules.halt.after_s),
        recover_ns=nanos(rules.halt.recover_s),
        alert_bps=_band(market, rules.alert_bps, min(ALERT_BPS, rules.halt_bps or ALERT_BPS)),
        halt_bps=_band(market, rules.halt_bps, max(HALT_BPS, rules.alert_bps or HALT_BPS)),
        manual=rules.halt.manual,
    )


def _full_sources(market: MarketSettings) -> int:
    least = market.index.min_sources
    return least + 1 if len(market.sources) >= least + _SPARE else 0


def _band(market: MarketSettings, chosen: int | None, usual: int) -> int | None:
    """A dated future stands apart from its index by its basis, and nothing is wrong with that."""
    if chosen is not None:
        return chosen or None
    method = MARK_METHODS.get(market.mark.method) if market.mark else None
    return None if method is not None and issubclass(method, _DATED) else usual


def score_rules(market: MarketSettings) -> ScoreRules | None:
    """None where it is switched off. Raises ValueError when its parts contradict each other."""
    rules = market.scorecard
    if not rules.enabled:
        return None
    apart = rules.bench_apart_bps
    return ScoreRules(
        look_every_ns=SECOND,
        memory_looks=max(1, round(rules.memory_s)),
        warm_looks=max(1, round(rules.warm_s)),
        bench_bad_pct=rules.bench_bad_pct,
        bench_apart_bps=max(1, market.index.max_deviation_bps // 2) if apart is None else apart,
        readmit_ns=nanos(rules.readmit_s),
        most_benched_pct=rules.most_benched_pct,
    )
