"""Marks of venues with a handful of observations each."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from keeper.domain.grade import Grade
from keeper.domain.mark.averages import TickState
from keeper.domain.mark.basis import BasisState
from keeper.domain.mark.components import mid
from keeper.domain.mark.funding_fair import FundingFair
from keeper.domain.mark.median_of_three import MedianOfThree
from keeper.domain.mark.method import MarkInputs, MarkMethod
from keeper.domain.mark.moving import MovingState
from keeper.domain.mark.moving_basis import MovingBasis
from keeper.domain.mark.venues import Bybit, Deribit, DydxV4, Ftx, Phemex
from keeper.domain.numbers import E18, decimal_of
from keeper.domain.time import SECOND
from tests.validation.data import e18, golden, observations
from tests.validation.marks import displayed_tick, inputs, mark
from tests.validation.row import Row, relative

_BOUNDARY_MS = 1_700_006_400_000


def rows() -> Sequence[Row]:
    return (*_fair(), *_medians(), *_examples(), _bitget(), _kraken(), _dydx(), *_wicks())


def _fair() -> Sequence[Row]:
    phemex, kucoin = observations("phemex"), observations("kucoin_futures")
    eight = 28_800_000
    return (
        Row(
            "Phemex",
            "phemex",
            "mark `phemex`: index · (1 + F · t/T)",
            [
                relative(mark(Phemex(), inputs(each, next_funding=-(-each["ts"] // eight) * eight)), each["mark"])
                for each in phemex
            ],
            Decimal("5e-8"),
        ),
        Row(
            "KuCoin",
            "kucoin_futures",
            "funding-fair price as the middle one of the three",
            [_kucoin(kucoin[0])],
            Decimal("0.5"),
            "last digit",
            Grade.CONSISTENT,
            "the last trade lies below it; neither book nor average was recorded.",
        ),
        Row(
            "KuCoin",
            "kucoin_futures",
            "median of funding-fair price, basis and last trade",
            [_kucoin(kucoin[1])],
            Decimal("0.5"),
            "last digit",
            None,
            "the mark lies above both funding-fair price and last trade, where no median of the three can be; it is taken one hour "
            "after a settlement, when this venue has been seen to show the old rate. Relative error 3.2e-5.",
        ),
    )


def _kucoin(found: dict[str, Any]) -> Decimal:
    asked = inputs(found, ts=_BOUNDARY_MS - found["ms_left"], next_funding=_BOUNDARY_MS)
    return abs(mark(FundingFair(), asked) - found["mark"]) / displayed_tick(found["mark"], found["index"])


def _medians() -> Sequence[Row]:
    ftx = {tuple(sorted(each.items())): each for each in observations("ftx")}.values()
    bybit = observations("bybit")
    note = "the mark lies between last trade and funding-fair price, so it is index plus basis, which is taken from it."
    return (
        Row(
            "FTX",
            "ftx",
            "mark `ftx`: median of last, bid and ask",
            [relative(mark(Ftx(max_basis_bps=9999), inputs(each)), each["mark"]) for each in ftx],
            Decimal(0),
            note="without the bound around the index: one of the three is no perpetual but a contract on a move.",
        ),
        Row(
            "Bybit",
            "bybit",
            "mark `bybit`: median of funding-fair price, basis and last trade",
            [_median(each, Bybit()) for each in bybit],
            Decimal("1e-12"),
            grade=Grade.CONSISTENT,
            note=note,
        ),
        Row(
            "Bybit",
            "bybit",
            "mark `median3`: the same form",
            [_median(each, MedianOfThree()) for each in bybit],
            Decimal("1e-12"),
            grade=Grade.CONSISTENT,
            note=note,
        ),
    )


def _median(found: dict[str, Any], method: Bybit | MedianOfThree) -> Decimal:
    asked = inputs({name: value for name, value in found.items() if name not in ("bid", "ask")})
    basis = e18(found["mark"]) - e18(found["index"])
    state: Any = MovingState(TickState((), basis, 1, 300, asked.now // SECOND, basis, asked.now))
    if isinstance(method, MedianOfThree):
        part = basis * E18 // e18(found["index"])
        state = BasisState(part, part, asked.now, asked.now, 30 * SECOND)
    return relative(mark(method, asked, state), found["mark"])


def _examples() -> Sequence[Row]:
    """Worked examples of documents."""
    aevo, btse = golden()["aevo_mark"], golden()["btse_impact_mid"]
    halfway = inputs(
        {"index": aevo["inputs"]["index"], "funding": aevo["inputs"]["F"]},
        ts=_BOUNDARY_MS - 1_800_000,
        next_funding=_BOUNDARY_MS,
        funding_interval_s=3600,
    )
    book = inputs({"index": 1}, bid=btse["inputs"]["ib"], ask=btse["inputs"]["ia"]).book
    assert book is not None
    return (
        Row(
            "Aevo",
            "golden_vectors",
            "mark `funding_fair`",
            [relative(mark(FundingFair(), halfway), Decimal(aevo["published"]))],
            Decimal(0),
            grade=Grade.DOCUMENTED,
        ),
        Row(
            "BTSE",
            "golden_vectors",
            "impact mid",
            [abs(decimal_of(mid(book)) - btse["published"])],
            Decimal("0.005"),
            "price",
            Grade.DOCUMENTED,
            "rounded to 2 decimals in the example.",
        ),
    )


def _run(method: MarkMethod[Any], asked: Sequence[MarkInputs]) -> list[Decimal]:
    state, found = method.start(), []
    for each in asked:
        state, price = method.step(state, each)
        found.append(decimal_of(price.price_e18))
    return found


def _bitget() -> Row:
    errors: list[Decimal] = []
    for symbol in ("DASHUSDT", "UNIUSDT"):
        found = [each for each in observations("bitget") if each["symbol"] == symbol]
        got = _run(Deribit(warm_pct=0, max_basis_bps=500), [inputs(each) for each in found])
        errors += [relative(price, each["mark"]) for price, each in zip(got, found, strict=True)]
    return Row(
        "Bitget",
        "bitget",
        "index + basis, 2/31 of a new sample each second",
        errors,
        Decimal("1.3e-5"),
        grade=None,
        note="started from the first sample; medians 1.2e-4 (DASH) and 3.5e-4 (UNI). The index alone: 2.4e-4 and 8.5e-4. No preset.",
    )


def _kraken() -> Row:
    method, errors = MovingBasis(basis="relative"), []
    for each in observations("kraken_futures"):
        if "premium_pct" in each and each["bid"]:
            index = e18(each["index"])
            sample = method.sample(method.distance(inputs(each).book, index), index)
            assert sample is not None
            errors.append(abs(decimal_of(sample) * 100 - Decimal(each["premium_pct"])))
    return Row(
        "Kraken",
        "kraken_futures",
        "published premium: mid / index − 1",
        errors,
        Decimal("0.05"),
        "percent",
        Grade.CONSISTENT,
        "published to a tenth of a percent. How the premium is averaged into the mark is not published: no preset.",
    )


def _dydx() -> Row:
    errors = [
        relative(mark(DydxV4(), inputs({"index": each["oracle"]})), Decimal(each["index"]))
        for each in observations("dydx_v3")
    ]
    return Row(
        "dYdX v3",
        "dydx_v3",
        "mark `dydx_v4`: the oracle's price, against the venue's own index price",
        errors,
        Decimal("2.7e-3"),
        grade=Grade.CONSISTENT,
        note="two official prices of one venue, not an error: margin counts by the oracle's, and here it is held against the other.",
    )


def _wicks() -> Sequence[Row]:
    bars = [{key: Decimal(value) for key, value in _prices(each)} for each in observations("xrp_mark_last_1h")]
    beyond = [max(0, bar["mark_h"] / bar["last_h"] - 1, 1 - bar["mark_l"] / bar["last_l"]) for bar in bars]
    damped = [max(0, bar["last_h"] / bar["mark_h"] - 1, 1 - bar["last_l"] / bar["mark_l"]) for bar in bars]
    return (
        Row(
            "unnamed",
            "xrp_mark_last_1h",
            "the mark stays within the hour's range of last trades",
            [Decimal(each) for each in beyond],
            Decimal("3e-4"),
            grade=Grade.CONSISTENT,
        ),
        Row(
            "unnamed",
            "xrp_mark_last_1h",
            "last trades leave the hour's range of the mark by a wick",
            [Decimal(each) for each in damped],
            Decimal("4.75e-3"),
            grade=Grade.CONSISTENT,
            note="0.47 % as rounded; measured 0.472 %.",
        ),
        Row(
            "unnamed",
            "xrp_mark_last_1h",
            "mark and last trade at the end of the hour",
            [relative(bar["mark_c"], bar["last_c"]) for bar in bars],
            Decimal("2e-3"),
            grade=Grade.CONSISTENT,
        ),
    )


def _prices(found: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in found.items() if name.startswith(("mark_", "last_"))]
