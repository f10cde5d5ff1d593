"""Rate formulas against worked examples of venues' documents and contracts' tests."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from keeper.domain.exchange import MarketParameters
from keeper.domain.funding import INTEREST_PER_8H, INTEREST_PER_INTERVAL, funding_rate
from keeper.domain.numbers import E18, tdiv
from keeper.domain.rates import FUNDING_METHODS, presets, pushed, spread, velocity, votes
from keeper.domain.rates.borrow import Borrow, Lent, fee, next_rate
from keeper.domain.rates.clamped_premium import daily_clamped
from keeper.domain.rates.damper import damped
from keeper.domain.rates.growth import bounded_premium, owed_by_growth
from keeper.domain.rates.interest import interest_clamped
from keeper.domain.rates.limits import Limits, margin_cap
from keeper.domain.rates.method import Pool, RateFlag, Ratio, Span
from keeper.domain.rates.pace import Pace, Switching
from keeper.domain.rates.premium_only import smoothed
from keeper.domain.rates.sample import mark_premium
from keeper.domain.rates.velocity import Drifting
from tests.domain.rates.scenes import BP, DAWN_S, HUNDRED, blind, charged, look, steady
from tests.validation.data import e18, golden

GOLDEN = golden()


def parameters(**chosen: int) -> MarketParameters:
    names = (
        "im_factor_bps buffer_bps penalty_bps liquidator_bps lot_e18 min_notional_units max_notional_units max_oi_e18 "
        "maker_bps taker_bps band_bps max_price_age_s"
    )
    rest = dict.fromkeys(names.split(), 0)
    return MarketParameters(tiers=(), **{**rest, **chosen})  # type: ignore[arg-type]


def test_daily_clamp__of_the_worked_example__is_the_right_number_and_not_the_printed_one() -> None:
    printed = GOLDEN["seed_funding_WRONG"]
    given = {name: e18(printed["inputs"][name]) for name in ("premium", "clamp", "interest")}
    rate = daily_clamped(given["premium"], given["clamp"], given["interest"], printed["inputs"]["interval"])
    assert rate == 266_666_666_666_666
    assert round(Decimal(rate).scaleb(-18), 9) == Decimal("0.000266667")
    assert abs(rate - e18(printed["published"])) > E18 // 1_000, "0.001767 is a printed mistake"
    assert steady(presets.DailyClamp(), given["premium"]).rate_e18 == rate


def test_daily_clamp__of_the_other_example__is_the_same_once_the_clamp_is_not_dropped() -> None:
    vector = GOLDEN["seed_3100_example"]
    premium = mark_premium(vector["inputs"]["mark"] * E18, vector["inputs"]["index"] * E18)
    dropped = Decimal(daily_clamped(premium, E18, 0, 3)).scaleb(-18)
    assert abs(dropped - vector["published"]) <= Decimal(vector["tol"])
    assert daily_clamped(premium, 5 * BP, BP, 3) == 266_666_666_666_666


def test_interest_clamp__of_hyperliquids_example__follows_the_premium_outside_the_band() -> None:
    vector = GOLDEN["hyperliquid_doc"]
    assert interest_clamped(e18(vector["inputs"]["P"]), BP, 5 * BP) == e18(vector["published"])
    assert steady(presets.Hyperliquid(), E18 // 100).rate_e18 == e18(vector["published"]) // 8


@pytest.mark.parametrize("premium", [-(10**17), -7 * BP, -4 * BP, -1, 0, 1, 6 * BP, 6 * BP + 1, 10**16])
@pytest.mark.parametrize("interval_s", [3600, 14_400, 28_800])
def test_methods_of_the_reference_protocol__any_premium__are_what_its_contract_charges(
    premium: int, interval_s: int
) -> None:
    venue = presets.Plainly(interval_s=interval_s, every_s=600, cap=Ratio(E18 // 50))
    rules = parameters(funding_kind=INTEREST_PER_8H, interest_e18=BP, clamp_e18=5 * BP, cap_e18=E18 // 50)
    seen = steady(venue, premium)
    assert seen.rate_e18 == funding_rate(rules, interval_s, seen.premium_e18)
    daily = presets.DailyClamp(interval_s=interval_s, every_s=600, cap=Ratio(E18 // 50))
    rules = parameters(funding_kind=INTEREST_PER_INTERVAL, interest_e18=BP, clamp_e18=5 * BP, cap_e18=E18 // 50)
    assert steady(daily, premium).rate_e18 == funding_rate(rules, interval_s, seen.premium_e18)


def test_binance__four_hours__charges_half_and_weighs_late_samples_more() -> None:
    four = presets.Binance(interval_s=14_400)
    assert steady(four, 3 * BP).rate_e18 == BP // 2
    looks = (look(DAWN_S + at, 0 if at < 7_200 else 100 * BP) for at in range(0, 14_400, 5))
    n = 14_400 // 5
    weighted = Fraction(sum(range(n // 2 + 1, n + 1)), n * (n + 1) // 2) * 100 * BP
    assert abs(charged(four, looks).premium_e18 - weighted) < 2
    assert weighted > 74 * BP


def test_bitmex__while_funding_is_still_to_be_paid__adds_it_to_the_premium_and_bounds_the_change() -> None:
    method = presets.Bitmex()
    calm = charged(method, [look(DAWN_S, 0, mark_e18=HUNDRED)], last_e18=8 * BP, now_s=DAWN_S)
    assert calm.premium_e18 == 8 * BP
    half = charged(method, [look(DAWN_S + 14_400, 0, mark_e18=HUNDRED)], last_e18=8 * BP, now_s=DAWN_S + 14_400)
    assert half.flags == (RateFlag.THIN,)
    assert steady(method, 500 * BP, last_e18=-30 * BP).rate_e18 <= -30 * BP + 375 * BP // 10
    assert margin_cap(E18 // 100, E18 // 200, 7_500) == 375 * BP // 10 == method.cap


def test_okx__from_the_mid__has_no_dead_band_and_a_floor() -> None:
    assert steady(presets.Okx(), BP).rate_e18 == BP
    assert steady(presets.Okx(), -300 * BP).rate_e18 == -375 * BP // 10


def test_deribit__within_the_band__charges_nothing_and_outside_what_exceeds_it() -> None:
    band = E18 * 25 // 100_000
    assert damped(band, band) == damped(-band, band) == damped(0, band) == 0
    assert damped(band + 7, band) == 7
    assert damped(-band - 7, band) == -7
    method = presets.Deribit()
    looks = [blind(DAWN_S + at, HUNDRED + HUNDRED * 35 // 10_000) for at in range(0, 28_800, 30)]
    assert charged(method, looks).rate_e18 == 35 * BP - band
    assert charged(method, looks[:480], now_s=DAWN_S + 14_400).rate_e18 == (35 * BP - band) // 2, "by the millisecond"
    assert charged(method, looks[:1]).rate_e18 == (35 * BP - band) // 480, "one look holds for a minute only"


def test_ftx_and_coinbase__of_the_mark__are_a_day_in_24_parts_and_smoothed() -> None:
    assert steady(presets.Ftx(), 24 * BP).rate_e18 == BP
    assert steady(presets.CoinbaseIntx(), 24 * BP, last_e18=5 * BP).rate_e18 == BP * 3 // 4 + 5 * BP // 4
    assert smoothed(E18, 0, 3 * E18 // 4) == 3 * E18 // 4


def test_kraken__hourly__is_an_eighth_of_the_premium_and_capped() -> None:
    assert steady(presets.Kraken(), 8 * BP).rate_e18 == BP
    assert steady(presets.Kraken(), 100 * BP).rate_e18 == 10 * BP


def test_btse__small_rate__is_raised_to_the_least_one_but_zero_stays_zero() -> None:
    assert steady(presets.Btse(), 24).rate_e18 == BP // 10
    assert steady(presets.Btse(), -24).rate_e18 == -BP // 10
    assert steady(presets.Btse(), 0).rate_e18 == 0


def test_dydx_v3__without_premium__charges_an_eighth_of_a_basis_point() -> None:
    assert steady(presets.DydxV3(), 0).rate_e18 == BP // 8
    assert steady(presets.DydxV3(), 8 * BP).rate_e18 == BP + BP // 8


def test_hip3__from_impact_prices__has_no_dead_band_and_a_multiplier() -> None:
    assert steady(presets.Hip3(multiplier=Ratio(2 * E18)), 100 * BP).premium_e18 == 200 * BP
    with pytest.raises(ValueError, match="multiplier"):
        presets.Hip3(multiplier=Ratio(11 * E18))


def test_dydx_v1__bounds__are_those_of_the_contract() -> None:
    assert GOLDEN["dydx_v1_max_rate"]["published"] == pushed.MAX_ABS_VALUE
    assert GOLDEN["dydx_v1_max_diff_per_second"]["published"] == pushed.MAX_ABS_DIFF_PER_SECOND
    for name in ("dydx_v1_bound_1350s", "dydx_v1_bound_1351s"):
        assert pushed.bounded(0, E18, GOLDEN[name]["inputs"]["dt"]) == GOLDEN[name]["calc"]
        assert pushed.bounded(0, -E18, GOLDEN[name]["inputs"]["dt"]) == -GOLDEN[name]["calc"]
    settle = GOLDEN["dydx_v1_settle"]["inputs"]
    growth = pushed.index_growth(settle["price"] * E18, e18(settle["funding"]), 1)
    assert growth * settle["pos"] == GOLDEN["dydx_v1_settle"]["published"] * E18


def test_dydx_v1__hour_after_hour__moves_from_the_rate_that_is_stored() -> None:
    method = presets.DydxV1()
    first = steady(method, 1000 * BP)
    assert first.rate_e18 == pushed.MAX_ABS_VALUE * 3600
    assert first.flags == (RateFlag.CAPPED,)
    quarter = presets.DydxV1(interval_s=900, every_s=5)
    back = steady(quarter, -1000 * BP, last_e18=pushed.MAX_ABS_VALUE * 900)
    assert back.rate_e18 == (pushed.MAX_ABS_VALUE - pushed.MAX_ABS_DIFF_PER_SECOND * 900) * 900
    assert back.flags == (RateFlag.STEPPED,)


def test_dydx_v4__few_votes__are_filled_up_with_zeros() -> None:
    assert votes.sample_of([100] * 7, 15) == 0
    assert votes.sample_of([100] * 8, 15) == 100
    assert votes.sample_of([100] * 8, 16) == 50
    assert votes.sample_of([1, 2, 1000], 3) == 2
    assert votes.sample_of([-1, 0], 2) == 0, "toward zero"


def test_dydx_v4__an_hour__is_the_mean_of_its_minutes_bounded_by_margins() -> None:
    method = presets.DydxV4(default=Ratio(BP))
    half = (look(DAWN_S + at, 80 * BP) for at in range(1_800))
    found = charged(method, half)
    assert found.premium_e18 == 40 * BP
    assert found.rate_e18 == 41 * BP // 8
    assert found.seen_bps == 5_000
    assert steady(method, 5_000 * BP).rate_e18 == 6 * (E18 // 50) // 8


def test_dydx_v4__a_vote_far_off__counts_for_its_bound_only() -> None:
    method = presets.DydxV4(initial_margin=Ratio(110 * BP), maintenance_margin=Ratio(100 * BP))
    assert steady(method, 1_000 * BP).premium_e18 == 600 * BP


def test_dydx_v4__index_delta__is_cut_toward_zero() -> None:
    assert votes.index_delta(1_000, 3_600, 28_800_000_000) == tdiv(1_000 * 3_600 * 28_800_000_000, 28_800 * 10**6)
    assert votes.index_delta(-1, 3_600, 1) == 0
    assert votes.index_delta(1, 3_600, 1) == 0


def test_drift__difference_of_means__has_an_offset_a_dead_zone_and_a_bound() -> None:
    base = presets.Drift(every_s=60)
    flat = charged(base, (blind(DAWN_S + at) for at in range(0, 3_600, 60)))
    assert flat.rate_e18 == E18 // 5_000 // 24, "7.3 % a year"
    fork = presets.Drift(offset_per=3_333, dead_zone_per=2_000)
    assert fork.daily(HUNDRED + HUNDRED // 2_000, HUNDRED) == HUNDRED // 3_333
    assert fork.daily(HUNDRED + HUNDRED // 1_000, HUNDRED) == HUNDRED // 1_000 + HUNDRED // 3_333
    assert fork.daily(2 * HUNDRED, HUNDRED) == HUNDRED * (E18 // 33) // E18
    assert fork.daily(HUNDRED // 2, HUNDRED) == -(HUNDRED * (E18 // 33) // E18)


def test_drift__an_update_that_came_late__waits_for_the_hour_or_the_one_after() -> None:
    assert spread.next_wait_s(3_600, 0) == 3_600
    assert spread.next_wait_s(3_600, 1_200) == 2_400
    assert spread.next_wait_s(3_600, 1_201) == 5_999
    assert spread.refused(HUNDRED, HUNDRED, 500, index_valid=True) is None
    assert "not valid" in str(spread.refused(HUNDRED, HUNDRED, 500, index_valid=False))
    assert "apart" in str(spread.refused(106 * E18, HUNDRED, 500, index_valid=True))


def test_curie__of_its_own_test__owes_what_grew() -> None:
    vector = GOLDEN["curie_funding"]
    given = vector["inputs"]
    premium = bounded_premium(e18(given["mark"]), e18(given["index"]), E18 // 10)
    owed = Decimal(owed_by_growth(e18(given["base"]), premium * given["dt"])).scaleb(-18)
    assert abs(owed - vector["published"]) < Decimal("1e-11")
    assert bounded_premium(2 * HUNDRED, HUNDRED, E18 // 10) == HUNDRED // 10


def test_curie__while_the_market_stands_apart__grows_by_the_second() -> None:
    method = presets.Curie(every_s=60)
    looks = [blind(DAWN_S + at, 101 * E18) for at in range(0, 3_600, 60)]
    assert charged(method, looks).rate_e18 == E18 // 100 // 24
    halted = charged(method, looks[:31])
    assert halted.rate_e18 == E18 // 100 * 1_860 // 86_400, "a pause stands still after a minute"


def test_synthetix__of_its_own_example__moves_with_the_skew() -> None:
    vector = GOLDEN["synthetix_velocity"]
    found = velocity.rate_after(0, e18(vector["inputs"]["velocity"]), vector["inputs"]["dt"] * 1_000)
    assert abs(Decimal(found).scaleb(-18) - vector["published"]) < Decimal("1e-8")
    assert velocity.velocity(50, 100, 8) == 4
    assert velocity.velocity(-500, 100, 8) == -8, "at most the largest"
    assert velocity.owed_of(velocity.area(0, E18, velocity.DAY_MS)) == E18 // 2, "the mean of both ends"


def test_synthetix__pool_one_sided_for_a_day__charges_the_area_under_the_rate() -> None:
    method = presets.Synthetix(interval_s=86_400, max_velocity=Ratio(E18), skew_scale=Ratio(E18))
    pool = Pool(E18, 0, 0)
    looks = [look(DAWN_S + at, pool=pool) for at in range(0, 86_400, 60)]
    assert abs(charged(method, looks).rate_e18 - E18 // 2) < 2_000
    flat = presets.Synthetix(interval_s=86_400, max_velocity=Ratio(E18), skew_scale=Ratio(E18), flat=True)
    assert charged(flat, looks).rate_e18 == E18
    assert RateFlag.NO_POOL in charged(method, [look(DAWN_S)]).flags


def test_gmx_v1__inside_the_first_interval__owes_nothing() -> None:
    pool = Pool(0, 400, 1_000)
    assert next_rate(100, pool, 28_799, 28_800) == 0
    assert next_rate(100, pool, 2 * 28_800 + 1, 28_800) == 80
    assert next_rate(100, Pool(0, 1, 0), 28_800, 28_800) == 0
    assert fee(10**9, 180, 100) == 80_000
    assert (
        Borrow(factor=100).charge(Lent(pool), Span(DAWN_S, DAWN_S + 28_800), 0, blind(DAWN_S).now).rate_e18
        == 40 * E18 // 10**6
    )
    assert charged(presets.GmxV1(), [look(DAWN_S)]).flags == (RateFlag.NO_POOL,)


def test_limits__change_and_cap__cap_always_holds() -> None:
    limits = Limits(-10, 10, 3)
    assert limits.apply(9, 0) == (3, (RateFlag.STEPPED,))
    assert limits.apply(20, 12) == (10, (RateFlag.STEPPED, RateFlag.CAPPED))
    assert limits.apply(2, 0) == (2, ())
    assert Limits().apply(10**30, 0) == (10**30, ())
    assert limits.apply(15, 12) == (10, (RateFlag.CAPPED,)), "a change as large as allowed is not cut"
    assert limits.apply(10, 9) == limits.apply(13, 11) == (10, (RateFlag.CAPPED,)), (
        "at the cap by itself, it is there too"
    )
    assert Limits(0, 0).apply(0, 0) == (0, ())


def test_switching__at_the_cap__shortens_until_sixteen_calm_intervals() -> None:
    rule = Switching()
    pace = rule.after(Pace(), at_cap=False)
    assert pace == Pace(), "an interval that was never shortened stays"
    pace = rule.after(pace, at_cap=True)
    assert pace.interval_s == 3_600
    for _ in range(15):
        pace = rule.after(pace, at_cap=False)
    assert pace.interval_s == 3_600
    assert rule.after(pace, at_cap=True) == Pace(3_600, 0), "the count begins anew"
    assert rule.after(pace, at_cap=False) == Pace(14_400, 0)


@pytest.mark.parametrize("name", sorted(FUNDING_METHODS))
def test_method__each__says_where_it_is_from_and_how_far_it_is_proven(name: str) -> None:
    method = FUNDING_METHODS[name]
    assert method.name == name
    assert method.source
    assert method.grade.value


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"interval_s": 0}, "interval_s"),
        ({"offset_s": 28_800}, "offset_s"),
        ({"sample": "last"}, "sample must be one of impact"),
        ({"against": "moon"}, "against"),
        ({"weights": "square"}, "weights"),
        ({"missing": "carry"}, "missing"),
        ({"every_s": 0}, "every_s"),
        ({"min_coverage_pct": 101}, "min_coverage_pct"),
        ({"clamp": -1}, "clamp"),
        ({"period_s": 0}, "period_s"),
        ({"calm_intervals": 0}, "calm_intervals"),
    ],
)
def test_options__out_of_range__are_refused_by_name(options: dict[str, int], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        presets.Binance(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"period_s": 0}, "period_s"),
        ({"low": 2, "high": 1}, "low lies above high"),
        ({"least": -1}, "least"),
        ({"fresh": 0}, "fresh"),
        ({"fresh": E18 + 1}, "fresh"),
    ],
)
def test_options__of_a_premium_alone__out_of_range__are_refused_by_name(
    options: dict[str, int], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        presets.Okx(**options)  # type: ignore[arg-type]


def test_options__of_a_premium_alone__at_their_bounds__are_taken() -> None:
    for options in ({"period_s": 1}, {"low": 1, "high": 1}, {"least": 0}, {"fresh": 1}, {"fresh": E18}):
        presets.Okx(**options)  # type: ignore[arg-type]


def test_synthetix__over_a_boundary__keeps_its_rate_and_owes_nothing_yet() -> None:
    before = Drifting(5, 3, 1_000, 7, 9)
    assert presets.Synthetix().opened(before) == Drifting(5, 3, 1_000, 0, 0)
    assert presets.Synthetix().opened(None) == Drifting()
