"""Payments in quote, base and quanto, and who bears what a payer cannot."""

from __future__ import annotations

from decimal import Decimal

import pytest

from keeper.domain.numbers import E18
from keeper.domain.rates.clamped_premium import daily_clamped
from keeper.domain.rates.payments import Contract, Lazy, Terms, grown_index, settle
from tests.domain.rates.scenes import BP
from tests.validation.data import e18, golden

GOLDEN = golden()
USD = 10**6


def linear(price: str, rate: int, unit: int = USD) -> Terms:
    return Terms(Contract.LINEAR, e18(Decimal(price)), rate, unit)


def test_linear__one_ether__owes_in_quote_what_the_example_should_have_said() -> None:
    given = GOLDEN["seed_funding_WRONG"]["inputs"]
    rate = daily_clamped(e18(given["premium"]), e18(given["clamp"]), e18(given["interest"]), given["interval"])
    found = settle({"long": E18, "short": -E18}, linear("3050.50", rate))
    assert found.debits == {"long": 813_467, "short": -813_466}
    assert abs(Decimal(813_467) / USD - GOLDEN["seed_funding_payment"]["calc"]) < Decimal("1e-6")
    assert found.fund_units == 1, "the residue is the fund's"


def test_inverse__contracts__owe_in_base() -> None:
    terms = Terms(Contract.INVERSE, e18(20_000), BP, 10**8)
    assert settle({"long": e18(100_000), "short": -e18(100_000)}, terms).debits == {"long": 50_000, "short": -50_000}


def test_quanto__contracts__owe_in_the_settling_coin() -> None:
    terms = Terms(Contract.QUANTO, e18(2_000), BP, 10**8, multiplier_e18=E18 // 1_000_000)
    assert settle({"long": e18(500), "short": -e18(500)}, terms).debits == {"long": 10_000, "short": -10_000}


def test_payer__who_cannot__is_made_up_for_by_the_fund() -> None:
    sizes = {"a": 10 * E18, "b": -4 * E18, "c": -6 * E18}
    found = settle(sizes, linear("100", 100 * BP), {"a": 4 * USD}, fund_units=USD * 6)
    assert found.debits == {"a": 4 * USD, "b": -4 * USD, "c": -6 * USD}
    assert found.fund_units == -6 * USD
    assert (found.shortfall_units, found.reduced_units) == (6 * USD, 0)


def test_payer__who_cannot_and_a_fund_that_is_empty__cuts_receivers_in_proportion() -> None:
    sizes = {"a": 10 * E18, "b": -4 * E18, "c": -6 * E18}
    found = settle(sizes, linear("100", 100 * BP), {"a": 5 * USD})
    assert found.debits == {"a": 5 * USD, "b": -2 * USD, "c": -3 * USD}
    assert (found.fund_units, found.shortfall_units, found.reduced_units) == (0, 5 * USD, 5 * USD)
    nothing = settle(sizes, linear("100", 100 * BP), {"a": -1})
    assert set(nothing.debits.values()) == {0}


def test_cut__that_does_not_divide__is_rounded_against_receivers_so_that_the_fund_gives_nothing() -> None:
    sizes = {"a": 10 * E18, "b": -3 * E18, "c": -3 * E18, "d": -4 * E18}
    found = settle(sizes, linear("1", E18, unit=1), {"a": 5})
    assert found.debits == {"a": 5, "b": -1, "c": -1, "d": -2}
    assert (found.fund_units, found.shortfall_units, found.reduced_units) == (1, 5, 6)


def test_shortfall__that_the_residue_covers__cuts_nobody() -> None:
    terms = linear("1.4", E18, unit=1)
    assert settle({"a": E18, "b": -E18}, terms).debits == {"a": 2, "b": -1}
    found = settle({"a": E18, "b": -E18}, terms, {"a": 1})
    assert found.debits == {"a": 1, "b": -1}
    assert (found.fund_units, found.shortfall_units, found.reduced_units) == (0, 1, 0)


def test_sides__that_differ__are_refused() -> None:
    with pytest.raises(ValueError, match="two sides"):
        settle({"a": 1}, linear("1", BP))
    with pytest.raises(ValueError, match="must be positive"):
        linear("0", BP)


def test_lazy__the_contracts_own_rounding_test__leaves_one_unit_behind() -> None:
    vector = GOLDEN["dydx_v1_rounding"]
    given = vector["inputs"]
    held = [Lazy(given["margin"], size) for size in given["positions"]]
    index = 0
    for funding in given["funding"]:
        index = grown_index(index, given["price"] * E18, e18(funding))
        held[0] = held[0].settled(index)
    held[1:] = [each.settled(index) for each in held[1:]]
    assert [each.balance_units for each in held] == vector["published"]
    assert 30 - sum(each.balance_units for each in held) == 1
