"""A clock that is wrong: a venue's or our own. No date; NTP is a thing of every data centre.

Ahead, its prices would be the newest whatever came later; behind, they are old prices with a good reason.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache

from keeper.app.replay.series import Look
from keeper.domain.time import SECOND, Timestamp
from tests.incidents.row import Row, percent
from tests.incidents.stage import Stage, at, plan, sources, spec
from tests.incidents.wire import BTC, Speaks, Tape, Told, looks, now_of

BEGIN, END = 10.0, 40.0
KRAKEN = "kraken:BTC/USD"
LAG_S = 30


def rising(second: float) -> Decimal:
    """Two per cent a minute."""
    return (BTC * (1 + Decimal(str(second)) / 3_000)).quantize(Decimal("0.01"))


def skewed(ahead_s: float, lag_s: int = 0) -> Speaks:
    """Kraken's clock is so far ahead (behind: negative), and what it tells is so old."""

    def speaks(name: str, second: float, told: Told) -> Told:
        if name != "kraken" or not BEGIN <= second < END:
            return told
        price = rising(second - lag_s) if lag_s else told.last
        stamp = Timestamp(told.at + round(ahead_s * SECOND))
        return Told(price, price, price, stamp, told.number)

    return speaks


@cache
def play(ahead_s: float, lag_s: int = 0) -> list[Look]:
    return looks(Tape(60, skewed(ahead_s, lag_s), rising).play(), BEGIN, 60)


def line() -> Row:
    found = [look for look in play(-LAG_S, LAG_S) if look.at < now_of(END)]
    errors = [abs(look.spot / rising((look.at - now_of(0)) / SECOND) - 1) for look in found if look.spot is not None]
    behind = 1 - rising(END - LAG_S) / rising(END)
    return Row(
        "A venue's clock, and what it tells, half a minute behind", "one of four venues states old prices with their old times",
        "age is by the venue's own time too: refused as stale at once; ahead by more than 2 s: refused as of the future",
        f"{len(errors)} of {len(found)} ticks", percent(max(errors)), f"mean {percent(behind / 4)}, median 0",
    )  # fmt: skip


def test_venue_ahead__by_five_seconds__is_not_heard_and_its_last_price_goes_stale() -> None:
    found = play(5)
    stale = [look for look in found if now_of(BEGIN + 10.5) <= look.at < now_of(END)]
    assert stale
    assert all(look.refused == {KRAKEN: "stale"} and look.spot is not None for look in stale)
    back = [look for look in found if look.at >= now_of(END + 0.5)]
    assert all(look.refused == {} for look in back), "the wrong times have not left a trace"


def test_venue_ahead__by_one_second__is_within_what_clocks_do() -> None:
    assert all(look.refused == {} for look in play(1))


def test_venue_behind__is_stale_at_once_and_back_at_once() -> None:
    found = play(-LAG_S, LAG_S)
    behind = [look for look in found if now_of(BEGIN + 11) <= look.at < now_of(END)]
    assert all(look.refused == {KRAKEN: "stale"} and look.spot is not None for look in behind)
    for look in found:
        true = rising((look.at - now_of(0)) / SECOND)
        assert look.spot is not None
        assert abs(look.spot / true - 1) < Decimal("0.001")
    assert found[-1].refused == {}


def test_our_own_clock__an_hour_wrong_either_way__withholds_everything_until_it_is_right() -> None:
    for off_s in (3_600, -3_600):
        names = ("alpha:BTC-USD", "beta:BTC-USD", "gamma:BTC-USD")
        stage = Stage(plan(spec("BTC-USD", sources(*names))))
        stage.begin(BTC)

        def speak(stage: Stage, second: float, off_s: int = off_s) -> tuple[Decimal, Decimal]:
            for name in stage.plan.spec.sources:
                wrong = off_s if 30 <= second < 60 else 0
                stage.venues.say(name.source, BTC, at(second), observed=at(second - wrong))
            return BTC * Decimal("0.999"), BTC * Decimal("1.001")

        found = stage.play(range(90), speak)
        wrong = [look for look in found if 30 <= look.second < 60]
        assert {look.reason for look in wrong} == {"sources"}
        assert {why for look in wrong for why in look.refused.values()} == {"stale" if off_s > 0 else "future"}
        assert not any(look.gate_open for look in wrong)
        assert found[-1].published is not None
        assert found[-1].gate_open
