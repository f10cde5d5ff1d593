"""Venus and Blizz, 12 May 2022: LUNA at 0.107 dollars on chain, at a cent on the market.

Chainlink's aggregator knows a least answer; when LUNA fell below it the feed stopped there and stood. Venus lent 11.2 million
dollars against LUNA at ten times its price, Blizz 8.3 million. https://medium.com/venusprotocol/venus-luna-incident-update-3-resuming-the-protocol-ff059a914405

The floor is here that of a source which goes on confirming its last answer; a reader of the aggregator itself knows its bounds and
refuses an answer that equals one (`FLOOR_KNOWN` is where its quotes would enter).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import cache

from tests.incidents.row import Row, percent, row, worst
from tests.incidents.stage import Look, Speak, Stage, at, plan, sources, spec

FLOOR = Decimal("0.107")
FEED = "chainlink:LUNA-USD"
FLOOR_KNOWN = False
"""Hook: True once `chainlink` refuses its own bounds; it then says nothing at the floor instead of repeating it."""
MARKETS = ("kucoin:LUNA-USDT", "gate:LUNA_USDT", "bybit:LUNAUSDT")
HALT = 1_800


def _price(second: float) -> Decimal:
    """From 0.50 to 0.01 within half an hour, then about there."""
    share = min(Decimal(second), Decimal(HALT)) / HALT
    return Decimal("0.5") * (Decimal("0.02") ** share)


def _speak(closed: tuple[str, ...] = ()) -> Speak:
    def speak(stage: Stage, second: float) -> tuple[Decimal, Decimal]:
        price = _price(second)
        for name in MARKETS:
            if name not in closed:
                stage.venues.say(name, price, at(second), noise_bps=15)
        if price >= FLOOR:
            stage.venues.say(FEED, price, at(second), noise_bps=15)
        elif not FLOOR_KNOWN:
            stage.venues.say(FEED, FLOOR, at(second), noise_bps=0)
        return price * Decimal("0.998"), price * Decimal("1.002")

    return speak


@cache
def play() -> tuple[Stage, Sequence[Look], Sequence[Look]]:
    """The whole fall, and from half an hour on one exchange after another closes the market."""
    stage = Stage(plan(spec("LUNA-USD", sources(*MARKETS, FEED))))
    stage.begin("0.5")
    fall = stage.play(range(HALT), _speak())
    return stage, fall, stage.play(range(HALT, HALT + 300), _speak(closed=MARKETS[:1]))


def line() -> Row:
    _, fall, _ = play()
    floored = [look for look in fall if _price(look.second) < FLOOR]
    found = row(
        "LUNA's floor, May 2022", "a feed stops at its least answer 0.107 while the market falls to 0.01",
        "the feed is an outlier among exchanges; when these close, nothing rather than the floor", floored,
    )  # fmt: skip
    return found._replace(naive=f"the feed alone {percent(FLOOR / _price(HALT - 1) - 1)}, {found.naive}")


def test_fall__with_a_feed_at_its_floor__is_published_all_the_way_down() -> None:
    _, fall, _ = play()
    missing = [look for look in fall if look.published is None]
    assert len(missing) <= 5, "the fall is confirmed as it begins, and trusted while it goes on"
    assert worst(fall) == 0
    floored = [look for look in fall if _price(look.second) < FLOOR * Decimal("0.98")]
    assert all(look.refused.get(FEED) == "outlier" for look in floored)
    assert all(look.on_chain is not None and look.on_chain < FLOOR for look in floored)


def test_exchanges_close__until_the_floor_and_two_are_left__nothing_is_published_or_liquidated() -> None:
    _, _, closed = play()
    late = [look for look in closed if look.second >= HALT + 11]
    assert {look.reason for look in late} == {"sources"}
    assert not any(look.gate_open for look in late)
    assert worst(closed) == 0


def test_floor__two_readers_of_the_same_feed__are_one_witness() -> None:
    """Two names of one operator at the floor, one exchange left: a quorum of sources is none of operators."""
    two = (*sources(MARKETS[0]), *sources(FEED, "chainlink:LUNA-ETH", operator="chainlink"))
    stage = Stage(plan(spec("LUNA-USD", two, min_operators=2)))
    stage.begin("0.01")

    def speak(stage: Stage, second: float) -> tuple[Decimal, Decimal]:
        stage.venues.say(MARKETS[0], "0.01", at(second))
        for name in (FEED, "chainlink:LUNA-ETH"):
            stage.venues.say(name, FLOOR, at(second), noise_bps=0)
        return Decimal("0.0099"), Decimal("0.0101")

    looks = stage.play(range(60), speak)
    assert {look.published for look in looks} == {None}
    assert not any(look.gate_open for look in looks)
