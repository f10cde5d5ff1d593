"""Components of the conversion graph, priced from one snapshot."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from random import Random

import pytest

from keeper.domain.conversion import rates_of
from keeper.domain.ids import IndexId, SourceId
from keeper.domain.index import IndexPrice, IndexSpec, PegSpec, Rejected, SourceSpec, Withheld, WithheldReason
from keeper.domain.pricing import components, price_component
from keeper.domain.quote import Quote
from tests.domain.pricing.builders import BTC, NOW, USDT, after, board, e18, quote, usd

RATE = IndexSpec(USDT, tuple(SourceSpec(SourceId(f"rate{n}"), "USD") for n in range(3)), min_quote_groups=1)
COIN = IndexSpec(
    BTC,
    (
        *(SourceSpec(SourceId(f"usd{n}"), "USD") for n in range(3)),
        *(SourceSpec(SourceId(f"usdt{n}"), "USDT") for n in range(4)),
    ),
    conversions={"USDT": PegSpec(USDT, e18("0.98"), e18("1.02"))},
)


def leaf(name: str, *needs: str) -> IndexSpec:
    """An index quoted in USD and in the currency of each index that it needs."""
    currencies = ["USD", *(need.partition("-")[0] for need in needs)]
    sources = tuple(
        SourceSpec(SourceId(f"{name}:{currency}{n}"), currency) for currency in currencies for n in range(3)
    )
    pegs = {need.partition("-")[0]: PegSpec(IndexId(need)) for need in needs}
    return IndexSpec(IndexId(name), sources, min_quote_groups=1, conversions=pegs)


def market(rate: str, coin_in_usd: str, coin_in_usdt: str) -> dict[SourceId, Quote]:
    return board(
        *(quote(f"rate{n}", rate) for n in range(3)),
        *(quote(f"usd{n}", coin_in_usd) for n in range(3)),
        *(quote(f"usdt{n}", coin_in_usdt) for n in range(4)),
    )


def test_components__conversion_chain__rates_come_first_whatever_the_order() -> None:
    specs = [leaf("BTC-USD", "USDT-USD", "EUR-USD"), leaf("USDT-USD", "EUR-USD"), leaf("EUR-USD"), leaf("GOLD-USD")]
    for order in permutations(specs):
        groups = [[spec.id for spec in group] for group in components(order)]
        assert groups == [["EUR-USD", "USDT-USD", "BTC-USD"], ["GOLD-USD"]]


def test_components__markets_sharing_a_rate__are_one_component() -> None:
    found = components(
        [
            leaf("ETH-USD", "USDT-USD"),
            leaf("BTC-USD", "USDT-USD"),
            leaf("USDT-USD"),
            leaf("A-USD", "B-USD"),
            leaf("B-USD"),
        ]
    )
    assert [{spec.id for spec in group} for group in found] == [{"A-USD", "B-USD"}, {"BTC-USD", "ETH-USD", "USDT-USD"}]


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ([leaf("A-USD", "B-USD"), leaf("B-USD", "C-USD"), leaf("C-USD", "A-USD")], "A-USD → B-USD → C-USD → A-USD"),
        ([leaf("A-USD", "A-USD")], "A-USD → A-USD"),
        ([leaf("A-USD", "X-USD")], "A-USD converts through X-USD, which is not defined"),
        ([leaf("A-USD"), leaf("A-USD")], "A-USD is defined twice"),
    ],
)
def test_components__impossible_graph__names_the_indices(specs: list[IndexSpec], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        components(specs)


def test_price_component__first_tick__converts_with_the_rate_of_the_same_tick() -> None:
    (group,) = components([COIN, RATE])
    priced = price_component(group, market("0.99", "19800", "20000"), {}, NOW)
    coin = priced[BTC]
    assert isinstance(coin, IndexPrice)
    assert coin.price_e18 == e18(19_800)
    assert coin.rejected == ()
    assert {vote.rate_e18 for vote in coin.inputs if vote.group == "USDT"} == {e18("0.99")}
    assert {vote.stated_e18 for vote in coin.inputs if vote.group == "USDT"} == {e18(20_000)}
    assert {vote.rate_e18 for vote in coin.inputs if vote.group == "USD"} == {None}


@pytest.mark.parametrize("rate", ["0.98", "0.985", "1", "1.019", "1.02"])
def test_price_component__peg_slips_inside_its_band__nobody_is_refused(rate: str) -> None:
    quotes = market(rate, "20000", str(20_000 / float(rate)))
    coin = price_component((RATE, COIN), quotes, {}, NOW)[BTC]
    assert isinstance(coin, IndexPrice)
    assert coin.rejected == ()
    assert abs(coin.price_e18 - e18(20_000)) < e18("0.0001")


@pytest.mark.parametrize("rate", ["0.9799", "1.0201", "0.5"])
def test_price_component__peg_outside_its_band__the_whole_group_is_refused(rate: str) -> None:
    plan = IndexSpec(COIN.id, COIN.sources, min_quote_groups=1, conversions=COIN.conversions)
    coin = price_component((RATE, plan), market(rate, "20000", "21000"), {}, NOW)[BTC]
    assert isinstance(coin, IndexPrice)
    assert coin.price_e18 == e18(20_000)
    assert {(refused.source[:4], refused.reason) for refused in coin.rejected} == {("usdt", Rejected.PEG)}
    assert len(coin.rejected) == 4


def test_price_component__peg_broken_and_two_groups_asked__is_withheld() -> None:
    coin = price_component((RATE, COIN), market("0.9", "20000", "22222"), {}, NOW)[BTC]
    assert isinstance(coin, Withheld)
    assert coin.reason is WithheldReason.QUOTE_GROUPS


def test_price_component__rate_withheld__its_group_is_unconverted() -> None:
    quotes = market("1", "20000", "20000") | board(quote("rate0", 1, at=after(-60)))
    priced = price_component((RATE, COIN), quotes, {}, NOW)
    assert isinstance(priced[USDT], Withheld)
    coin = priced[BTC]
    assert isinstance(coin, Withheld)
    assert {refused.reason for refused in coin.rejected} == {Rejected.UNCONVERTED}
    assert coin.rejected[0].detail == "USDT-USD is withheld: sources"


def test_price_component__two_left__is_judged_by_the_last_index() -> None:
    plan = IndexSpec(
        BTC, tuple(SourceSpec(SourceId(name), "USD") for name in "abc"), min_quote_groups=1, allow_two=True
    )
    quotes = board(quote("a", 100), quote("b", 100))
    assert isinstance(price_component((plan,), quotes, {BTC: e18(100)}, NOW)[BTC], IndexPrice)
    assert isinstance(price_component((plan,), quotes, {BTC: e18(50)}, NOW)[BTC], Withheld)
    assert isinstance(price_component((plan,), quotes, {}, NOW)[BTC], Withheld)


USDC_DEPEG = [
    # minute (unix s), Binance.US BTC/USD, BTC/USDC at Binance.US, BTC/USDC at Kraken: recorded closes of 2023-03-10 and 11
    (1678440000, "19916.92", "19919.95", "19922.29"),
    (1678500000, "20772.39", "20788.05", "20920.71"),
    (1678510800, "20376.5", "21359.37", "21519.01"),
    (1678519080, "20248.72", "21774.06", "23099.8"),
    (1678520040, "20257.39", "22325.07", "22749.83"),
    (1678528800, "20201.58", "22143.02", "22211.0"),
    (1678539540, "20136.22", "22245.17", "22480.35"),
]


@pytest.mark.parametrize(("minute", "in_usd", "in_usdc", "kraken"), USDC_DEPEG)
def test_price_component__usdc_depeg_of_march_2023__index_stays_with_the_dollar(
    minute: int, in_usd: str, in_usdc: str, kraken: str
) -> None:
    """Taking USDC for USD put plain medians 6.9 % off. With a rate of its own, derived here from Binance.US's two books
    for three venues, USDC books count inside the band and are refused outside it; the index stays within 3 % of BTC/USD.
    """
    usdc = IndexId("USDC-USD")
    rate = IndexSpec(usdc, RATE.sources, min_quote_groups=1)
    coin = IndexSpec(
        BTC,
        (
            *(SourceSpec(SourceId(f"usd{n}"), "USD") for n in range(3)),
            SourceSpec(SourceId("binanceus"), "USDC"),
            SourceSpec(SourceId("kraken"), "USDC"),
        ),
        min_quote_groups=1,
        conversions={"USDC": PegSpec(usdc, e18("0.98"), e18("1.02"))},
    )
    par = f"{float(in_usd) / float(in_usdc):.8f}"
    quotes = board(
        *(quote(f"rate{n}", par) for n in range(3)),
        *(quote(f"usd{n}", in_usd) for n in range(3)),
        quote("binanceus", in_usdc),
        quote("kraken", kraken),
    )
    result = price_component((rate, coin), quotes, {}, NOW)[BTC]
    assert isinstance(result, IndexPrice)
    assert abs(result.price_e18 - e18(in_usd)) * 10_000 <= 10 * e18(in_usd)
    pegged = 0.98 <= float(par) <= 1.02
    assert any(refused.reason is Rejected.PEG for refused in result.rejected) is not pegged


@pytest.mark.parametrize("seed", range(8))
def test_votes_from_before__kept_or_not__give_the_same_results(seed: int) -> None:
    """Over sixty ticks in which quotes come, age, cross and return to what they were, and the rate moves or stands."""
    dice = Random(seed)
    quotes = market("1", "100", "100")
    kept: dict[IndexId, IndexPrice | Withheld] = {}
    reused = 0
    for tick in range(60):
        now = after(tick)
        for name in dice.sample(sorted(quotes), dice.randrange(len(quotes) // 2)):
            mid = "1" if name.startswith("rate") else "100"
            moved = dice.choice((mid, mid, str(float(mid) * 1.0001), str(float(mid) * 1.2)))
            fresh = quote(name, moved, at=now)
            quotes[name] = dice.choice(
                (fresh, fresh, replace(fresh, bid_e18=fresh.ask_e18, ask_e18=fresh.bid_e18), quotes[name])
            )
        alone = price_component((RATE, COIN), quotes, {}, now)
        again = price_component((RATE, COIN), quotes, {}, now, before=kept)
        assert again == alone
        before = {id(vote) for each in kept.values() for vote in each.inputs}
        reused += sum(id(vote) in before for each in again.values() for vote in each.inputs)
        kept = dict(again)
    assert reused > 60, "nothing was kept, so that nothing was tried"


def test_votes_from_before__of_another_rate_or_quote__do_not_stand() -> None:
    first = market("1", "100", "100")
    before = price_component((RATE, COIN), first, {}, NOW)
    second = {**first, **board(*(quote(f"rate{n}", "1.001") for n in range(3)), quote("usd0", "100.05"))}
    found = price_component((RATE, COIN), second, {}, NOW, before=before)[BTC]
    assert isinstance(found, IndexPrice)
    assert {vote.source: vote.price_e18 for vote in found.inputs}[SourceId("usdt0")] == e18("100.1")
    assert {vote.source: vote.price_e18 for vote in found.inputs}[SourceId("usd0")] == e18("100.05")


def test_rates__of_an_index_that_converts_nothing_or_plainly__have_nothing_to_tell() -> None:
    assert rates_of(usd("a", "b", "c"), {}) == ({}, False)
    priced = price_component((RATE, COIN), market("0.999", "100", "100.1"), {}, NOW)
    assert rates_of(COIN, priced) == ({"USDT": e18("0.999")}, False)
