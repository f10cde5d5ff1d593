"""What the rows about funding rest on."""

from __future__ import annotations

from decimal import Decimal

from keeper.domain.rates import presets
from keeper.domain.rates.clamped_premium import daily_clamped
from keeper.domain.rates.sample import mark_premium
from tests.validation.checks.funding_recorded import binance_perpetuals, kraken_rates
from tests.validation.data import e18, golden, observations


def test_binance__of_371_rates__242_are_the_interest_itself_and_all_are_below_the_cap() -> None:
    found = binance_perpetuals()
    assert len(found) == 371
    assert sum(each["funding"] == each["interest"] for each in found) == 242
    assert all(abs(e18(each["funding"])) <= (presets.Binance().cap or 0) for each in found)


def test_kraken__where_the_index_of_the_hours_start_was_recorded__it_is_the_one() -> None:
    found = kraken_rates()
    assert len(found) == 10
    at_index = [index for absolute, relative, index in found if abs(relative / absolute - index) < Decimal("1e-9")]
    assert len(at_index) == 5
    assert all(abs(relative / absolute / index - 1) < Decimal("0.004") for absolute, relative, index in found)


def test_deribit__with_the_narrow_band__the_first_of_2019_would_have_been_charged() -> None:
    first = observations("deribit_perp")[0]
    premium = mark_premium(e18(first["mark"]), e18(first["index"]))
    assert presets.Deribit().rate_8h(premium) > 0 == first["current_funding"]


def test_printed_mistake__of_the_worked_example__does_not_come_out() -> None:
    wrong = golden()["seed_funding_WRONG"]
    given = wrong["inputs"]
    got = daily_clamped(e18(given["premium"]), e18(given["clamp"]), e18(given["interest"]), given["interval"])
    assert abs(Decimal(got).scaleb(-18) - wrong["published"]) > 1_000 * wrong["tol"]
    unclamped = daily_clamped(e18(given["premium"]), 10**18, e18(given["interest"]), given["interval"])
    assert round(Decimal(unclamped).scaleb(-18), 6) == Decimal("0.005711"), "nor does it without the clamp"
