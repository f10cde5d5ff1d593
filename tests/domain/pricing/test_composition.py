"""Everything that an index may ask for beyond the plain way: ladder, groups, caps, rounding, trades, de-peg policies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.caps import Caps
from keeper.domain.composition import Given, composed_price
from keeper.domain.ids import IndexId, SourceId
from keeper.domain.index import (
    IndexFlag,
    IndexPrice,
    IndexSpec,
    PegSpec,
    Rejected,
    SourceSpec,
    Withheld,
    WithheldReason,
    index_price,
)
from keeper.domain.index_methods import (
    ClampedWeightedMean,
    IndexMethod,
    Median,
    QuoteGroupMedian,
    TrimmedMean,
    Vwap,
    WeightedMean,
    WeightedMedian,
)
from keeper.domain.index_spec import CrossCheck, OnDepeg
from keeper.domain.index_state import START, IndexState, Traded, restored_state
from keeper.domain.ladder import LADDERS, Ladder, Rung
from keeper.domain.outlier_rules import Clamp, Exclude, HalveThenExclude, ZeroWeight
from keeper.domain.pricing import components, price_component, rates_behind
from keeper.domain.quote import Quote
from keeper.domain.rounding import Rounding, RoundingMode
from keeper.domain.time import SECOND, Timestamp
from tests.domain.pricing.builders import BTC, LAW, NOW, USDT, after, board, e18, quote, spec, usd

ABC = ("a", "b", "c")


def told(prices: Mapping[str, str | int], at: Timestamp = NOW) -> dict[SourceId, Quote]:
    return board(*(quote(name, price, at=at) for name, price in prices.items()))


def composed(
    plan: IndexSpec,
    prices: Mapping[str, str | int],
    *,
    last: str | int | None = None,
    state: IndexState = START,
    at: Timestamp = NOW,
    traded: Mapping[SourceId, Traded] | None = None,
) -> IndexPrice | Withheld:
    given_ = Given(None if last is None else e18(last), state, traded or {})
    return composed_price(plan, told(prices, at), {}, given_, at)


def price(found: IndexPrice | Withheld) -> int:
    assert isinstance(found, IndexPrice), found
    return found.price_e18


def reason(found: IndexPrice | Withheld) -> WithheldReason:
    assert isinstance(found, Withheld), found
    return found.reason


# ---- the plain way and this one


@pytest.mark.parametrize(
    "method", [Median(), WeightedMedian(), WeightedMean(), ClampedWeightedMean(), TrimmedMean()], ids=str
)
@LAW
@given(
    prices=st.lists(st.integers(9_700, 10_300) | st.integers(1, 10**6), min_size=3, max_size=9),
    weights=st.lists(st.integers(1, 9), min_size=9, max_size=9),
    last=st.none() | st.integers(9_000, 11_000),
    missing=st.integers(0, 3),
)
def test_composed__without_a_choice__says_what_the_plain_way_says(
    method: IndexMethod, prices: list[int], weights: list[int], last: int | None, missing: int
) -> None:
    names = [f"v{number}" for number in range(len(prices))]
    sources = tuple(SourceSpec(SourceId(name), "USD", weights[number]) for number, name in enumerate(names))
    plan = replace(usd(*names, method=method, allow_two=True), sources=sources)
    quotes = {
        SourceId(name): Quote(SourceId(name), NOW, NOW, last_e18=told_)
        for name, told_ in list(zip(names, prices, strict=True))[missing:]
    }
    assert not plan.composed
    plain = index_price(plan, quotes, {}, last, NOW)
    assert composed_price(plan, quotes, {}, Given(last, START, {}), NOW) == plain


@pytest.mark.parametrize(
    "choice",
    [
        {"outliers": Clamp()},
        {"ladder": Ladder(two=Rung.USUAL)},
        {"rounding": Rounding(RoundingMode.TRUNCATE, 1)},
        {"caps": Caps(5000), "method": WeightedMean()},
        {"cross_check": CrossCheck()},
        {"min_operators": 2},
        {"method": Vwap()},
    ],
    ids=str,
)
def test_spec__with_a_choice__is_composed(choice: dict[str, object]) -> None:
    assert usd(*ABC, **choice).composed
    assert not usd(*ABC).composed


# ---- rounding


def test_rounding__comes_last_and_leaves_the_exact_price_for_the_next_step() -> None:
    """SOPH-USDT of OKX: truncated to six places, not rounded."""
    plan = usd(*ABC, method=WeightedMean(), rounding=Rounding(RoundingMode.TRUNCATE, e18("0.000001")))
    found = composed(plan, {"a": "0.0052667", "b": "0.0052666", "c": "0.0052667"})
    assert price(found) == e18("0.005266")
    assert isinstance(found, IndexPrice)
    assert found.raw_e18 == found.exact_e18 == e18("0.015800") // 3


def test_rounding__to_nothing__is_no_price() -> None:
    plan = usd(*ABC, rounding=Rounding(RoundingMode.TRUNCATE, e18(1)))
    assert reason(composed(plan, dict.fromkeys(ABC, "0.5"))) is WithheldReason.UNREPRESENTABLE


def test_rounding__of_a_rate__does_not_reach_what_it_converts() -> None:
    rate = IndexSpec(
        USDT,
        tuple(SourceSpec(SourceId(f"r{n}"), "USD") for n in range(3)),
        min_quote_groups=1,
        rounding=Rounding(RoundingMode.HALF_UP, e18("0.01")),
    )
    coin = spec(dict.fromkeys(ABC, "USDT"))
    quotes = told({**{f"r{n}": "0.999" for n in range(3)}, **dict.fromkeys(ABC, 100)})
    found = price_component([rate, coin], quotes, {}, NOW)
    assert price(found[USDT]) == e18(1)
    assert price(found[BTC]) == e18("99.9")


# ---- the ladder

COMPUTED = IndexState(computed_at=after(-30), stepped_at=after(-1))
OKX = LADDERS["okx"]
BITMEX = LADDERS["bitmex"]
BINANCE = LADDERS["binance"]
NONE: dict[str, str | int] = {}


@pytest.mark.parametrize(
    ("ladder", "prices", "expected", "flags"),
    [
        # three: as usual, whatever the ladder
        (OKX, {"a": 100, "b": 100, "c": 104}, 101, ()),
        (BITMEX, {"a": 100, "b": 100, "c": 104}, 101, ()),
        # two
        (Ladder(), {"a": 100, "b": 101}, None, ()),
        (OKX, {"a": 100, "b": 102}, 101, (IndexFlag.TWO_SOURCES,)),
        (BINANCE, {"a": 100, "b": 103}, 102, (IndexFlag.TWO_SOURCES,)),  # weights 1 and 2
        (BITMEX, {"a": 100, "b": 103}, 102, (IndexFlag.TWO_SOURCES,)),
        (BITMEX, {"a": 100, "b": "112.5"}, "108.333333333333333333", (IndexFlag.TWO_SOURCES,)),
        (BITMEX, {"a": 100, "b": "112.6"}, 100, (IndexFlag.HELD,)),
        (Ladder(two=Rung.HOLD), {"a": 100, "b": 101}, 100, (IndexFlag.HELD,)),
        # one
        (Ladder(), {"a": 100}, None, ()),
        (OKX, {"a": 150}, 150, (IndexFlag.ONE_SOURCE,)),
        (BINANCE, {"a": 150}, 150, (IndexFlag.ONE_SOURCE,)),
        (BITMEX, {"a": 125}, 125, (IndexFlag.ONE_SOURCE,)),
        (BITMEX, {"a": 126}, 100, (IndexFlag.HELD,)),
        (BITMEX, {"a": 74}, 100, (IndexFlag.HELD,)),
        # none
        (Ladder(), NONE, None, ()),
        (BINANCE, NONE, None, ()),
        (OKX, NONE, 100, (IndexFlag.HELD,)),
        (BITMEX, NONE, 100, (IndexFlag.HELD,)),
    ],
)
def test_ladder__table(
    ladder: Ladder, prices: dict[str, str | int], expected: str | int | None, flags: tuple[IndexFlag, ...]
) -> None:
    """The last index is 100."""
    sources = tuple(SourceSpec(SourceId(name), "USD", weight) for name, weight in zip(ABC, (1, 2, 1), strict=True))
    plan = replace(usd(*ABC, method=WeightedMean(), outliers=Clamp(9000), ladder=ladder), sources=sources)
    found = composed(plan, prices, last=100, state=COMPUTED)
    if expected is None:
        assert reason(found) is WithheldReason.SOURCES
        return
    assert isinstance(found, IndexPrice)
    assert (found.price_e18, found.flags) == (e18(expected), flags)
    assert found.degraded is bool(flags)


@pytest.mark.parametrize("rung", [Rung.HOLD, Rung.WITHHOLD])
@pytest.mark.parametrize("count", range(6))
def test_ladder__below_a_quorum_above_three__what_two_do_more_do_likewise(rung: Rung, count: int) -> None:
    """Five are wanted. Four know more than two: they are not without a price where two have one."""
    names = ("a", "b", "c", "d", "e")
    plan = usd(*names, min_sources=5, ladder=Ladder(two=rung, one=rung, none=rung))
    found = composed(plan, dict.fromkeys(names[:count], 101), last=100, state=COMPUTED)
    if count == 5:
        assert (price(found), getattr(found, "flags", None)) == (e18(101), ())
    elif rung is Rung.HOLD:
        assert isinstance(found, IndexPrice)
        assert (found.price_e18, found.flags, found.as_of) == (e18(100), (IndexFlag.HELD,), after(-30))
    else:
        assert isinstance(found, Withheld)
        assert (found.reason, found.detail) == (WithheldReason.SOURCES, f"{count} of 5 sources")


def test_ladder__held_by_more_than_two__ends_with_its_time() -> None:
    plan = usd("a", "b", "c", "d", min_sources=4, ladder=Ladder(*[Rung.HOLD] * 3, hold_max_ns=30 * SECOND))
    told_ = dict.fromkeys(ABC, 101)
    assert price(composed(plan, told_, last=100, state=COMPUTED)) == e18(100)
    assert (
        reason(composed(plan, told_, last=100, state=replace(COMPUTED, computed_at=after(-31))))
        is WithheldReason.SOURCES
    )


def test_ladder__held__has_the_age_of_what_is_held_and_ends() -> None:
    plan = usd(*ABC, ladder=Ladder(Rung.HOLD, Rung.HOLD, Rung.HOLD, hold_max_ns=60 * SECOND))
    made = composed(plan, dict.fromkeys(ABC, 100))
    assert isinstance(made, IndexPrice)
    assert made.fold is not None
    state = made.fold.after
    for seconds in (1, 59, 60):
        held = composed(plan, {"a": 101}, last=100, state=state, at=after(seconds))
        assert isinstance(held, IndexPrice)
        assert (held.price_e18, held.as_of, held.oldest()) == (e18(100), NOW, NOW)
        assert held.fold is not None
        state = held.fold.after
    assert reason(composed(plan, {"a": 101}, last=100, state=state, at=after(61))) is WithheldReason.SOURCES


def test_ladder__nothing_to_hold__withholds() -> None:
    plan = usd(*ABC, ladder=OKX)
    assert reason(composed(plan, {}, last=None)) is WithheldReason.SOURCES
    assert reason(composed(plan, {}, last=100, state=START)) is WithheldReason.SOURCES, "nobody knows how old it is"


def test_ladder__near_last_without_a_last__withholds() -> None:
    assert reason(composed(usd(*ABC, ladder=BITMEX), {"a": 100})) is WithheldReason.SOURCES


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Ladder(one=Rung.USUAL), "upside down"),
        (lambda: Ladder(none=Rung.HOLD), "upside down"),
        (lambda: Ladder(Rung.USUAL, Rung.USUAL, Rung.EQUAL), "withheld or held"),
        (lambda: Ladder(two_reach_bps=0), "two_reach_bps"),
        (lambda: Ladder(hold_max_ns=0), "hold_max"),
    ],
)
def test_ladder__impossible__is_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(("names", "why"), [("ab", WithheldReason.QUOTE_GROUPS), ("ac", None), ("bc", None)])
def test_ladder__two_of_one_currency__are_not_two_witnesses(names: str, why: WithheldReason | None) -> None:
    plan = spec({"a": "USD", "b": "USD", "c": "USDT"}, ladder=Ladder(two=Rung.EQUAL), min_quote_groups=2)
    found = composed_price(plan, told(dict.fromkeys(names, 100)), {"USDT": e18(1)}, Given(None, START, {}), NOW)
    assert (found.reason if isinstance(found, Withheld) else None) is why


def test_ladder__two_of_one_company__are_not_two_witnesses() -> None:
    names = ("okx:X", "okcoin:X", "kraken:X")
    plan = usd(*names, ladder=Ladder(two=Rung.EQUAL), min_operators=2)
    assert reason(composed(plan, dict.fromkeys(names[:2], 100))) is WithheldReason.OPERATORS
    assert price(composed(plan, dict.fromkeys(names[1:], 100))) == e18(100)


# ---- operators and caps


def test_operators__two_venues_of_one_company__count_once() -> None:
    names = ("okx:X", "okcoin:X", "kraken:X")
    plan = usd(*names, min_operators=2)
    assert price(composed(plan, dict.fromkeys(names, 100))) == e18(100)
    four = usd(*names, "binance:X", min_operators=3)
    assert reason(composed(four, dict.fromkeys(names, 100))) is WithheldReason.OPERATORS
    with pytest.raises(ValueError, match="min_operators 3 does not fit its 2 operators"):
        usd(*names, min_operators=3)


def test_operators__named_by_the_operator__decide() -> None:
    sources = tuple(SourceSpec(SourceId(name), "USD", operator="same") for name in ABC)
    with pytest.raises(ValueError, match="its 1 operators"):
        replace(usd(*ABC), sources=sources, min_operators=2)


@pytest.mark.parametrize("own", ["okx", "okcoin"])
def test_own_venue__or_one_of_its_company__cannot_price_its_own_index(own: str) -> None:
    with pytest.raises(ValueError, match="okx:X is the market's own venue"):
        usd("okx:X", "kraken:X", "binance:X", own_venue=own)
    assert usd("kraken:X", "binance:X", "bybit:X", own_venue=own)


def test_caps__heavy_venue__counts_no_more_than_its_share() -> None:
    sources = tuple(SourceSpec(SourceId(name), "USD", weight) for name, weight in zip(ABC, (98, 1, 1), strict=True))
    plan = replace(usd(*ABC, method=WeightedMean(), outliers=Clamp(), caps=Caps(4000)), sources=sources)
    assert 0 <= e18("100.4") - price(composed(plan, {"a": 101, "b": 100, "c": 100})) <= 2, "up to the roundings"


def test_caps__that_the_rest_cannot_keep__withhold() -> None:
    plan = spec(
        {"a": "USD", "b": "USDT", "c": "USDT", "d": "USDT"},
        method=WeightedMean(),
        caps=Caps(quote_group_bps=6000),
    )
    quotes = told(dict.fromkeys("bcd", 100))
    found = composed_price(plan, quotes, {"USDT": e18(1)}, Given(None, START, {}), NOW)
    assert reason(found) is WithheldReason.CAPS


# ---- quote groups

GROUPS = {"a": "USD", "b": "USDT", "c": "USDT", "d": "USDC", "e": "USDC"}


def by_groups(groups: Mapping[str, str], **options: object) -> IndexSpec:
    return spec(groups, **({"method": QuoteGroupMedian(), "min_quote_groups": 2, "conversions": {}} | options))


def test_quote_group_median__is_the_median_of_the_groups_without_conversion() -> None:
    found = composed(by_groups(GROUPS), {"a": 100, "b": "100.2", "c": "100.4", "d": "100.7", "e": "100.9"})
    assert price(found) == e18("100.3")
    assert isinstance(found, IndexPrice)
    assert found.flags == ()


def test_quote_group_median__one_currency_breaks__the_own_currency_decides_and_it_is_flagged() -> None:
    found = composed(by_groups(GROUPS), {"a": 100, "b": "100.2", "c": "100.4", "d": 107, "e": 108})
    assert price(found) == e18("100.3")
    assert isinstance(found, IndexPrice)
    assert found.flags == (IndexFlag.GROUPS_APART,)
    assert found.degraded


def test_quote_group_median__without_the_own_currency__withholds_while_groups_disagree() -> None:
    """Nobody can say which of the two lost its peg, however many quotes it has."""
    plan = by_groups({name: group for name, group in GROUPS.items() if group != "USD"}, min_sources=3)
    agree = {"b": 100, "c": 100, "d": 101, "e": 101}
    assert price(composed(plan, agree)) == e18("100.5")
    assert reason(composed(plan, {**agree, "d": "101.02", "e": "101.02"})) is WithheldReason.GROUPS_APART
    wide = replace(plan, method=QuoteGroupMedian(200))
    assert price(composed(wide, {**agree, "d": "101.02", "e": "101.02"})) == e18("100.51")


def test_quote_group_median__own_currency_far_from_the_result__withholds() -> None:
    found = composed(by_groups(GROUPS), {"a": 100, "b": 103, "c": 103, "d": 103, "e": 103})
    assert reason(found) is WithheldReason.GROUPS_APART


def test_quote_group_median__one_group_left__withholds() -> None:
    plan = by_groups({**GROUPS, "f": "USDT"})
    found = composed(plan, dict.fromkeys("bcf", 100))
    assert reason(found) is WithheldReason.QUOTE_GROUPS


def test_quote_group_median__outliers__are_judged_within_their_group() -> None:
    """Three venues of one currency do not outvote another currency's one, but one of themselves."""
    plan = by_groups({"a": "USD", "b": "USDT", "c": "USDT", "d": "USDT", "e": "USDT"})
    found = composed(plan, {"a": 100, "b": "100.5", "c": "100.5", "d": "100.5", "e": 130})
    assert price(found) == e18("100.25")
    assert [(each.source, each.reason) for each in found.rejected] == [("e", Rejected.OUTLIER)]


