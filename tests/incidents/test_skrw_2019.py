"""Synthetix, 25 June 2019: the Korean won at a thousand times its price.

One of several commercial feeds began to state KRW/USD a thousandfold, off and on. Outliers were discarded, but an earlier
outage that nobody had noticed had left two feeds, and of two the oracle took the mean. A bot made a billion dollars on paper
within the hour. https://blog.synthetix.io/response-to-oracle-incident/
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import cache

from tests.incidents.row import Row, percent, row, worst, worst_mean
from tests.incidents.stage import Look, Speak, Stage, at, plan, sources, spec

WON = Decimal("0.000864")
FEEDS = ("alpha:KRWUSD", "beta:KRWUSD", "gamma:KRWUSD", "delta:KRWUSD")
LIAR, DEAD = FEEDS[2], FEEDS[3]


def scene(feeds: int) -> Stage:
    """So many feeds in all; a feed of a currency states a price every few seconds, and may be half a minute old."""
    stage = Stage(plan(spec("KRW-USD", sources(*FEEDS[:feeds], max_age_ns=30 * 10**9))))
    stage.begin(WON)
    return stage


def _speak(dead: str | None = None, wrong: str | None = None) -> Speak:
    def speak(stage: Stage, second: float) -> tuple[Decimal, Decimal]:
        for source in stage.plan.spec.sources:
            if source.source != dead:
                factor = 1000 if source.source == wrong and second % 20 < 12 else 1
                stage.venues.say(source.source, WON * factor, at(second))
        return (WON * Decimal("0.999"), WON * Decimal("1.001"))

    return speak


@cache
def play(feeds: int = 4) -> tuple[Stage, Sequence[Look], Sequence[Look], Sequence[Look]]:
    """A minute of peace, an hour with one feed dead, ten minutes in which another lies for twelve seconds of twenty."""
    stage = scene(feeds)
    stage.play(range(60), _speak())
    outage = stage.play(range(60, 3_600, 10), _speak(dead=DEAD))
    lies = stage.play(range(3_600, 4_200), _speak(dead=DEAD, wrong=LIAR))
    return stage, outage, lies, stage.play(range(4_200, 4_260), _speak(dead=DEAD))


def line() -> Row:
    _, _, lies, _ = play()
    found = row(
        "sKRW, June 2019", "of four feeds one is dead and another states ×1000, off and on",
        "two that agree are no quorum of three: nothing while it lies, the price again when it stops", lies,
    )  # fmt: skip
    return found._replace(
        naive=f"mean or median of the two left {percent(Decimal(1001) / 2 - 1)}, of all: {found.naive}"
    )


def test_outage__of_one_feed__is_told_and_the_price_goes_on() -> None:
    _, outage, _, _ = play()
    quiet = [look for look in outage if look.second >= 100]
    assert all(look.published is not None and look.refused == {DEAD: "stale"} for look in quiet)
    assert worst(outage) == 0


def test_lie__with_two_feeds_left__is_never_published_and_nobody_is_liquidated() -> None:
    _, _, lies, after = play()
    lying = [look for look in lies if look.second % 20 < 12]
    assert all(look.published is None and look.reason == "sources" and not look.gate_open for look in lying)
    assert all(look.refused[LIAR] == "outlier" for look in lying)
    assert worst(lies) == 0
    assert worst_mean(lying) > 200, "a mean of what is left is hundreds of times the price"
    healed = [look for look in lies if look.second % 20 >= 12]
    assert all(look.published is not None for look in healed), "between two lies the feed is one of three again"
    assert after[-1].gate_open


def test_gate__between_two_lies__opens_only_after_its_confirmation() -> None:
    _, _, lies, _ = play()
    doubts = {look.second % 20: look.doubts for look in lies}
    assert doubts[12] == {"stale_mark"}, "what is on chain is from before the lie"
    assert doubts[13] == doubts[14] == {"confirming"}
    assert all(look.gate_open for look in lies if look.second % 20 >= 16)


def test_lie__with_a_fifth_feed_alive__is_refused_and_the_price_goes_on() -> None:
    five = spec("KRW-USD", sources(*FEEDS, "epsilon:KRWUSD", max_age_ns=30 * 10**9))
    stage = Stage(plan(five))
    stage.begin(WON)
    stage.play(range(60), _speak())
    lies = stage.play(range(60, 660), _speak(dead=DEAD, wrong=LIAR))
    assert all(look.published is not None for look in lies)
    assert worst(lies) == 0
    assert all(look.gate_open for look in lies)


def test_lie__the_moment_the_others_died__does_not_pass_the_guard_either() -> None:
    """All but the liar and one more are gone and an operator lets two do: they must agree."""
    two = spec("KRW-USD", sources(*FEEDS[:3], max_age_ns=30 * 10**9), allow_two=True)
    stage = Stage(plan(two))
    stage.begin(WON)
    stage.play(range(60), _speak())
    lies = stage.play(range(100, 700, 20), _speak(dead=FEEDS[0], wrong=LIAR))
    assert {look.reason for look in lies} == {"pair"}
