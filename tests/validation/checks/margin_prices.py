"""Liquidation and bankruptcy prices that venues published for positions and examples."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction
from typing import Any

from keeper.domain.grade import Grade
from keeper.domain.margining import venues
from keeper.domain.margining.contracts import INVERSE, LINEAR
from keeper.domain.margining.cross import CrossAccount, Held, bankruptcy_prices, liquidation_prices
from keeper.domain.margining.isolated import Isolated, liquidation_price
from keeper.domain.margining.threshold import Healthy, Unreachable
from keeper.domain.margining.tiers import one_rate
from tests.validation.data import e18, golden, observations
from tests.validation.row import Row, relative

CENT = Decimal("0.005")
"""To the cent: published figures are rounded to it."""
MARKS = {"BTC": e18(Decimal("31967.27")), "ETH": e18(Decimal("1335.18"))}


def rows() -> Sequence[Row]:
    return (*_binance(), *_hyperliquid(), *_bybit(), _dydx_v4())


def price(found: int | Unreachable | None) -> Decimal:
    """Raises where there is no price: then there is nothing to compare."""
    if not isinstance(found, int):
        raise TypeError(f"no price: {found}")
    return Decimal(found).scaleb(-18)


def low(found: Healthy | Unreachable) -> Decimal:
    if isinstance(found, Unreachable):
        raise TypeError(f"no price: {found}")
    return price(found.low_e18)


def _binance() -> tuple[Row, ...]:
    """Two longs in one wallet, alone and together."""
    vectors = golden()
    held = {coin: _held(coin, vectors[f"binance_liq_{coin.lower()}_isolated"]["inputs"]) for coin in MARKS}
    wallet = e18(vectors["binance_liq_btc_isolated"]["inputs"]["WB"])
    together = CrossAccount("faq", wallet, tuple(held.values()))
    alone = [
        abs(price(_alone(held[coin], wallet)) - vectors[f"binance_liq_{coin.lower()}_isolated"]["published"])
        for coin in MARKS
    ]
    cross = [
        abs(low(liquidation_prices(together, coin, MARKS)) - vectors[f"binance_liq_{coin.lower()}_cross"]["published"])
        for coin in MARKS
    ]
    return (
        Row("Binance", "golden_vectors", "liquidation price, isolated, linear", alone, CENT, "USDT"),
        Row("Binance", "golden_vectors", "liquidation price, cross, linear", cross, CENT, "USDT"),
    )


def _held(coin: str, inputs: dict[str, Any]) -> Held:
    table = one_rate(Fraction(inputs["MMR"]), e18(inputs["cum"]))
    return Held(coin, LINEAR, e18(inputs["q"]), e18(inputs["EP"]), table)


def _alone(held: Held, margin_e18: int) -> int | Unreachable:
    return liquidation_price(Isolated(held.contract, held.size_e18, held.entry_e18, margin_e18, held.table))


def _hyperliquid() -> tuple[Row, ...]:
    states, positions = observations("hyperliquid_user_state"), observations("hyperliquid_liq")
    with_price = [row for row in states if "liq_px" in row]
    without = [row for row in states if "liq_px" not in row]
    wrong = [Decimal(_of_2023(row) is not Unreachable.NEVER) for row in without]
    return (
        Row(
            "Hyperliquid",
            "hyperliquid_user_state",
            "liquidation price of 2023, cross",
            [abs(price(_of_2023(row)) - row["liq_px"]) for row in with_price],
            Decimal("5e-9"),
            "USD",
            note="maintenance margin fixed at the current notional, 1 % (max leverage 50), cut to six decimals",
        ),
        Row(
            "Hyperliquid", "hyperliquid_user_state", "no liquidation price of 2023", wrong, Decimal(0), "wrong answers"
        ),
        Row(
            "Hyperliquid",
            "hyperliquid_liq",
            "liquidation price since 2024, isolated",
            [relative(price(_of_2024(row)), row["liq_px"]) for row in positions],
            Decimal("4e-5"),
            note="as margin no position is off by more than 0.0000015 USDC, which the published decimals leave open",
        ),
    )


def _of_2023(row: dict[str, Any]) -> int | Unreachable:
    """All markets had a largest leverage of 50: maintenance is 1 % of the account's whole notional, cut to six decimals."""
    size, mark = e18(row["size"]), Fraction(row["position_value"]) / abs(Fraction(row["size"]))
    available = e18(row["account_value"]) - e18((row["total_ntl"] / 100).quantize(Decimal("1e-6"), ROUND_DOWN))
    return venues.hyperliquid_2023(round(mark * 10**18), size, available)


