"""One market file: where its prices come from, how they become index and mark, when they are published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator

from keeper.domain.ids import DeploymentId, IndexId, MarketId, SourceId, source_id
from keeper.domain.numbers import E18 as ONE
from keeper.domain.rates import FUNDING_METHODS
from keeper.domain.session import OffHours
from keeper.settings.base import Chosen, Model
from keeper.settings.fields import (
    E18,
    Bps,
    Count,
    Currency,
    Instant,
    Name,
    PairName,
    PositiveBps,
    PositiveE18,
    Seconds,
    Symbol,
    Whole,
)
from keeper.settings.index_settings import ConversionSettings, IndexSettings
from keeper.settings.safeguards import ConditionSettings, ScorecardSettings


class SourceSettings(Model):
    """One symbol at one venue."""

    kind: Name = Field(description="The venue, e.g. `binance`.")
    symbol: Symbol = Field(description="The venue's own spelling of the pair.")
    quote: Currency = Field(
        default="USD", description="What the venue's price is counted in; converted when it is not the market's."
    )
    weight: Count = Field(default=1, le=1000, description="Share in weighted index methods.")
    max_age_s: Seconds | None = Field(
        default=None, description="Oldest usable quote of this source; default `index.max_age_s`."
    )
    quiet_max_s: Seconds = Field(
        default=300.0, description="Oldest usable quote that the venue repeats unchanged without a time of its own."
    )
    multiplier_e18: PositiveE18 = Field(
        default=ONE,
        alias="multiplier",
        description="What one unit of the venue's price is in ours, e.g. `0.001` for 1000PEPE.",
    )
    operator: Name | None = Field(
        default=None, description="Company that runs the venue, where the keeper's own table is wrong or silent."
    )

    fallback: bool = Field(
        default=False, description="Vote only while fewer of the others are left than `index.min_sources`."
    )

    @property
    def id(self) -> SourceId:
        return source_id(self.kind, self.symbol)


class PerpetualSettings(SourceSettings):
    """One perpetual at another venue."""

    kind: Name = Field(
        description="The venue, one that quotes perpetuals: `binance_perp`, `bybit_perp`, `cryptocom`, `gate_perp`, "
        "`hyperliquid_perp`, `mexc_perp`, `okx`."
    )
    symbol: Symbol = Field(
        description="The venue's own spelling of the perpetual, e.g. `BTC-USDT-SWAP` at `okx`, `BTC_USDT` at `gate_perp`."
    )


class MarkSettings(Chosen):
    """How index and own book become the mark. Every key but `method` is an option of the method."""

    references: tuple[PerpetualSettings, ...] = Field(
        default=(),
        max_length=16,
        description="Other venues' perpetuals, weighted, for the methods that look at them (`hyperliquid`, `hip3`, `polymarket`).",
    )
    method: Name = Field(description="Mark method, e.g. `median3`, `binance`, `index`; all of them below.")
    max_step_bps: Bps | None = Field(
        default=None,
        description="Most that the mark moves per `step_s`, whatever the method; 0: no limit. "
        "Default the method's own, which none has but `hip3`.",
    )
    step_s: Count | None = Field(default=None, description="How long one step lasts. Default 3.")


class FundingVersion(Chosen):
    """Options of the funding method from a time on. What is not named stays as it was before."""

    valid_from_s: Instant = Field(alias="from", description='First boundary, e.g. `"2026-01-01T00:00:00Z"`.')


class FundingSettings(Chosen):
    """What is reported as premium, and by which venue's rule a rate is estimated beside the chain's own."""

    method: Name | None = Field(
        default=None,
        description="Funding method, shown beside the rate of the chain: "
        + ", ".join(f"`{name}` ({method.grade})" for name, method in sorted(FUNDING_METHODS.items()))
        + ". Off by default.",
    )
    versions: tuple[FundingVersion, ...] = Field(
        default=(),
        description="Changes of the method's options, oldest first; a boundary is charged by those of its time.",
    )
    premium: Literal["impact", "derived"] = Field(
        default="impact",
        description="`impact`: the own book's impact prices against the index; `derived`: the chain takes mark against index.",
    )
    impact_notional_e18: PositiveE18 = Field(
        default=10_000 * ONE,
        alias="impact_notional",
        description="Quote currency that an impact price fills on each side; what venues fill is in docs/funding-methods.md.",
    )
    sample_s: Seconds = Field(
        default=5.0, description="Expected distance of two usable books; the last sample is carried for three of these."
    )


class PublishSettings(Model):
    """When a price goes on chain."""

    deviation_bps: PositiveBps = Field(
        default=10, description="Publish when index or mark moved this far from the chain's."
    )
    heartbeat_s: Seconds = Field(default=60.0, description="Publish at the latest after this time.")
    min_interval_s: Seconds = Field(default=1.0, description="Never publish more often.")
    ride_along_bps: PositiveBps | None = Field(
        default=None, description="Join another market's batch when moved this far. Off by default."
    )
    ride_along_heartbeat_pct: Count | None = Field(
        default=None, le=100, description="Join when this much of the heartbeat has passed. Off by default."
    )


class GuardSettings(Model):
    """What a perpetual's index must not do without confirmation."""

    max_jump_bps: PositiveBps = Field(default=200, description="A larger move trips the breaker until it is confirmed.")
    confirm_s: Seconds = Field(default=3.0, description="The new level must hold for this long.")
    confirm_sources: Count = Field(default=3, description="At this many sources.")
    confirm_quote_groups: Count = Field(default=1, description="In this many distinct quote currencies.")
    agree_bps: Bps = Field(default=100, description="How close to the new level a source must be to back it.")