@LAW
@given(
    members=st.lists(st.lists(st.integers(99_900, 100_100), min_size=1, max_size=4), min_size=2, max_size=4),
    hostile=st.integers(1, 10**7),
)
def test_quote_group_median__a_whole_currency_hostile__stays_between_the_others(
    members: list[list[int]], hostile: int
) -> None:
    """Fewer than half of the groups; the own currency is honest, so that there is a price."""
    groups = {f"{n}.{k}": "USD" if n == 0 else f"S{n}" for n, found in enumerate(members) for k in range(len(found))}
    quotes = {f"{n}.{k}": value for n, found in enumerate(members) for k, value in enumerate(found)}
    if len(quotes) < 3:
        return
    plan = by_groups({**groups, "h": "BAD"}, outliers=Clamp(9999))
    found = composed(plan, {**quotes, "h": hostile})
    if len(members) >= 2 and isinstance(found, IndexPrice):
        assert e18(min(quotes.values())) <= found.price_e18 <= e18(max(quotes.values()))


# ---- rates: de-peg policies, alert, degraded rates, cross-check

RATE = IndexSpec(USDT, tuple(SourceSpec(SourceId(f"r{n}"), "USD") for n in range(3)), min_quote_groups=1)


def converted(
    rate: str, *, usd_price: int = 100, peg: PegSpec | None = None, **options: object
) -> IndexPrice | Withheld:
    """Three venues in USD and two in USDT, whose prices are in step with `rate`, unless it is withheld (empty)."""
    coin = spec(
        {**dict.fromkeys(ABC, "USD"), "d": "USDT", "e": "USDT"},
        conversions={"USDT": peg or PegSpec(USDT, e18("0.98"), e18("1.02"), 50)},
        **options,
    )
    stated = e18(100) * 10**18 // e18(rate or "1")
    quotes = told({**{f"r{n}": rate for n in range(3) if rate}, **dict.fromkeys(ABC, usd_price)})
    for name in ("d", "e"):
        quotes[SourceId(name)] = Quote(SourceId(name), NOW, NOW, last_e18=stated)
    return price_component([RATE, coin], quotes, {}, NOW)[BTC]


