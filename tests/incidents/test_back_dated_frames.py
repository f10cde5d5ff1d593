"""Frames from before, after a reconnect: no date of its own, every venue does it some day.

A connection is cut, the new one begins with what the venue had cached: a snapshot that is older than what was heard before the
cut. A feed that starts its order anew with each connection takes it, and the price goes back in time.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache

import pytest

from keeper.adapters.bench import BenchRules
from keeper.adapters.intake import Intake, Order
from keeper.app.replay.series import Look
from keeper.domain.ids import SourceId
from keeper.domain.quote import Depth, Level, Observation, Quote, Trade
from keeper.domain.time import SECOND, Timestamp
from tests.incidents.row import Row, percent
from tests.incidents.wire import BTC, Tape, Told, looks, now_of
from tests.venues.harness import Heard

CUT, CACHED_S, BEHIND_S = 20.0, 4.0, 8.0
OKX, KRAKEN = SourceId("okx:BTC-USD"), SourceId("kraken:BTC/USD")


def rising(second: float) -> Decimal:
    """A tenth of a per cent each second."""
    return (BTC * (1 + Decimal(str(second)) / 1_000)).quantize(Decimal("0.01"))


def cached(name: str, second: float, told: Told) -> Told:
    """For four seconds after the cut two venues tell what was eight seconds before."""
    if name in ("okx", "kraken") and CUT < second < CUT + CACHED_S:
        then = rising(second - BEHIND_S)
        return Told(then, then, then, Timestamp(told.at - int(BEHIND_S) * SECOND), told.number)
    return told


@cache
def play() -> list[Look]:
    played = Tape(40, cached, rising, {"okx": CUT, "kraken": CUT}).play()
    return looks(played, CUT, 40)


def second_of(look: Look) -> float:
    return (look.at - now_of(0)) / SECOND


def worst(found: list[Look]) -> Decimal:
    """How far below the market the index was."""
    return max(1 - look.spot / rising(second_of(look)) for look in found if look.spot is not None)


def naive() -> Decimal:
    """Two of four at what was eight seconds before: mean and median alike."""
    return (1 - rising(CUT - BEHIND_S) / rising(CUT)) / 2


def line() -> Row:
    found = play()
    return Row(
        "Back-dated frames after a reconnect",
        "two of four venues come back with what they had cached eight seconds before, in a market that runs",
        "a source's venue time never goes back, over all its connections: until it has caught up, its last price ages",
        f"{sum(look.spot is not None for look in found)} of {len(found)} ticks", percent(worst(found)),
        f"mean {percent(naive())}, median {percent(naive())}",
    )  # fmt: skip


def test_reconnect__with_cached_frames__no_source_goes_back_in_time() -> None:
    """The market only rises: so must what each venue is heard to say."""
    found = play()
    for source in (OKX, KRAKEN):
        heard = [look.venues[source] for look in found if source in look.venues]
        assert len(heard) > 40
        assert heard == sorted(heard)
    there = [look.spot for look in found if look.spot is not None]
    assert len(there) == len(found)
    assert there == sorted(there)
    assert found[-1].refused == {}


def test_index__meanwhile__is_half_as_far_behind_as_the_cached_prices_would_put_it() -> None:
    """Two of its four votes are what was heard before the cut. They would be refused at ten seconds."""
    found = play()
    assert all(look.spot is not None and look.spot >= rising(CUT - 0.5) for look in found)
    assert worst(found) < Decimal("0.0025") < naive()
    caught_up = [look for look in found if second_of(look) > CUT + CACHED_S + 0.5]
    assert worst(caught_up) < Decimal("0.0005")


def _observations(second: float) -> list[Observation]:
    at = Timestamp(1_700_000_000 * SECOND + round(second * SECOND))
    level = (Level(10**18, 10**18),)
    return [
        Quote(OKX, at, at, at, last_e18=10**18),
        Depth(OKX, at, at, level, level),
        Trade(OKX, at, at, 10**18, 10**18),
    ]


@pytest.mark.parametrize("kind", range(3), ids=("quote", "depth", "trade"))
def test_intake__of_any_kind_on_any_connection__lets_no_older_time_pass(kind: int) -> None:
    heard = Heard()
    intake = Intake("okx", heard.emit, heard.notify, 2.0, BenchRules())
    first, second = Order(), Order()
    assert intake.admit(_observations(10)[kind], first)
    assert not intake.admit(_observations(9)[kind], second), "cached by the venue"
    assert intake.admit(_observations(10)[kind], second), "the same once more confirms it"
    assert intake.admit(_observations(11)[kind], second)
    assert not intake.admit(_observations(10.5)[kind], first), "the old connection, still closing"
