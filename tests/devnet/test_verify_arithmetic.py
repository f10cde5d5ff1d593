"""The verifier's own arithmetic against the figures of docs/reference-protocol.md, and against plain fractions."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor, trunc
from typing import Any

from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from keeper.devnet.verify.arithmetic import (
    WAD,
    derived_premium_e18,
    funding_rate_e18,
    maintenance_units,
    notional_units,
    owed_units,
    truncated,
    up,
    value_units,
)
from keeper.devnet.verify.exact import exact_premium
from keeper.devnet.verify.journal import root_of
from keeper.devnet.verify.mirror import moved_quote
from keeper.domain.evidence import merkle_root
from keeper.domain.ids import source_id
from keeper.domain.premium import premium_sample
from keeper.domain.quote import Depth, Level
from keeper.domain.time import Timestamp

SIZES = st.integers(-(10**24), 10**24)
PRICES = st.integers(1, 2**96 - 1)


def test_funding__the_documents_example__to_the_last_digit() -> None:
    premium = derived_premium_e18(3000 * WAD, 3050_500 * WAD // 1000)
    assert premium == 16_833_333_333_333_333
    common = {"premium_e18": premium, "interest_e18": 10**14, "clamp_e18": 5 * 10**14, "cap_e18": 4 * 10**16}
    assert funding_rate_e18(kind=0, interval_s=28_800, **common) == 16_333_333_333_333_333
    assert funding_rate_e18(kind=1, interval_s=28_800, **common) == 266_666_666_666_666
    cum = 266_666_666_666_666 * 3050_500 * WAD // 1000
    assert (owed_units(WAD, cum), owed_units(-WAD, cum)) == (813_467, -813_466)


@given(st.integers(-(10**40), 10**40), st.integers(1, 10**20))
def test_rounding__any_quotient__is_that_of_the_exact_fraction(numerator: int, denominator: int) -> None:
    exact = Fraction(numerator, denominator)
    assert (up(numerator, denominator), truncated(numerator, denominator)) == (ceil(exact), trunc(exact))


@given(SIZES, PRICES)
def test_valuation__any_position__rounds_against_the_account(size: int, price: int) -> None:
    exact = Fraction(size * price, 10**30)
    assert value_units(size, price) == floor(exact)
    assert notional_units(size, price) == ceil(abs(exact))


@given(st.integers(0, 10**13))
def test_maintenance__tiers__are_continuous_and_marginal(notional: int) -> None:
    tiers = [(0, 200), (10**12, 300), (5 * 10**12, 500)]
    slices = (
        min(notional, 10**12) * 200,
        max(0, min(notional, 5 * 10**12) - 10**12) * 300,
        max(0, notional - 5 * 10**12) * 500,
    )
    assert maintenance_units(tiers, notional) == -(-sum(slices) // 10_000)


@given(SIZES.filter(bool), SIZES, SIZES)
def test_moved_quote__position_closed_whole__leaves_nothing(size: int, quote: int, cash: int) -> None:
    assert moved_quote(size, quote, -size, cash) == 0
    assert moved_quote(0, 0, size, cash) == cash


LEVELS = st.lists(st.tuples(st.integers(1, 10**24), st.integers(1, 10**22)), min_size=1, max_size=5)


@given(LEVELS, LEVELS, st.integers(1, 10**24))
def test_premium__any_book__is_the_keepers(bids: list[Any], asks: list[Any], index: int) -> None:
    """Fractions against integers."""
    bids, asks = sorted(bids, reverse=True), sorted(asks)
    depth = Depth(
        source_id("perp", "X"),
        Timestamp(0),
        None,
        tuple(Level(price, size) for price, size in bids),
        tuple(Level(price, size) for price, size in asks),
    )
    market = {"funding": {"premium": "impact", "impact_notional": 10_000}}
    texts = {
        "bids": [[str(price), str(size)] for price, size in bids],
        "asks": [[str(price), str(size)] for price, size in asks],
    }
    found = exact_premium({"book": texts, "entry": {"index": str(index)}}, market)
    assert found == premium_sample(depth, index, 10_000 * WAD)


@given(st.lists(st.binary(min_size=32, max_size=32).filter(any), min_size=1, max_size=9, unique=True))
def test_root__any_leaves__is_the_keepers(leaves: list[bytes]) -> None:
    """Two implementations of one documented format."""
    assert root_of(leaves) == merkle_root(leaves, keccak)