@pytest.mark.parametrize("policy", list(OnDepeg))
@pytest.mark.parametrize("rate", ["0.97", ""], ids=["outside", "withheld"])
def test_depeg__policy__drops_the_group_or_withholds_the_index(rate: str, policy: OnDepeg) -> None:
    found = converted(rate, peg=PegSpec(USDT, e18("0.98"), e18("1.02"), on_depeg=policy))
    if policy is OnDepeg.WITHHOLD:
        assert reason(found) is WithheldReason.DEPEG
        assert isinstance(found, Withheld)
        assert found.detail.startswith("USDT: USDT-USD ")
    else:
        assert price(found) == e18(100)
        assert len(found.inputs) == 3


@pytest.mark.parametrize(
    ("rate", "flags"), [("0.995", ()), ("0.9949", (IndexFlag.PEG_ALERT,)), ("1.0051", (IndexFlag.PEG_ALERT,))]
)
def test_peg_alert__further_from_par__is_told_and_no_doubt(rate: str, flags: tuple[IndexFlag, ...]) -> None:
    found = converted(rate)
    assert isinstance(found, IndexPrice)
    assert (found.flags, found.degraded) == (flags, False)


def test_rate__degraded__degrades_what_it_converts() -> None:
    rate = replace(RATE, ladder=OKX)
    coin = spec({**dict.fromkeys(ABC, "USD"), "d": "USDT"}, conversions={"USDT": PegSpec(USDT)})
    quotes = told({"r0": 1, **dict.fromkeys("abcd", 100)})
    found = price_component([rate, coin], quotes, {}, NOW)[BTC]
    assert isinstance(found, IndexPrice)
    assert found.flags == (IndexFlag.DEGRADED_RATE,)
    alone = price_component([rate, coin], told({"r0": 1, **dict.fromkeys(ABC, 100)}), {}, NOW)[BTC]
    assert isinstance(alone, IndexPrice)
    assert alone.flags == (), "no vote was converted by it"


