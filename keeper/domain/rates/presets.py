"""Venues by name: a family with the venue's constants, how far it is proven, and where it is from.

Every constant is an option that a market file may set otherwise; what venues changed over time stands in `history`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keeper.domain.grade import Grade
from keeper.domain.numbers import E18
from keeper.domain.rates.borrow import Borrow
from keeper.domain.rates.clamped_premium import ClampedPremium
from keeper.domain.rates.damper import Damper
from keeper.domain.rates.growth import Growth
from keeper.domain.rates.interest import InterestClamp
from keeper.domain.rates.method import BASIS_POINT, DAY_S, EIGHT_HOURS_S, HOUR_S, Ratio
from keeper.domain.rates.premium_only import PremiumOnly
from keeper.domain.rates.pushed import Pushed
from keeper.domain.rates.spread import Spread
from keeper.domain.rates.velocity import Velocity
from keeper.domain.rates.votes import Votes
from keeper.domain.rates.window import LINEAR


@dataclass(frozen=True, slots=True)
class Plainly(InterestClamp):
    name: ClassVar[str] = "interest_clamp"
    impact_notional: ClassVar[str] = "yours"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "the common form of exchanges, and funding kind 0 of the reference protocol"


@dataclass(frozen=True, slots=True)
class DailyClamp(ClampedPremium):
    name: ClassVar[str] = "clamped_premium"
    impact_notional: ClassVar[str] = "yours"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "funding kind 1 of the reference protocol: a daily premium, cut, plus interest per interval"


@dataclass(frozen=True, slots=True)
class Binance(InterestClamp):
    weights: str = LINEAR
    cap: Ratio | None = Ratio(200 * BASIS_POINT)
    capped_interval_s: int = HOUR_S

    name: ClassVar[str] = "binance"
    impact_notional: ClassVar[str] = "200 USDT / initial margin rate at the highest leverage"
    grade: ClassVar[Grade] = Grade.CONSISTENT
    source: ClassVar[str] = (
        "binance.com/en/support/faq/360033525031; 371 recorded rates, 242 of them the interest itself"
    )


@dataclass(frozen=True, slots=True)
class Bitmex(InterestClamp):
    """Boundaries 04, 12 and 20 h UTC. The limits are those of 1 % initial and 0.5 % maintenance margin."""

    offset_s: int = 4 * HOUR_S
    sample: str = "impact_basis"
    against: str = "mark"
    every_s: int = 60
    cap: Ratio | None = Ratio(375 * BASIS_POINT // 10)
    max_change: Ratio | None = Ratio(375 * BASIS_POINT // 10)

    name: ClassVar[str] = "bitmex"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = (
        "bitmex.com/app/perpetualContractsGuide; caps 0.75 (IM − MM) and 0.75 MM, blog of 17 April 2020"
    )


@dataclass(frozen=True, slots=True)
class Bybit(InterestClamp):
    """The premium is not scaled by the interval: with another one set `period_s` to it and `interest` to its share."""

    every_s: int = 60

    name: ClassVar[str] = "bybit"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "bybit.com/help-center, funding rate; interest 0.03 % a day, caps by symbol"


@dataclass(frozen=True, slots=True)
class Gate(InterestClamp):
    every_s: int = 60

    name: ClassVar[str] = "gate"
    impact_notional: ClassVar[str] = "the contract's funding_impact_value: 5,000 USD where recorded"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "gate.io help, funding rate"


@dataclass(frozen=True, slots=True)
class Phemex(InterestClamp):
    every_s: int = 60

    name: ClassVar[str] = "phemex"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "phemex.com user guide, funding rate"


@dataclass(frozen=True, slots=True)
class Delta(InterestClamp):
    """`cap` is annualized_funding_pct / 1095: 32.85 % a year, which 74 of 110 recorded instruments have."""

    every_s: int = 60
    cap: Ratio | None = Ratio(3 * BASIS_POINT)

    name: ClassVar[str] = "delta"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = (
        "delta.exchange instruments of 2021: the cap is an annual rate in the instrument's configuration"
    )


@dataclass(frozen=True, slots=True)
class Hyperliquid(InterestClamp):
    interval_s: int = HOUR_S
    cap: Ratio | None = Ratio(400 * BASIS_POINT)

    name: ClassVar[str] = "hyperliquid"
    impact_notional: ClassVar[str] = "20,000 USDC (BTC, ETH), 6,000 (others)"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "hyperliquid.gitbook.io/hyperliquid-docs/trading/funding; charged on oracle price, not mark"


@dataclass(frozen=True, slots=True)
class Hip3(InterestClamp):
    interval_s: int = HOUR_S
    sample: str = "impact_middle"
    cap: Ratio | None = Ratio(400 * BASIS_POINT)

    name: ClassVar[str] = "hip3"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "hyperliquid.gitbook.io, HIP-3: 0.5 (impact bid + ask) / oracle − 1, multiplier 0 to 10"


@dataclass(frozen=True, slots=True)
class Okx(PremiumOnly):
    """The bounds are Bitcoin's; other majors ±0.75 %, the rest ±1.5 %."""

    sample: str = "middle"
    every_s: int = 60
    low: Ratio | None = Ratio(-375 * BASIS_POINT // 10)
    high: Ratio | None = Ratio(375 * BASIS_POINT // 10)

    name: ClassVar[str] = "okx"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "okx.com/help, okx-to-optimize-funding-rate-calculation; from the mid, interest 0"


@dataclass(frozen=True, slots=True)
class DydxV3(PremiumOnly):
    interval_s: int = HOUR_S
    every_s: int = 60
    interest: Ratio = Ratio(BASIS_POINT)

    name: ClassVar[str] = "dydx_v3"
    grade: ClassVar[Grade] = Grade.CONSISTENT
    source: ClassVar[str] = "help.dydx.trade: premium / 8 + 0.00125 %; the latter is the median of 27 recorded markets"


@dataclass(frozen=True, slots=True)
class Ftx(PremiumOnly):
    interval_s: int = HOUR_S
    sample: str = "mark"
    period_s: int = DAY_S

    name: ClassVar[str] = "ftx"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = (
        "help.ftx.com 360027946571 (closed November 2022): hourly mean of (mark − index) / index, / 24"
    )


@dataclass(frozen=True, slots=True)
class Kraken(PremiumOnly):
    """The venue charges an absolute rate: this one, relative, over the index at the hour's start."""

    interval_s: int = HOUR_S
    sample: str = "mark"
    every_s: int = 60
    low: Ratio | None = Ratio(-10 * BASIS_POINT)
    high: Ratio | None = Ratio(10 * BASIS_POINT)

    name: ClassVar[str] = "kraken"
    grade: ClassVar[Grade] = Grade.CONSISTENT
    source: ClassVar[str] = "support.kraken.com 360008643453; relative = absolute · index in all recordings"


@dataclass(frozen=True, slots=True)
class Btse(PremiumOnly):
    interval_s: int = HOUR_S
    every_s: int = 60
    period_s: int = DAY_S
    least: Ratio | None = Ratio(BASIS_POINT // 10)

    name: ClassVar[str] = "btse"
    impact_notional: ClassVar[str] = "10,000 contracts"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "support.btse.com 43000557589; hourly premium / 24, at least 0.001 % by size"


@dataclass(frozen=True, slots=True)
class CoinbaseIntx(PremiumOnly):
    interval_s: int = HOUR_S
    sample: str = "mark"
    every_s: int = 1
    period_s: int = DAY_S
    fresh: Ratio = Ratio(3 * E18 // 4)

    name: ClassVar[str] = "coinbase_intx"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = (
        "help.coinbase.com, International Exchange, funding rate: α = 6 / (7 + 1) of the new, the rest the last"
    )


@dataclass(frozen=True, slots=True)
class Deribit(Damper):
    name: ClassVar[str] = "deribit"
    grade: ClassVar[Grade] = Grade.CONSISTENT
    source: ClassVar[str] = "deribit.com/pages/docs/perpetual; ±0.025 %, in the two recordings of 2019 ±0.05 %"


@dataclass(frozen=True, slots=True)
class DydxV4(Votes):
    name: ClassVar[str] = "dydx_v4"
    impact_notional: ClassVar[str] = "500 USDC / initial margin fraction"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "github.com/dydxprotocol/v4-chain, x/perpetuals/keeper/perpetual.go"


@dataclass(frozen=True, slots=True)
class DydxV1(Pushed):
    name: ClassVar[str] = "dydx_v1"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = (
        "github.com/dydxprotocol/perpetual, P1FundingOracle.sol; bounds and rounding as in its tests"
    )


@dataclass(frozen=True, slots=True)
class Drift(Spread):
    name: ClassVar[str] = "drift"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = (
        "docs.drift.trade; protocol-v2 controller/funding.rs; offset 1/5000, later fork 1/3333 and dead zone"
    )


@dataclass(frozen=True, slots=True)
class Curie(Growth):
    name: ClassVar[str] = "curie"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "github.com/perpetual-protocol/perp-curie-contract, Exchange.sol; its test of a payment"


@dataclass(frozen=True, slots=True)
class Synthetix(Velocity):
    name: ClassVar[str] = "synthetix"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "Synthetix v3 PerpsMarket.sol, its worked example"


@dataclass(frozen=True, slots=True)
class GmxV1(Borrow):
    interval_s: int = EIGHT_HOURS_S

    name: ClassVar[str] = "gmx_v1"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "github.com/gmx-io/gmx-contracts, Vault.sol, VaultUtils.sol"
