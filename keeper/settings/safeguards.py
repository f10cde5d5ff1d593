"""The parts of a market file that watch over its price."""

from __future__ import annotations

from pydantic import Field

from keeper.settings.base import Model
from keeper.settings.fields import Count, PositiveBps, Seconds, Whole


class HaltSettings(Model):
    """When a market's price is given up, and when it is believed again."""

    after_s: Seconds = Field(default=60.0, description="Without a price for so long the market is halted.")
    recover_s: Seconds = Field(default=10.0, description="Of good prices, until it runs again by itself.")
    manual: bool = Field(
        default=False, description="It runs again only after `keeper ctl resume MARKET`, however good its prices."
    )


class ConditionSettings(Model):
    """What may be done with the market's price: NORMAL, DEGRADED, STALE, HALT; docs/safeguards.md has the table."""

    full_sources: Whole | None = Field(
        default=None,
        description="With fewer accepted quotes the market is degraded; 0: never. Default one more than `index.min_sources`, where at"
        " least two of its sources could be missing.",
    )
    degraded_max_s: Seconds = Field(default=300.0, description="How long a degraded market goes on being liquidated.")
    alert_bps: Whole | None = Field(
        default=None,
        description="Mark further from the index: degraded; 0: never. Default 100, and never for dated futures.",
    )
    halt_bps: Whole | None = Field(
        default=None,
        description="So far that neither is published: halted; 0: never. Default 300, and never for dated futures.",
    )
    halt: HaltSettings = Field(default_factory=HaltSettings)


class ScorecardSettings(Model):
    """Which record takes a source its vote for a while. It is screened all the same and comes back by itself."""

    enabled: bool = Field(default=True, description="Whether sources are benched by their record.")
    memory_s: Seconds = Field(default=300.0, description="Time that a record averages over.")
    warm_s: Seconds = Field(default=60.0, description="Nobody is benched before it was heard for so long.")
    bench_bad_pct: Count = Field(
        default=50, le=100, description="Refused for what it says (not for silence) in so much of that time: benched."
    )
    bench_apart_bps: PositiveBps | None = Field(
        default=None,
        description="Further from the index in the mean: benched, though never an outlier. Default half of `index.max_deviation_bps`.",
    )
    readmit_s: Seconds = Field(default=300.0, description="It is back after so long without a fault.")
    most_benched_pct: Whole = Field(
        default=34, le=49, description="Most of the sources that sit out at once; never so many that a quorum lacks."
    )
