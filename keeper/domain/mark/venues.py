"""Methods by the name of the venue whose mark they are: a form with that venue's parameters as defaults, each still an option.

How far each is proven stands in `grade`; docs/validation.md has the observations. Where a venue leaves a parameter to the
contract (impact notional, clamp, tick) or does not publish it, the default is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from keeper.domain.grade import Grade
from keeper.domain.mark.blend import Blend
from keeper.domain.mark.dated import DatedBasis
from keeper.domain.mark.funding_fair import FundingFair
from keeper.domain.mark.index_only import IndexOnly
from keeper.domain.mark.moving_basis import MovingBasis
from keeper.domain.mark.moving_median import MovingMedian
from keeper.domain.mark.quoted_median import QuotedMedian
from keeper.domain.mark.three_markets import ThreeMarkets

Kind = Literal["mean", "ema", "weighted", "elapsed"]


@dataclass(frozen=True, slots=True)
class Binance(MovingMedian):
    """Median of funding-fair price, index plus 5-minute mean basis (60 samples, 5 s), and last trade."""

    samples: int = 60
    every_s: int = 5

    name: ClassVar[str] = "binance"
    grade: ClassVar[Grade] = Grade.CONSISTENT
    source: ClassVar[str] = "binance.com/en/support/faq/360033525071; the window from a third party"


@dataclass(frozen=True, slots=True)
class BinanceCoin(MovingMedian):
    """The same for coin-margined contracts: 30 samples, 5 s."""

    samples: int = 30
    every_s: int = 5

    name: ClassVar[str] = "binance_coinm"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "binance.com/en/support/faq/fff6ec1b3f5845d19f1fb924644a0877"


@dataclass(frozen=True, slots=True)
class Bybit(MovingMedian):
    """Median of funding-fair price, index plus 5-minute mean basis (300 samples, 1 s), and last trade."""

    name: ClassVar[str] = "bybit"
    grade: ClassVar[Grade] = Grade.CONSISTENT
    source: ClassVar[str] = "bybit.com/help-center: mark price"


@dataclass(frozen=True, slots=True)
class BybitInverse(FundingFair):
    """Funding-fair price, as inverse contracts were marked in 2019."""

    max_basis_bps: int = 200

    name: ClassVar[str] = "bybit_inverse"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "bybit.com/help-center: dual price mechanism"


@dataclass(frozen=True, slots=True)
class BybitDated(MovingBasis):
    """Index times 1 + 10-minute mean of the impact mid's relative basis (600 samples, 1 s)."""

    samples: int = 600
    basis: Literal["absolute", "relative"] = "relative"
    impact_notional_usd: int = 10_000
    max_sample_bps: int = 2000
    max_basis_bps: int = 2000

    name: ClassVar[str] = "bybit_dated"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "bybit.com/help-center: mark price"


@dataclass(frozen=True, slots=True)
class Okx(MovingBasis):
    """Index plus mean basis of the mid. The venue does not publish the window; 5 minutes here."""

    name: ClassVar[str] = "okx"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "okx.com/help/360053909272"


@dataclass(frozen=True, slots=True)
class Bitmex(FundingFair):
    """Funding-fair price, the time left counted in whole minutes, rounded up."""

    max_basis_bps: int = 200
    round_up_s: int = 60

    name: ClassVar[str] = "bitmex"
    grade: ClassVar[Grade] = Grade.REPRODUCED
    source: ClassVar[str] = "bitmex.com/app/fairPriceMarking"


@dataclass(frozen=True, slots=True)
class BitmexDated(DatedBasis):
    """Index times 1 + yearly basis of the impact mid, rounded to a whole percent, by the time left to the expiry."""

    name: ClassVar[str] = "bitmex_dated"
    grade: ClassVar[Grade] = Grade.REPRODUCED
    source: ClassVar[str] = "bitmex.com/app/fairPriceMarking"


@dataclass(frozen=True, slots=True)
class Gate(FundingFair):
    """Funding-fair price, rounded to the contract's `mark_tick` where one is given."""

    max_basis_bps: int = 200

    name: ClassVar[str] = "gate"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "gate.com: futures contract fields funding_rate and mark_price_round"


@dataclass(frozen=True, slots=True)
class Phemex(FundingFair):
    """Funding-fair price."""

    max_basis_bps: int = 200

    name: ClassVar[str] = "phemex"
    grade: ClassVar[Grade] = Grade.REPRODUCED
    source: ClassVar[str] = "phemex.com: fair price marking"