def _of_2024(row: dict[str, Any]) -> int | Unreachable:
    size = e18(row["size"]) * (1 if row["side"] == "long" else -1)
    rate = Fraction(1, 2 * int(row["max_leverage"]))
    return liquidation_price(Isolated(LINEAR, size, e18(row["entry"]), e18(row["margin"]), one_rate(rate)))


def _bybit() -> tuple[Row, ...]:
    vectors, fee, rate = golden(), Fraction("0.00075"), Fraction("0.005")
    linear, inverse = vectors["bybit_linear_isolated"], vectors["bybit_inverse_short"]
    inputs = linear["inputs"]
    got = venues.bybit_linear(e18(inputs["q"]), e18(inputs["EP"]), Fraction(inputs["lev"]), Fraction(inputs["mmr"]))
    inputs = inverse["inputs"]
    quantity, entry, leverage = e18(inputs["Q"]), e18(inputs["EP"]), Fraction(inputs["lev"])
    frozen = venues.bybit_inverse(-quantity, entry, leverage, Fraction(inputs["mmr"]))
    contracts, opened, balance = e18(10_000), e18(8_000), e18(Decimal("0.5"))
    bankrupt = venues.bybit_inverse_cross_bankruptcy(contracts, opened, balance, fee)
    liquidated = venues.bybit_inverse_cross(contracts, opened, balance, rate, fee)
    exact = CrossAccount("help", balance, (Held("BTC", INVERSE, contracts, opened, one_rate(rate)),))
    apart = (
        f"help 360039261334; an exact solution without fees is {low(liquidation_prices(exact, 'BTC', {})):.2f} and "
        f"{low(bankruptcy_prices(exact, 'BTC', {})):.2f}: Bybit freezes maintenance at the entry and reserves the closing fee"
    )
    return (
        Row(
            "Bybit",
            "golden_vectors",
            "liquidation price, isolated, linear",
            [abs(price(got) - linear["published"])],
            CENT,
            "USDT",
        ),
        Row(
            "Bybit",
            "golden_vectors",
            "liquidation price, isolated, inverse",
            [abs(price(frozen) - inverse["calc"])],
            CENT,
            "USD",
            Grade.DOCUMENTED,
            note=_inverse_note(quantity, entry, leverage, Fraction(inputs["mmr"])),
        ),
        Row(
            "Bybit",
            "worked example",
            "bankruptcy price, cross, inverse",
            [abs(price(bankrupt) - Decimal("5718.57"))],
            CENT,
            "USD",
            note=apart,
        ),
        Row(
            "Bybit",
            "worked example",
            "liquidation price, cross, inverse",
            [abs(price(liquidated) - Decimal("5739.50"))],
            CENT,
            "USD",
            None,
            note=f"the text prints 5739.50; its own formula with its own numbers gives {price(liquidated):.2f}",
        ),
    )


def _inverse_note(quantity: int, entry: int, leverage: Fraction, rate: Fraction) -> str:
    margin = INVERSE.worth(-quantity, entry) / leverage
    solved = liquidation_price(Isolated(INVERSE, -quantity, entry, int(margin), one_rate(rate)))
    return (
        f"the text gives its inputs and no result that we have; an exact solution is {price(solved):.2f}, further away, since "
        "maintenance in coins falls as the price rises and Bybit freezes it at the entry"
    )


def _dydx_v4() -> Row:
    vector = golden()["dydx_v4_isolated_liq"]
    inputs = vector["inputs"]
    got = venues.dydx_v4(e18(inputs["s"]), e18(inputs["p"]), e18(inputs["e"]), Fraction(inputs["MMF"]))
    error = [abs(price(got) - Decimal(vector["published"]))]
    return Row("dYdX v4", "golden_vectors", "liquidation price, isolated", error, CENT, "USDC")