@pytest.mark.parametrize("withhold", [False, True])
def test_cross_check__converted_far_from_the_groups__is_flagged_or_withheld(withhold: bool) -> None:
    """A rate of 0.985 that the market does not see: the USDT quotes say 100, as those in USD do."""
    coin = spec({**dict.fromkeys(ABC, "USDT"), "d": "USD"}, cross_check=CrossCheck(100, withhold))
    quotes = told({**{f"r{n}": "0.985" for n in range(3)}, **dict.fromkeys("abcd", 100)})
    found = price_component([RATE, coin], quotes, {}, NOW)[BTC]
    if withhold:
        assert reason(found) is WithheldReason.CROSS_CHECK
    else:
        assert isinstance(found, IndexPrice)
        assert IndexFlag.CROSS_CHECK in found.flags
    near = told({**{f"r{n}": "0.995" for n in range(3)}, **dict.fromkeys("abcd", 100)})
    agreed = price_component([RATE, coin], near, {}, NOW)[BTC]
    assert isinstance(agreed, IndexPrice)
    assert agreed.flags == ()


def test_rates_behind__of_each_index__are_all_that_convert_for_it() -> None:
    middle = IndexSpec(
        IndexId("USDC-USD"), tuple(SourceSpec(SourceId(f"m{n}"), "USDT") for n in range(3)), min_quote_groups=1,
        conversions={"USDT": PegSpec(USDT)},
    )  # fmt: skip
    coin = spec(dict.fromkeys(ABC, "USDC"), conversions={"USDC": PegSpec(IndexId("USDC-USD"))})
    (group,) = components([coin, middle, RATE])
    assert rates_behind(group) == {USDT: (), IndexId("USDC-USD"): (USDT,), BTC: (IndexId("USDC-USD"), USDT)}


