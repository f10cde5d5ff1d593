"""Funding that venues published, held against the formulas that are named after them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from statistics import median
from typing import Any

from keeper.domain.grade import Grade
from keeper.domain.numbers import E18, tdiv
from keeper.domain.premium import ImpactPrices
from keeper.domain.rates import presets
from keeper.domain.rates.interest import interest_clamped
from keeper.domain.rates.method import DAY_S, EIGHT_HOURS_S, Ratio
from keeper.domain.rates.sample import impact_premium, mark_premium
from tests.validation.data import e18, observations
from tests.validation.row import Row

CENT = Decimal("0.01")


def rows() -> Sequence[Row]:
    return (
        _hyperliquid_premium(),
        _binance_interest(),
        _binance_rate(),
        _deribit(),
        _kraken(),
        _dydx_v3(),
        _delta(),
    )


def _absolute(got_e18: int, published: Decimal) -> Decimal:
    return abs(Decimal(got_e18).scaleb(-18) - published)


def _hyperliquid_premium() -> Row:
    errors = []
    for found in observations("hyperliquid_ctx"):
        impact = ImpactPrices(e18(found["impact_bid"]), e18(found["impact_ask"]))
        index = e18(found["index"])
        errors.append(_absolute(impact_premium(impact, index, index), found["premium"]))
    return Row(
        "Hyperliquid",
        "hyperliquid_ctx",
        "premium from impact prices",
        errors,
        Decimal("5e-9"),
        "absolute",
        note="8.5213e-5 beside the published 8.521e-5: half of its last digit. The rate's own rules of 2023 are documented only: the "
        "1,038 settlements that tell its four regimes apart are not here",
    )


def binance_perpetuals() -> list[dict[str, Any]]:
    """Of all symbols those that charge interest: neither dated futures nor pairs without one."""
    return [found for found in observations("binance_usdm") if found["interest"] and found["next_funding"]]


def _binance_interest() -> Row:
    """Where the premium is in the dead zone the rate is the interest, and that is the day's, shared out by intervals."""
    shares = [tdiv(presets.Binance().interest * hours, 8) for hours in (1, 2, 4, 8)]
    errors = [min(_absolute(share, found["interest"]) for share in shares) for found in binance_perpetuals()]
    return Row("Binance", "binance_usdm", "interest of one interval", errors, Decimal(0), "absolute", Grade.CONSISTENT)


def _binance_rate() -> Row:
    """Inside the zone any premium must give exactly the interest; outside the one that follows must give the rate."""
    errors = []
    for found in binance_perpetuals():
        method, rate, interest = presets.Binance(), e18(found["funding"]), e18(found["interest"])
        hours = 8 * interest // method.interest
        whole, clamp = rate * 8 // hours, method.clamp
        inside = rate == interest
        premiums = (method.interest - clamp, method.interest + clamp) if inside else (_implied(whole, method),)
        got = [tdiv(interest_clamped(premium, method.interest, clamp) * hours, 8) for premium in premiums]
        errors.append(max(_absolute(each, found["funding"]) for each in got))
    return Row(
        "Binance",
        "binance_usdm",
        "rate, dead zone and outside",
        errors,
        Decimal(0),
        "absolute",
        Grade.CONSISTENT,
        note="242 of the 371 rates are exactly the interest; premiums were not recorded",
    )


def _implied(rate_e18: int, method: presets.Binance) -> int:
    return rate_e18 + (method.clamp if rate_e18 > method.interest else -method.clamp)


def _deribit() -> Row:
    """All three were within the band of their year, and were charged nothing at that moment."""
    errors = []
    for found in observations("deribit_perp"):
        damper = Ratio(E18 * 5 // 10_000) if found["ts"] < 1_577_836_800_000 else presets.Deribit().damper
        premium = mark_premium(e18(found["mark"]), e18(found["index"]))
        errors.append(_absolute(presets.Deribit(damper=damper).rate_8h(premium), Decimal(found["current_funding"])))
    return Row(
        "Deribit",
        "deribit_perp",
        "damped rate of the moment",
        errors,
        Decimal(0),
        "absolute",
        Grade.CONSISTENT,
        note="two of 2019 with a band of ±0.05 %, one of 2025 with ±0.025 %; with the narrow one the first would be 4.2e-5",
    )


def kraken_rates() -> list[tuple[Decimal, Decimal, Decimal]]:
    """(absolute, relative, index now) of rates in force and predicted ones, the zeros aside."""
    pairs = (("abs_funding", "rel_funding"), ("abs_funding_pred", "rel_funding_pred"))
    return [
        (found[absolute], found[relative], found["index"])
        for found in observations("kraken_futures")
        for absolute, relative in pairs
        if found.get(absolute) and relative in found
    ]


def _kraken() -> Row:
    """relative = absolute · index at the hour's start, which is a price in cents: in units of the absolute rate's last digit."""
    errors = []
    for absolute, relative, _ in kraken_rates():
        index = (relative / absolute).quantize(CENT)
        errors.append(abs(relative / index - absolute).scaleb(18))
    return Row(
        "Kraken",
        "kraken_futures",
        "relative = absolute · index",
        errors,
        Decimal("0.51"),
        "last digits",
        Grade.CONSISTENT,
        note="the index of the hour's start is the price in cents that both rates give; where it was recorded it is that one",
    )


def _dydx_v3() -> Row:
    """Most markets traded at their index: the median rate is the interest alone."""
    rates = [found["funding_next"] for found in observations("dydx_v3")]
    method = presets.DydxV3()
    error = _absolute(tdiv(method.interest * method.interval_s, method.period_s), median(rates))
    return Row("dYdX v3", "dydx_v3", "default rate, median of 27", [error], Decimal(0), "absolute", Grade.CONSISTENT)


def _delta() -> Row:
    """The cap of 8 hours is an annual rate in percent over 1,095 intervals: the commonest one is the preset's."""
    caps = sorted(Decimal(found["annualized_funding_pct"]) for found in observations("delta_index_config"))
    cap = presets.Delta().cap or 0
    error = _absolute(cap, median(caps) / 100 * EIGHT_HOURS_S / (365 * DAY_S))
    return Row("Delta", "delta_index_config", "cap of one interval", [error], Decimal(0), "absolute", Grade.CONSISTENT)
