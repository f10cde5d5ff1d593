"""A feed that goes on without going on: frames keep coming, and always say the same.

No date of its own. Validators of dYdX's chain came back with stale oracle prices after its halt of 10 October 2025, and positions
were liquidated by them (https://www.dydx.xyz/blog/october-2025-dydx-chain-incident-review-community-update). Any
venue whose matching stops looks like it: the socket stands, pings are answered, the last ticker is repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import cache

from keeper.domain.time import SECOND
from tests.incidents.row import Row, row, worst
from tests.incidents.stage import Look, Speak, Stage, at, plan, sources, spec
from tests.incidents.wire import MARKET, Tape, Told, looks, now_of

VENUES = ("alpha:BTC-USD", "beta:BTC-USD", "gamma:BTC-USD", "delta:BTC-USD")
FROZEN, FREEZE = VENUES[0], 60
START = Decimal(64_000)


def _price(second: float) -> Decimal:
    """Falls by two per mille a minute: too slowly for one tick to tell the frozen from the rest."""
    return START * (1 - Decimal("0.002") * Decimal(second) / 60)


def _speak(frozen: Sequence[str], *, stamp: bool = False) -> Speak:
    def speak(stage: Stage, second: float) -> tuple[Decimal, Decimal]:
        for name in VENUES:
            if name in frozen and second >= FREEZE:
                stage.venues.repeat(name, at(second), stamp=stamp)
            else:
                stage.venues.say(name, _price(second), at(second), timed=stamp)
        return _price(second) * Decimal("0.9995"), _price(second) * Decimal("1.0005")

    return speak


@cache
def play(frozen: tuple[str, ...] = (FROZEN,), *, stamp: bool = False, frozen_after_s: int | None = 30) -> list[Look]:
    after_ns = None if frozen_after_s is None else frozen_after_s * SECOND
    stage = Stage(plan(spec("BTC-USD", sources(*VENUES), frozen_after_ns=after_ns)))
    stage.begin(START)
    stage.play(range(FREEZE), _speak(()))
    return stage.play(range(FREEZE, FREEZE + 900), _speak(frozen, stamp=stamp))


def line() -> Row:
    return row(
        "A frozen feed", "one of four sources repeats its last price with fresh times while the market falls by 3 %",
        "refused 30 s after its content last changed, if most others did change; without that rule at 1 %", play(),
    )  # fmt: skip


def test_frozen__one_of_four__is_refused_within_its_time_and_moves_nothing() -> None:
    """With times of its own for ever; without any it is stale after five minutes, frozen or not."""
    for stamp in (False, True):
        found = play(stamp=stamp)
        assert all(look.published is not None and look.gate_open for look in found)
        until = FREEZE + (900 if stamp else 300)
        assert all(look.refused == {FROZEN: "frozen"} for look in found if FREEZE + 30 < look.second < until)
        assert all(look.refused == {FROZEN: "stale"} for look in found if look.second > until)
        assert worst(found) == 0


def test_frozen__without_the_rule__is_an_outlier_at_one_per_cent_and_the_median_stays_honest() -> None:
    found = play(stamp=True, frozen_after_s=None)
    assert all(look.refused == {FROZEN: "outlier"} for look in found if look.second >= FREEZE + 330)
    assert worst(found) == 0


def test_frozen__half_of_them__are_refused_and_two_are_no_quorum() -> None:
    found = play(VENUES[:2])
    late = [look for look in found if look.second > FREEZE + 30]
    assert {look.reason for look in late} == {"sources"}
    assert not any(look.gate_open for look in late)
    assert worst(found) < Decimal("0.001")


def test_frozen__all_without_a_venue_time__are_stale_after_five_minutes() -> None:
    """Nobody moves, so nobody is frozen; but an unchanged content without a time of its own counts for `quiet_max` only."""
    found = play(VENUES)
    assert all(look.published is not None for look in found if look.second < FREEZE + 299)
    late = [look for look in found if look.second > FREEZE + 301]
    assert {look.reason for look in late} == {"sources"}
    assert all(set(look.refused.values()) == {"stale"} for look in late)
    assert not any(look.gate_open for look in late)


def test_frozen__frames_of_a_real_venue__through_its_parser_and_its_feed() -> None:
    """Binance's best prices come without a time: the same update over and over is one observation."""

    def speaks(name: str, second: float, told: Told) -> Told:
        if name == "binance" and second >= 10:
            return Told(Decimal("1182.99"), Decimal("1183.01"), Decimal(1183), told.at, 10_000)
        return told

    def price(second: float) -> Decimal:
        return Decimal(1183) + Decimal(round(second * 4)) / 100

    tape = Tape(60, speaks, price)
    found = tape.play(MARKET.replace("max_age_s: 10", "max_age_s: 10, frozen_after_s: 15"))
    late = looks(found, 26, 60)
    assert all(look.refused == {"binance:BTCUSD": "frozen"} for look in late)
    for look in late:
        true = price((look.at - now_of(0)) / SECOND)
        assert look.spot is not None
        assert abs(look.spot - true) <= Decimal("0.02")
    early = looks(found, 5, 10)
    assert all(look.refused == {} for look in early)