# ---- trades


def test_vwap__votes__are_the_averages_weighted_by_volume() -> None:
    """Seed: the volume-weighted average of each venue, and the median of these by volume."""
    traded = {
        SourceId("a"): Traded(e18(100), e18(1)),
        SourceId("b"): Traded(e18("100.2"), e18(5)),
        SourceId("c"): Traded(e18("100.4"), e18(2)),
    }
    quotes = dict.fromkeys(ABC, 90)
    by_median = composed(usd(*ABC, method=Vwap()), quotes, traded=traded)
    assert price(by_median) == e18("100.2")
    by_mean = composed(usd(*ABC, method=Vwap(combine_by="mean")), quotes, traded=traded)
    assert price(by_mean) == e18("100.225")
    assert isinstance(by_mean, IndexPrice)
    assert by_mean.fold is not None
    assert by_mean.fold.traded == traded
    assert [vote.stated_e18 for vote in by_mean.inputs] == [e18(100), e18("100.2"), e18("100.4")]


def test_vwap__source_without_trades_or_without_a_fresh_quote__does_not_vote() -> None:
    traded = {SourceId(name): Traded(e18(100), e18(1)) for name in ("a", "b", "c", "e")}
    found = composed(usd("a", "b", "c", "d", "e", method=Vwap()), dict.fromkeys("abcd", 100), traded=traded)
    assert price(found) == e18(100)
    assert {(each.source, each.reason) for each in found.rejected} == {
        ("d", Rejected.MISSING),
        ("e", Rejected.MISSING),
    }


