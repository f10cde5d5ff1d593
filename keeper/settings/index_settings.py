"""The part of a market file that says how quotes become one index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from keeper.domain.ids import SourceId, source_id
from keeper.domain.index_methods import INDEX_METHODS
from keeper.domain.index_spec import OnDepeg
from keeper.domain.ladder import LADDERS, Rung
from keeper.domain.numbers import E18 as ONE
from keeper.domain.outlier_rules import OUTLIER_RULES
from keeper.domain.rounding import RoundingMode
from keeper.settings.base import Chosen, Model
from keeper.settings.fields import Bps, Count, Name, PairName, PositiveBps, PositiveE18, Seconds, Symbol


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _or_name(schema: dict[str, Any]) -> None:
    """A name alone will do where no option is written."""
    schema["anyOf"].append({"type": "string"})


def _graded(registry: Mapping[str, type[Any]]) -> str:
    return ", ".join(f"`{name}` ({kind.grade.value})" for name, kind in registry.items())


class ReferenceSettings(Model):
    """A published rate that the index is held against. It does not vote."""

    kind: Name = Field(description="Who publishes it: `ecb`.")
    symbol: Symbol = Field(description="Its pair, e.g. `EUR/USD`.")
    max_bps: PositiveBps = Field(default=200, lt=10_000, description="Further apart it is as `then` says.")
    then: Literal["flag", "withhold"] = Field(
        default="flag", description="`flag`: published, but nobody is liquidated by it."
    )
    max_age_s: Seconds = Field(default=468_000.0, description="An older rate is no yardstick; default 130 hours.")

    @property
    def id(self) -> SourceId:
        return source_id(self.kind, self.symbol)


class ConversionSettings(Model):
    """How prices in another currency become ours, and the band in which that index is believed."""

    index: PairName = Field(description="The index that converts, a market file of its own.")
    low_e18: PositiveE18 = Field(
        default=98 * ONE // 100, alias="low", description="Below this the currency counts as de-pegged."
    )
    high_e18: PositiveE18 = Field(default=102 * ONE // 100, alias="high", description="Above this likewise.")
    alert_bps: PositiveBps | None = Field(
        default=None,
        description="Further from par than this the index is flagged `peg_alert`; default 50 where the band contains 1.",
    )
    on_depeg: OnDepeg = Field(
        default=OnDepeg.DROP_GROUP,
        strict=False,
        description="What a rate outside its band, or withheld, does: `drop_group` or `withhold` the whole index.",
    )


class OutlierSettings(Chosen):
    """Which vote is too far off. Every key but `rule` is an option of the rule."""

    choices: ClassVar[Mapping[str, type[Any]]] = OUTLIER_RULES

    rule: Name = Field(
        description=f"`band` (`max_deviation_bps` and `max_dispersion_bps`), {_graded(OUTLIER_RULES)}.",
    )


class LadderSettings(Model):
    """What fewer sources than `min_sources` do: as a venue does it, and each rung by itself."""

    like: Name = Field(default="withhold", description=f"Rungs and limits to begin with: {_listed(LADDERS)}.")
    two: Rung | None = Field(
        default=None, strict=False, description=f"Two sources, or more below `min_sources`: {_listed(Rung)}."
    )
    one: Rung | None = Field(default=None, strict=False, description="One source, likewise.")
    none: Rung | None = Field(default=None, strict=False, description="No source: `withhold` or `hold`.")
    allow_one: bool = Field(default=False, description="Needed where one source alone may make the price.")
    two_reach_bps: PositiveBps | None = Field(
        default=None, description="How far from the last index `near_last` lets two be; default 1250."
    )
    one_reach_bps: PositiveBps | None = Field(default=None, description="And one; default 2500.")
    hold_max_s: Seconds | None = Field(default=None, description="How long the last index is held; default 900.")


class RoundingSettings(Model):
    """To what tick the index is rounded, last of all; what follows is computed from the exact one."""

    mode: RoundingMode = Field(strict=False, description=f"{_listed(RoundingMode)}.")
    tick_e18: PositiveE18 = Field(alias="tick", description='Smallest step of the index, e.g. `"0.01"`.')


class CapSettings(Model):
    """Largest share of the weight. Where none of the weights left keep it, the index is withheld."""

    venue_bps: PositiveBps | None = Field(default=None, description="Of one venue.")
    operator_bps: PositiveBps | None = Field(default=None, description="Of all venues of one operator.")
    quote_group_bps: PositiveBps | None = Field(default=None, description="Of all sources of one quote currency.")


class CrossCheckSettings(Model):
    """The converted index against the median of the quote groups without conversion."""

    max_bps: PositiveBps = Field(default=100, description="Further apart it is as `then` says.")
    then: Literal["flag", "withhold"] = Field(
        default="flag", description="`flag`: published, but nobody is liquidated by it."
    )


class IndexSettings(Chosen):
    """How the quotes become one spot price. Every other key is an option of the method."""

    choices: ClassVar[Mapping[str, type[Any]]] = INDEX_METHODS

    method: Name = Field(description=f"Index method: {_graded(INDEX_METHODS)}.")
    max_age_s: Seconds = Field(default=10.0, description="Oldest usable quote. Of a perp shorter than `report.ttl_s`.")
    max_deviation_bps: PositiveBps = Field(default=100, description="A quote further from the median is an outlier.")
    max_dispersion_bps: PositiveBps = Field(default=500, description="Widest that this grows while all sources spread.")
    max_spread_bps: Bps = Field(default=100, description="A quote whose own bid and ask are further apart is not used.")
    max_skew_s: Seconds = Field(default=2.0, description="A quote stamped further in the future is refused.")
    frozen_after_s: Seconds | None = Field(
        default=None, description="A source unchanged for longer while most others moved is refused. Off by default."
    )
    min_sources: Count = Field(default=3, description="Fewer accepted quotes withhold the index.")
    min_quote_groups: Count = Field(default=1, description="Fewer quote currencies among them withhold it too.")
    min_operators: Count = Field(default=1, description="Fewer companies behind them withhold it too.")
    allow_two: bool = Field(
        default=False, description="Let two sources do, if they agree; needed for `min_sources: 2`."
    )
    pair_bps: Bps = Field(default=50, description="How closely the two must agree.")
    pair_last_bps: Bps = Field(default=100, description="How close to the last index both must lie.")
    outliers: OutlierSettings | None = Field(default=None, json_schema_extra=_or_name)
    ladder: LadderSettings | None = Field(default=None, json_schema_extra=_or_name)
    rounding: RoundingSettings | None = None
    caps: CapSettings | None = None
    cross_check: CrossCheckSettings | None = None
    reference: ReferenceSettings | None = None

    @field_validator("outliers", mode="before")
    @classmethod
    def _rule(cls, written: Any) -> Any:
        return {"rule": written} if isinstance(written, str) else written

    @field_validator("ladder", mode="before")
    @classmethod
    def _like(cls, written: Any) -> Any:
        return {"like": written} if isinstance(written, str) else written
