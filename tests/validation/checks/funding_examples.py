"""Worked examples of funding: venues' documents, and the tests of contracts."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from keeper.domain.grade import Grade
from keeper.domain.numbers import E18
from keeper.domain.rates import pushed, velocity
from keeper.domain.rates.clamped_premium import daily_clamped
from keeper.domain.rates.growth import bounded_premium, owed_by_growth
from keeper.domain.rates.interest import interest_clamped
from keeper.domain.rates.method import BASIS_POINT
from keeper.domain.rates.payments import Lazy, grown_index
from keeper.domain.rates.sample import mark_premium
from tests.validation.data import e18, golden
from tests.validation.row import Row

GOLDEN = golden()
DATA = "golden_vectors"


def rows() -> Sequence[Row]:
    return (
        _row("Hyperliquid", "rate outside the dead zone", [_hyperliquid()], "0"),
        _row("dYdX v1", "bounds of the rate", _dydx_bounds(), "0", "of 1e-18 a second"),
        _row("dYdX v1", "settlement by index", [_dydx_settled()], "0"),
        _row("dYdX v1", "rounding 0/14/15", _dydx_rounding(), "0", "units"),
        _row("Curie", "payment of a growth", [_curie()], "1e-11"),
        _row("Synthetix", "rate after a velocity", [_synthetix()], "1e-8"),
        _row("worked example", "premium of the mark", [_premium()], "1e-6"),
        _row(
            "worked example",
            "clamped premium, daily",
            [_daily()],
            "5e-10",
            note="0.000266667; the example prints 0.001767, which is a slip of one decimal place and must not come out",
        ),
    )


def _row(
    venue: str, formula: str, errors: list[Decimal], threshold: str, unit: str = "absolute", note: str = ""
) -> Row:
    return Row(venue, DATA, formula, errors, Decimal(threshold), unit, Grade.DOCUMENTED, note)


def _off(got_e18: int, wanted: Decimal | int) -> Decimal:
    return abs(Decimal(got_e18).scaleb(-18) - wanted)


def _hyperliquid() -> Decimal:
    vector = GOLDEN["hyperliquid_doc"]
    return _off(interest_clamped(e18(vector["inputs"]["P"]), BASIS_POINT, 5 * BASIS_POINT), vector["published"])


def _dydx_bounds() -> list[Decimal]:
    constants = (
        (pushed.MAX_ABS_VALUE, GOLDEN["dydx_v1_max_rate"]),
        (pushed.MAX_ABS_DIFF_PER_SECOND, GOLDEN["dydx_v1_max_diff_per_second"]),
    )
    swings = [GOLDEN[f"dydx_v1_bound_{seconds}s"] for seconds in (1350, 1351)]
    reached = [(pushed.bounded(0, E18, vector["inputs"]["dt"]), vector) for vector in swings]
    return [Decimal(abs(got - vector["calc"])) for got, vector in (*constants, *reached)]


def _dydx_settled() -> Decimal:
    vector = GOLDEN["dydx_v1_settle"]
    given = vector["inputs"]
    account = Lazy(0, given["pos"]).settled(grown_index(0, given["price"] * E18, e18(given["funding"])))
    return Decimal(abs(-account.balance_units - int(vector["published"])))


def _dydx_rounding() -> list[Decimal]:
    """The first account is settled at each step, the others once."""
    vector = GOLDEN["dydx_v1_rounding"]
    given, index = vector["inputs"], 0
    held = [Lazy(given["margin"], size) for size in given["positions"]]
    for funding in given["funding"]:
        index = grown_index(index, given["price"] * E18, e18(funding))
        held[0] = held[0].settled(index)
    balances = [each.settled(index).balance_units for each in held]
    return [Decimal(abs(got - wanted)) for got, wanted in zip(balances, vector["published"], strict=True)]


def _curie() -> Decimal:
    vector = GOLDEN["curie_funding"]
    given = vector["inputs"]
    premium = bounded_premium(e18(given["mark"]), e18(given["index"]), E18 // 10)
    return _off(owed_by_growth(e18(given["base"]), premium * given["dt"]), vector["published"])


def _synthetix() -> Decimal:
    vector = GOLDEN["synthetix_velocity"]
    given = vector["inputs"]
    return _off(velocity.rate_after(0, e18(given["velocity"]), given["dt"] * 1_000), vector["published"])


def _premium() -> Decimal:
    vector = GOLDEN["seed_premium"]
    return _off(mark_premium(e18(vector["inputs"]["mark"]), e18(vector["inputs"]["index"])), vector["published"])


def _daily() -> Decimal:
    given = GOLDEN["seed_funding_WRONG"]["inputs"]
    rate = daily_clamped(e18(given["premium"]), e18(given["clamp"]), e18(given["interest"]), given["interval"])
    return _off(rate, Decimal("0.000266667"))