def test_vwap__symbol_of_a_thousand__counts_its_volume_in_single_units() -> None:
    sources = (
        SourceSpec(SourceId("a"), "USD", multiplier_e18=10**15),
        *(SourceSpec(SourceId(name), "USD") for name in ("b", "c")),
    )
    plan = replace(usd(*ABC, method=Vwap(combine_by="mean"), outliers=Clamp()), sources=sources)
    traded = {
        SourceId("a"): Traded(e18("5.04"), e18(1)),  # a thousand units at 0.00504
        SourceId("b"): Traded(e18("0.005"), e18(500)),
        SourceId("c"): Traded(e18("0.005"), e18(500)),
    }
    quotes = {SourceId(name): Quote(SourceId(name), NOW, NOW, last_e18=1000) for name in ABC}
    found = composed_price(plan, quotes, {}, Given(None, START, traded), NOW)
    assert price(found) == e18("0.00502")


# ---- rules with a memory, through the component


def steps(plan: IndexSpec, ticks: list[tuple[float, dict[str, str | int]]]) -> list[IndexPrice | Withheld]:
    """Each state as it comes back from its document, as over a restart."""
    states, last, seen = dict[IndexId, IndexState](), dict[IndexId, int](), []
    for seconds, prices in ticks:
        found = price_component([plan], told(prices, after(seconds)), last, after(seconds), states)[plan.id]
        assert found.fold is not None
        assert found.fold.before == states.get(plan.id, START)
        states[plan.id] = restored_state(found.fold.after.to_plain())
        assert states[plan.id] == found.fold.after
        if isinstance(found, IndexPrice):
            last[plan.id] = found.exact_e18
        seen.append(found)
    return seen


