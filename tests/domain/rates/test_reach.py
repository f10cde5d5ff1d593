"""What the reference protocol charges exactly, and what the check says where it does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.exchange import FeedState, MarketParameters
from keeper.domain.feed import PREMIUM_DERIVED, PREMIUM_REPORTED
from keeper.domain.funding import funding_rate
from keeper.domain.numbers import E18
from keeper.domain.rates import FUNDING_METHODS, presets
from keeper.domain.rates.method import Ratio
from keeper.domain.rates.reach import Form, contradictions, form_of
from tests.domain.pricing.builders import LAW
from tests.domain.rates.scenes import BP
from tests.domain.rates.test_formulas import parameters
from tests.domain.rates.test_laws import rate

REACHED = sorted(name for name, method in FUNDING_METHODS.items() if isinstance(form_of(method()), Form))


def on_chain(form: Form) -> tuple[MarketParameters, FeedState]:
    cap = E18 if form.cap_e18 is None else form.cap_e18
    rules = parameters(funding_kind=form.kind, interest_e18=form.interest_e18, clamp_e18=form.clamp_e18, cap_e18=cap)
    feed = FeedState(1, form.interval_s, 60, 0, 0, form.premium_kind, False, *(0 for _ in range(11)))
    return rules, feed


def test_reached__of_the_venues__are_those_of_the_plain_form() -> None:
    assert REACHED == [
        "bybit", "clamped_premium", "delta", "ftx", "gate", "hyperliquid", "interest_clamp", "kraken", "phemex",
    ]  # fmt: skip


@LAW
@pytest.mark.parametrize("name", REACHED)
@given(premium=st.integers(-E18, E18))
def test_reached__any_mean_premium__is_charged_to_the_last_digit(name: str, premium: int) -> None:
    method = FUNDING_METHODS[name]()
    form = form_of(method)
    assert isinstance(form, Form)
    rules, feed = on_chain(form)
    assert rate(method, premium) == funding_rate(rules, feed.interval_s, premium)
    assert list(contradictions(method, rules, feed)) == []


def test_contradictions__each_difference__is_said_with_both_numbers() -> None:
    method = presets.Hyperliquid()
    form = form_of(method)
    assert isinstance(form, Form)
    rules, feed = on_chain(form)
    other = replace(rules, interest_e18=2 * BP, clamp_e18=3 * BP, cap_e18=BP)
    assert list(contradictions(method, other, replace(feed, interval_s=28_800, premium_kind=PREMIUM_DERIVED))) == [
        "hyperliquid takes the premium as reported (impact), the chain mark against index",
        "hyperliquid charges every 3600 s, the chain every 28800 s",
        "interest of hyperliquid is 0.0001, the chain's 0.0002",
        "clamp of hyperliquid is 0.0005, the chain's 0.0003",
        "cap of hyperliquid is 0.04, the chain's 0.0001",
    ]
    assert "is of the kind" in next(contradictions(presets.DailyClamp(), rules, feed))
    assert feed.premium_kind == PREMIUM_REPORTED


@pytest.mark.parametrize(
    ("method", "why"),
    [
        (presets.Binance(), "weighs all time alike"),
        (presets.Binance(weights="uniform"), "never switches its interval"),
        (presets.Bitmex(), "impact_basis against mark"),
        (presets.Plainly(offset_s=3600), "multiples of its interval"),
        (presets.Plainly(period_s=3600), "that of 8 h, unscaled"),
        (presets.Plainly(multiplier=Ratio(2 * E18)), "that of 8 h, unscaled"),
        (presets.Kraken(low=Ratio(0)), "same on both sides"),
        (presets.Kraken(low=None), "same on both sides"),
        (presets.Kraken(high=None), "same on both sides"),
        (presets.Kraken(period_s=3600), "8 h or of a day"),
        (presets.DydxV3(), "no interest outside its clamp"),
        (presets.CoinbaseIntx(), "no memory"),
        (presets.Deribit(), "damped at every instant"),
        (presets.GmxV1(), "a fee for a pool's use"),
    ],
)
def test_not_reached__each__says_why(method: Any, why: str) -> None:
    found = form_of(method)
    assert isinstance(found, str)
    assert why in found
    rules, feed = on_chain(Form(0, 1, 0, 0, 0, 3600))
    assert list(contradictions(method, rules, feed)) == [f"this protocol cannot charge by {method.name}: {found}"]


def test_binance__with_the_options_that_the_document_names__is_reached() -> None:
    assert isinstance(form_of(presets.Binance(weights="uniform", capped_interval_s=0)), Form)