@dataclass(frozen=True, slots=True)
class Kucoin(MovingMedian):
    """As Bybit's; a price more than 5 % from the median of the three is left out (this part told by third parties)."""

    correct_bps: int = 500

    name: ClassVar[str] = "kucoin"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "kucoin.com/support/26684973273625"


@dataclass(frozen=True, slots=True)
class Deribit(MovingBasis):
    """Index plus exponential basis of 30 samples, 1 s, 2/31 each, within 0.5 % of the index (the bound as DerivaDEX states it)."""

    average: Kind = "ema"
    samples: int = 30
    max_basis_bps: int = 50

    name: ClassVar[str] = "deribit"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "deribit.com/pages/docs/perpetual"


@dataclass(frozen=True, slots=True)
class Thalex(Deribit):
    """As Deribit's."""

    name: ClassVar[str] = "thalex"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "thalex.com support 8775459734673"


@dataclass(frozen=True, slots=True)
class Bitcom(Deribit):
    """As Deribit's."""

    name: ClassVar[str] = "bitcom"
    grade: ClassVar[Grade] = Grade.REPRODUCED
    source: ClassVar[str] = "recorded marks of bit.com, 2024-01-07"


@dataclass(frozen=True, slots=True)
class Hyperliquid(ThreeMarkets):
    """Median of index plus 150-second weighted basis, own bid, ask and last trade, and other venues' perpetuals."""

    name: ClassVar[str] = "hyperliquid"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "hyperliquid.gitbook.io: robust price indices"


@dataclass(frozen=True, slots=True)
class Hip3(ThreeMarkets):
    """The same for builders' markets: at most 1 % per update of 3 s.

    Of what HIP-3 documents besides two parts are not here. Its clamp to ten times a day's start: the distance to the index is
    bounded (`max_basis_bps`), and the index by `guard`. Its local mark while the oracle is older than 10 s: without an index
    there is no mark, and nothing is published.
    """

    max_step_bps: int = 100

    name: ClassVar[str] = "hip3"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "hyperliquid.gitbook.io: HIP-3"


@dataclass(frozen=True, slots=True)
class Ftx(QuotedMedian):
    """Median of last trade, best bid and best ask; within 5 % of the index, as its order band was."""

    max_basis_bps: int = 500

    name: ClassVar[str] = "ftx"
    grade: ClassVar[Grade] = Grade.REPRODUCED
    source: ClassVar[str] = "recorded marks of FTX, 2020"


@dataclass(frozen=True, slots=True)
class Btse(MovingMedian):
    """Median of funding-fair price, index plus mean basis, and last trade. The window is not published; 5 minutes here."""

    name: ClassVar[str] = "btse"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "support.btse.com 43000557589"


@dataclass(frozen=True, slots=True)
class BtseOld(Blend):
    """0.9 spot + 0.1 impact mid of 10 000 contracts (10 coins); the index where it is 2 % or more from the perpetual's mid."""

    name: ClassVar[str] = "btse_old"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "support.btse.com 43000557589"


@dataclass(frozen=True, slots=True)
class Lighter(MovingMedian):
    """Median of funding-fair price, index plus 5-minute mean basis of the impact mid (60 samples, 5 s), and the impact mid."""

    samples: int = 60
    every_s: int = 5
    third: Literal["last", "quoted", "impact"] = "impact"
    impact_notional_usd: int = 10_000

    name: ClassVar[str] = "lighter"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "docs.lighter.xyz/perpetual-futures/fair-price-marking"


@dataclass(frozen=True, slots=True)
class Polymarket(ThreeMarkets):
    """Median of index plus 150-second basis, own bid, ask and last trade, and other venues' perpetuals; missing ones: the index."""

    samples: int = 150
    every_s: int = 1
    missing: Literal["fill", "index"] = "index"

    name: ClassVar[str] = "polymarket"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "docs.polymarket.com/perps/learn-about-trading/mark-price.md"


@dataclass(frozen=True, slots=True)
class DydxV4(IndexOnly):
    """The oracle's price. dYdX v3 and v1 marked by theirs likewise."""

    name: ClassVar[str] = "dydx_v4"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    source: ClassVar[str] = "help.dydx.trade/en/articles/166992"


VENUES = (
    *(Binance, BinanceCoin, Bybit, BybitInverse, BybitDated, Okx, Bitmex, BitmexDated, Gate, Phemex, Kucoin),
    *(Deribit, Thalex, Bitcom, Hyperliquid, Hip3, Ftx, Btse, BtseOld, Lighter, Polymarket, DydxV4),
)
