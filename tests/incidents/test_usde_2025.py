"""USDe, 10 October 2025, 21:36 to 22:16 UTC: 0.65 dollars on Binance, about one everywhere else.

Binance valued it as collateral by its own book, whose depth had gone; on Curve and Uniswap it stayed within 0.3 %, on Bybit it
touched 0.92. https://en.theblockbeats.news/news/59867 (ArkStream Capital)
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import cache

from keeper.domain.ids import IndexId
from keeper.domain.index import IndexSpec, PegSpec
from keeper.domain.index_methods import WeightedMean
from keeper.domain.numbers import E18
from keeper.domain.outlier_rules import KeepAll
from tests.incidents.row import Row, percent, row, worst, worst_mean
from tests.incidents.stage import Look, Stage, at, plan, price_e18, sources, spec

VENUES = ("binance:USDEUSD", "bybit:USDEUSD", "curve:USDe", "uniswap:USDe", "kraken:USDE/USD")
BINANCE, BYBIT = VENUES[:2]
BTC, BOOKS = (
    Decimal(113_000),
    ("binance:BTCUSDE", "bybit:BTCUSDE", "coinbase:BTC-USD", "kraken:BTC/USD", "bitstamp:btcusd"),
)
CALM, CRASH, LOW, BACK = 60, 300, 900, 2_400


def binance(second: float) -> Decimal:
    """To 0.65 within four minutes, there for ten, back within twenty-five."""
    if second < LOW:
        share = min(Decimal(1), max(Decimal(0), (Decimal(second) - CALM) / (CRASH - CALM)))
    else:
        share = max(Decimal(0), (BACK - Decimal(second)) / (BACK - LOW))
    return 1 - Decimal("0.35") * share


def bybit(second: float) -> Decimal:
    """A short dip to 0.92 in the middle of it."""
    away = abs(Decimal(second) - 360)
    return 1 - Decimal("0.08") * max(Decimal(0), 1 - away / 60)


def _speak(stage: Stage, second: float) -> tuple[Decimal, Decimal]:
    for name in VENUES:
        price = binance(second) if name == BINANCE else bybit(second) if name == BYBIT else Decimal(1)
        stage.venues.say(name, price, at(second), noise_bps=5)
    return Decimal("0.9985"), Decimal("1.0015")


@cache
def play() -> tuple[Stage, Sequence[Look], Sequence[Look]]:
    stage = Stage(plan(spec("USDE-USD", sources(*VENUES))))
    stage.begin(1)
    stage.play(range(CALM), _speak)
    crash = stage.play(range(CALM, BACK), _speak)
    return stage, crash, stage.play(range(BACK, BACK + 60), _speak)


def line() -> Row:
    _, crash, _ = play()
    found = row(
        "USDe on Binance, October 2025", "a stablecoin at 0.65 on one venue's own book, at par on four others",
        "beyond 1 % that venue has no vote; what the collateral is worth is what the others say", crash,
    )  # fmt: skip
    return found._replace(naive=f"its own book {percent(1 - binance(CRASH))}, {found.naive}")


def test_collapse__on_one_venue__leaves_the_price_where_the_others_are() -> None:
    _, crash, after = play()
    assert all(look.published is not None for look in crash)
    assert worst(crash) < Decimal("0.001")
    assert worst_mean(crash) > Decimal("0.07")
    low = [look for look in crash if CRASH <= look.second < LOW]
    assert all(look.refused.get(BINANCE) == "outlier" for look in low)
    dip = [look for look in low if abs(look.second - 360) < 45]
    assert all(look.refused == {BINANCE: "outlier", BYBIT: "outlier"} for look in dip)
    assert after[-1].refused == {}
    assert after[-1].gate_open


def test_collateral__at_no_moment__is_worth_less_than_where_it_could_be_redeemed() -> None:
    """What counts for margin while the gate is open; Binance's own users were closed at 0.65."""
    _, crash, _ = play()
    assert min(look.published or Decimal(1) for look in crash if look.gate_open) > Decimal("0.997")


def _converted(mean: bool, groups: int = 2) -> Stage:
    """BTC by two books in USDe and three in dollars. `mean`: the rate by a plain mean, as a naive operator may choose."""
    chosen = {"method": WeightedMean(), "outliers": KeepAll()} if mean else {}
    rate = spec("USDE-USD", sources(*VENUES), **chosen)
    peg = PegSpec(IndexId("USDE-USD"), 98 * E18 // 100, 102 * E18 // 100)
    books = (*sources(*BOOKS[:2], quote="USDE"), *sources(*BOOKS[2:]))
    btc: IndexSpec = spec("BTC-USD", books, conversions={"USDE": peg}, min_quote_groups=groups)
    stage = Stage(plan(btc), (rate,))
    stage.begin(BTC)
    return stage


def _books(stage: Stage, second: float) -> tuple[Decimal, Decimal]:
    """A book in USDe is dear where USDe is cheap: Binance's by 1 / 0.65, the others not."""
    _speak(stage, second)
    for name in BOOKS:
        price = BTC / binance(second) if name == BOOKS[0] else BTC / bybit(second) if name == BOOKS[1] else BTC
        stage.venues.say(name, price, at(second))
    return BTC * Decimal("0.999"), BTC * Decimal("1.001")


def test_bitcoin_by_books_in_the_stablecoin__is_left_to_those_that_agree() -> None:
    """The rate holds, so that Binance's book is converted by one and is up to 50 % off: an outlier like any other."""
    looks = _converted(mean=False, groups=1).play(range(0, BACK, 5), _books)
    assert all(look.published is not None for look in looks)
    assert worst(looks) < Decimal("0.0025")
    low = [look for look in looks if CRASH <= look.second < LOW]
    assert all(look.refused[BOOKS[0]] == "outlier" for look in low)


def test_bitcoin__with_two_groups_asked__is_withheld_while_no_book_in_the_stablecoin_agrees() -> None:
    looks = _converted(mean=False).play(range(0, BACK, 5), _books)
    silent = [look for look in looks if look.published is None]
    missing = [look for look in silent if look.reason == "quote_groups"]
    assert missing
    assert {look.reason for look in silent} == {"quote_groups", "condition: HALT"}
    assert max(look.second for look in silent) <= max(look.second for look in missing) + 15, (
        "halted, and back by itself"
    )
    assert all(look.refused == {BOOKS[0]: "outlier", BOOKS[1]: "outlier"} for look in missing)
    assert all(300 < look.second < 420 for look in missing), "as long as Bybit's dip"


def test_bitcoin__with_a_rate_that_one_venue_can_move__loses_the_group_and_not_the_price() -> None:
    """A mean of five puts the rate at 0.93, outside its band: nobody quoted in USDe votes, and one group is no quorum of two."""
    stage = _converted(mean=True)
    looks = stage.play(range(0, BACK, 5), _books)
    low = [look for look in looks if CRASH <= look.second < LOW]
    assert {look.reason for look in low} == {"quote_groups"}
    assert all(look.refused[BOOKS[0]] == look.refused[BOOKS[1]] == "peg" for look in low)
    assert stage.last[IndexId("USDE-USD")] > price_e18("0.99"), "and it comes back by itself"
    assert looks[-1].published is not None