def test_exclude__in_an_index__leaves_and_returns() -> None:
    plan = usd("a", "b", "c", "d", method=WeightedMean(), outliers=Exclude(return_s=60))
    good: dict[str, str | int] = dict.fromkeys("abcd", 100)
    found = steps(
        plan,
        [
            (0, good),
            (1, {**good, "d": 200}),
            (2, {**good, "d": 102}),
            (61, {**good, "d": 102}),
            (62, {**good, "d": 102}),
        ],
    )
    assert [price(each) for each in found] == [e18(100), e18(100), e18(100), e18(100), e18("100.5")]
    assert [len(each.rejected) for each in found] == [0, 1, 1, 1, 0]


def test_halve_then_exclude__in_an_index__halves_and_then_drops() -> None:
    plan = usd("a", "b", "c", "d", method=WeightedMean(), outliers=HalveThenExclude(300, 30))
    off: dict[str, str | int] = {**dict.fromkeys("abc", 100), "d": 120}
    found = steps(plan, [(0, off), (29, off), (30, off)])
    half = e18(100) + e18(3) // 7
    assert [price(each) for each in found] == [half, half, e18(100)]


def test_zero_weight__two_deviate__the_median_of_all_decides_and_it_is_flagged() -> None:
    plan = usd("a", "b", "c", "d", "e", method=WeightedMean(), outliers=ZeroWeight())
    found = composed(plan, {"a": 100, "b": 101, "c": 102, "d": 150, "e": 160})
    assert price(found) == e18(102)
    assert isinstance(found, IndexPrice)
    assert found.flags == (IndexFlag.MEDIAN,)


def test_state__unlike_a_document_of_one__is_refused() -> None:
    for wrong in ({}, {"watched": [], "computed_at": None, "stepped_at": None}, {"watched": {}, "computed_at": "x"}):
        with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
            restored_state(wrong)


