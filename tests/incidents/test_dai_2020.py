"""Compound, 26 November 2020: a DAI for 1.30 dollars, on one exchange.

Between 08:00 and 09:00 UTC DAI rose to 1.30 on Coinbase Pro while it stayed near par on Kraken and Bitfinex. Compound took Coinbase's
price, checked against Uniswap within 20 %, which had risen too: some 85 million DAI were liquidated.
https://www.comp.xyz/t/dai-liquidation-event/642
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import cache

from keeper.domain.confirmation import Confirmation
from keeper.domain.guard import Guard
from tests.incidents.row import Row, row, worst, worst_mean
from tests.incidents.stage import Look, Stage, at, plan, sources, spec

VENUES = ("coinbase:DAI-USD", "kraken:DAI/USD", "bitfinex:tDAIUSD", "gemini:DAIUSD")
SPIKE = VENUES[0]
PEAK = Decimal("1.30")
CALM, RISE, TOP, FALL = 60, 420, 900, 1_200


def _height(second: float) -> Decimal:
    """Up to 1.30 within six minutes, there for eight, and back within five."""
    if second < RISE:
        share = Decimal(second - CALM) / (RISE - CALM)
    elif second < TOP:
        share = Decimal(1)
    else:
        share = max(Decimal(0), (FALL - Decimal(second)) / (FALL - TOP))
    return 1 + (PEAK - 1) * max(Decimal(0), share)


def _speak(stage: Stage, second: float) -> tuple[Decimal, Decimal]:
    """The others take in a little of it: up to 1.02."""
    elsewhere = 1 + (_height(second) - 1) / 15
    for source in stage.plan.spec.sources:
        stage.venues.say(source.source, _height(second) if source.source == SPIKE else elsewhere, at(second))
    return elsewhere * Decimal("0.9995"), elsewhere * Decimal("1.0005")


@cache
def play() -> tuple[Stage, Sequence[Look], Sequence[Look]]:
    stage = Stage(plan(spec("DAI-USD", sources(*VENUES))))
    stage.begin(1)
    stage.play(range(CALM), _speak)
    spike = stage.play(range(CALM, FALL), _speak)
    return stage, spike, stage.play(range(FALL, FALL + 60), _speak)


def line() -> Row:
    _, spike, _ = play()
    return row(
        "DAI on Coinbase, November 2020", "one of four exchanges rises by 30 % within minutes, the others by 2 %",
        "once it is 1 % away it has no vote, until it is back; liquidations go by the others", spike,
    )  # fmt: skip


def test_spike__on_one_venue__is_left_out_and_the_price_is_that_of_the_others() -> None:
    _, spike, after = play()
    assert all(look.published is not None for look in (*spike, *after))
    assert worst(spike) < Decimal("0.005"), "a vote among four within the band, before it is beyond it"
    assert worst_mean(spike) > Decimal("0.06")
    top = [look for look in spike if RISE <= look.second < TOP]
    assert worst(top) == 0
    assert all(look.refused == {SPIKE: "outlier"} for look in top)
    assert max(look.published or 0 for look in spike) < Decimal("1.022")
    assert after[-1].refused == {}


def test_debtors__while_one_venue_spikes__are_not_liquidated_by_it() -> None:
    """The gate may stay open: what it would act on is the others' price. It shuts for as long as all of them spread."""
    _, spike, _ = play()
    assert all(look.published is not None and look.published < Decimal("1.022") for look in spike if look.gate_open)


def test_two_venues_that_rise_together__are_no_majority_of_four__and_nothing_is_published() -> None:
    """As Coinbase and Uniswap did: two camps of two have no middle that is anybody's price."""
    stage = Stage(plan(spec("DAI-USD", sources(*VENUES))))
    stage.begin(1)

    def speak(stage: Stage, second: float) -> tuple[Decimal, Decimal]:
        for number, name in enumerate(VENUES):
            stage.venues.say(name, PEAK if number < 2 and second >= 10 else Decimal(1), at(second))
        return Decimal("0.9995"), Decimal("1.0005")

    looks = stage.play(range(120), speak)
    assert {look.reason for look in looks if look.second >= 10} == {"sources"}
    assert not any(look.gate_open for look in looks if look.second >= 10)
    assert looks[-1].on_chain is not None
    assert abs(looks[-1].on_chain - 1) < Decimal("0.001"), "the chain holds the last good price, ageing"


def test_all_venues_rise_together__is_the_market__and_published_after_its_confirmation() -> None:
    stage = Stage(plan(spec("DAI-USD", sources(*VENUES)), guard=Guard(200, Confirmation(quote_groups=1))))
    stage.begin(1)

    def speak(stage: Stage, second: float) -> tuple[Decimal, Decimal]:
        price = PEAK if second >= 10 else Decimal(1)
        for name in VENUES:
            stage.venues.say(name, price, at(second))
        return price * Decimal("0.999"), price * Decimal("1.001")

    looks = stage.play(range(60), speak)
    held = [look.second for look in looks if look.reason == "guard: unconfirmed"]
    assert held == [10, 11, 12]
    assert all(look.published is not None for look in looks if look.second >= 13)
    assert not any(look.gate_open for look in looks if 10 <= look.second < 13)