class GateSettings(Model):
    """What liquidations demand of the price they act on. Closes on doubt."""

    max_mark_age_s: Seconds = Field(default=10.0, description="Oldest mark to act on.")
    min_sources: Count = Field(default=3, description="Fewest accepted quotes to act on.")
    max_dispersion_bps: PositiveBps = Field(default=200, description="Accepted quotes further apart are not acted on.")
    max_move_bps: PositiveBps = Field(
        default=200, description="A larger move within a minute must be confirmed as by `guard`."
    )


class LiquidationSettings(Model):
    enabled: bool = Field(default=True, description="Whether this keeper liquidates in this market.")
    max_batch: Count = Field(default=20, le=32, description="Most accounts in one transaction.")
    gate: GateSettings = Field(default_factory=GateSettings)


class BookSettings(Model):
    """The perp's own order book, for basis and impact prices."""

    kind: Name = Field(description="The venue that serves it, e.g. `perp`.")
    symbol: Symbol = Field(description="The book's spelling of the market.")
    max_age_s: Seconds = Field(default=5.0, description="An older book counts as none.")

    @property
    def id(self) -> SourceId:
        return source_id(self.kind, self.symbol)


class SessionSettings(Model):
    """When the underlying trades, and what its index is when it does not."""

    calendar: str = Field(
        min_length=3,
        max_length=20_000,
        description="A calendar by name, e.g. `XNYS`, or a schedule: `America/New_York;0930-1600,…,C,C;0704/C`.",
    )
    off_hours: OffHours = Field(
        default=OffHours.HOLD, strict=False, description="`hold` the last index, `withhold`, or follow the `own_book`."
    )
    opening_s: Seconds = Field(default=60.0, description="For so long after the bell nothing is liquidated.")
    opening_sources: Count = Field(default=2, description="Fewest accepted quotes meanwhile.")
    drift_half_life_s: Seconds = Field(default=14_400.0, description="`own_book`: time to half of the way to the book.")
    drift_band_bps: PositiveBps = Field(default=500, lt=10_000, description="`own_book`: furthest from the close.")


class TierAssertion(Model):
    floor_units: Whole = Field(description="From this notional on, in units of the quote token.")
    mmr_bps: Bps


class AssertSettings(Model):
    """The chain's rules restated. `keeper check` compares; nothing else reads them. What is left out is not compared."""

    tiers: tuple[TierAssertion, ...] | None = None
    im_factor_bps: Whole | None = None
    buffer_bps: Whole | None = None
    penalty_bps: Bps | None = None
    liquidator_bps: Bps | None = None
    lot_e18: PositiveE18 | None = Field(default=None, alias="lot")
    min_notional_units: Whole | None = None
    max_notional_units: Whole | None = None
    max_oi_e18: E18 | None = Field(default=None, alias="max_oi")
    maker_bps: Bps | None = None
    taker_bps: Bps | None = None
    band_bps: Bps | None = None
    max_price_age_s: Whole | None = None
    funding_kind: Whole | None = None
    interest_e18: E18 | None = Field(default=None, alias="interest")
    clamp_e18: E18 | None = Field(default=None, alias="clamp")
    cap_e18: E18 | None = Field(default=None, alias="cap")
    interval_s: Whole | None = None
    hold_s: Whole | None = None
    max_deviation_bps: Whole | None = None
    max_spread_bps: Whole | None = None
    premium_kind: Whole | None = None


class MarketSettings(Model):
    """A perpetual, or an index alone when it names no deployment."""

    market: PairName = Field(description="Name of the market and of its index.")
    sources: tuple[SourceSettings, ...] = Field(min_length=1, max_length=64, description="Where spot prices come from.")
    conversions: Mapping[Currency, ConversionSettings] = Field(
        default_factory=dict, description="By quote currency: the index that converts it, or {index, low, high}."
    )
    own_venue: Name | None = Field(
        default=None, description="The market's own exchange: none of its operator's venues may be a source."
    )
    index: IndexSettings
    guard: GuardSettings = Field(default_factory=GuardSettings)
    scorecard: ScorecardSettings = Field(default_factory=ScorecardSettings)
    condition: ConditionSettings | None = None
    deployment: Name | None = Field(default=None, description="Which deployment of keeper.yaml the market belongs to.")
    market_no: Count | None = Field(default=None, le=2**32 - 1, description="The market's number on chain.")
    book: BookSettings | None = None
    mark: MarkSettings | None = None
    funding: FundingSettings | None = None
    publish: PublishSettings | None = None
    liquidation: LiquidationSettings | None = None
    session: SessionSettings | None = None
    asserts: AssertSettings | None = Field(default=None, alias="assert")

    @field_validator("conversions", mode="before")
    @classmethod
    def _shorthand(cls, written: Any) -> Any:
        if not isinstance(written, dict):
            return written
        return {quote: {"index": value} if isinstance(value, str) else value for quote, value in written.items()}

    @property
    def id(self) -> MarketId:
        return MarketId(self.market)

    @property
    def index_id(self) -> IndexId:
        return IndexId(self.market)

    @property
    def deployment_id(self) -> DeploymentId | None:
        return DeploymentId(self.deployment) if self.deployment else None

    @property
    def is_index_only(self) -> bool:
        return self.deployment is None

    @property
    def references(self) -> tuple[SourceSettings, ...]:
        """Other venues' perpetuals that the mark looks at."""
        return self.mark.references if self.mark else ()

    @property
    def currency(self) -> str:
        """What the market is priced in: `USD` of `BTC-USD`."""
        return self.market.partition("-")[2].partition(".")[0]

    @property
    def quote_groups(self) -> frozenset[str]:
        return frozenset(source.quote for source in self.sources)