# ---- specs


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ladder": OKX, "min_sources": 4}, "ladder: pricing on two or one contradicts min_sources above 3"),
        ({"ladder": OKX, "min_operators": 2}, "ladder: pricing on one source contradicts"),
        ({"ladder": Ladder(two=Rung.EQUAL), "min_operators": 3}, "ladder: pricing on two sources contradicts"),
        ({"ladder": OKX, "allow_two": True}, "ladder: it says what two sources do"),
        ({"ladder": OKX, "caps": Caps(5000), "method": WeightedMean()}, "ladder: pricing on so few"),
        ({"ladder": Ladder(two=Rung.EQUAL), "caps": Caps(4000), "method": WeightedMean()}, "ladder: pricing on so few"),
        ({"method": TrimmedMean(2)}, "trim 2 needs min_sources above 4"),
        ({"caps": Caps(5000)}, "caps: median counts by number"),
        ({"caps": Caps(2000), "method": WeightedMean()}, "caps: venue_bps 2000 leaves no weights to 4"),
        ({"method": QuoteGroupMedian()}, "min_quote_groups must be at least 2"),
        ({"min_operators": 5}, "min_operators 5 does not fit its 4 operators"),
        ({"min_operators": 0}, "min_operators 0"),
    ],
)
def test_spec__choices_that_contradict__are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        usd("a", "b", "c", "d", **options)


def test_spec__group_median_with_conversions_or_a_cross_check__is_refused() -> None:
    with pytest.raises(ValueError, match="without conversion"):
        by_groups(GROUPS, conversions={"USDT": PegSpec(USDT)})
    with pytest.raises(ValueError, match="cross_check"):
        by_groups(GROUPS, cross_check=CrossCheck())
    with pytest.raises(ValueError, match="max_bps"):
        CrossCheck(0)
    with pytest.raises(ValueError, match="alert_bps"):
        PegSpec(USDT, alert_bps=0)


def test_caps__where_too_many_deviate__bind_the_median_too() -> None:
    """Three venues of one company have two fifths of the say, as a vote that is judged and as one of the median of all."""
    names = ("x1", "x2", "x3", "a", "b", "c")
    plan = usd(*names, method=WeightedMean(), outliers=ZeroWeight(500, 1), caps=Caps(operator_bps=4000))
    sources = tuple(replace(each, operator="x" if each.source.startswith("x") else None) for each in plan.sources)
    plan = replace(plan, sources=sources)
    hostile = {**dict.fromkeys(("x1", "x2", "x3"), 120), "a": 100, "b": "100.2", "c": "100.4"}
    found = composed(plan, {name: value for name, value in hostile.items() if name != "c"})
    assert isinstance(found, IndexPrice)
    assert (found.flags, found.price_e18) == ((IndexFlag.MEDIAN,), e18("100.2"))
    even = composed(plan, hostile)
    assert price(even) < e18(101)
    assert price(composed(replace(plan, caps=None), {k: v for k, v in hostile.items() if k != "c"})) == e18(120)


def test_caps__with_a_clamped_mean__bind_the_centre_of_its_clamp() -> None:
    """Three of five venues are one company's: clamped around it, the honest would be drawn to it."""
    names = ("x1", "x2", "x3", "a", "b")
    plan = usd(*names, method=ClampedWeightedMean(50), caps=Caps(operator_bps=4000))
    sources = tuple(replace(each, operator="x" if each.source.startswith("x") else None) for each in plan.sources)
    plan = replace(plan, sources=sources)
    prices: dict[str, str | int] = {**dict.fromkeys(("x1", "x2", "x3"), "100.9"), "a": 100, "b": 100}
    found = composed(plan, prices)
    assert isinstance(found, IndexPrice)
    assert (found.price_e18, found.flags) == (
        e18("100.199999999999999999"),
        (IndexFlag.LIMITED,),
    )  # thirds, rounded down
    alike = composed(plan, dict.fromkeys(names, 100))
    assert isinstance(alike, IndexPrice)
    assert alike.flags == ()


@pytest.mark.parametrize("combine_by", ["median", "mean"])
def test_vwap__volumes_below_a_unit_of_weight__are_a_price_all_the_same(combine_by: Literal["median", "mean"]) -> None:
    """Dust of a symbol that is a thousandth: less than the smallest number, and no reason to fail."""
    plan = usd("a", "b", "c", method=Vwap(combine_by=combine_by))
    plan = replace(plan, sources=tuple(replace(each, multiplier_e18=e18(1_000)) for each in plan.sources))
    traded = {source.source: Traded(e18("0.1"), 1) for source in plan.sources}
    quotes = board(*[quote(name, "0.1") for name in "abc"])
    found = price_component((plan,), quotes, {}, NOW, traded={BTC: traded})[BTC]
    assert isinstance(found, IndexPrice)
    assert found.price_e18 == e18(100)
