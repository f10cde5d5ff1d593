"""Venus and Blizz, 12 May 2022: LUNA at 0.107 dollars on chain, at a cent on the market.

Chainlink's aggregator knows a least answer; when LUNA fell below it the feed stopped there and stood. Venus lent 11.2 million
dollars against LUNA at ten times its price, Blizz 8.3 million. https://medium.com/venusprotocol/venus-luna-incident-update-3-resuming-the-protocol-ff059a914405

The aggregator is read by the keeper's own feed: an answer that equals a bound of its contract is refused (`bound`), and its price
taken back. Newer aggregators have no bounds to ask for: with one of these the floor votes, and is an outlier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

import pytest

from keeper.domain.ids import SourceId
from tests.incidents.aggregator import Aggregator, Reader
from tests.incidents.row import Row, percent, row, worst
from tests.incidents.stage import Look, Stage, at, plan, sources, spec

FLOOR = Decimal("0.107")
FEED = "chainlink:LUNA-USD"
MARKETS = ("kucoin:LUNA-USDT", "gate:LUNA_USDT", "bybit:LUNAUSDT")
HALT = 1_800


def _price(second: float) -> Decimal:
    """From 0.50 to 0.01 within half an hour, then about there."""
    share = min(Decimal(second), Decimal(HALT)) / HALT
    return Decimal("0.5") * (Decimal("0.02") ** share)


@dataclass(slots=True)
class Fall:
    """The market, the exchanges that are open, and the feed."""

    reader: Reader
    closed: tuple[str, ...] = ()

    def speak(self, stage: Stage, second: float) -> tuple[Decimal, Decimal]:
        price, now = _price(second), at(second)
        for name in MARKETS:
            if name not in self.closed:
                stage.venues.say(name, price, now, noise_bps=15)
        self.reader.aggregator.observe(price, now)
        stage.venues.told[self.reader.source] = self.reader.look(now)
        stage.venues.unjudged[self.reader.source] = max(price, FLOOR)
        return price * Decimal("0.998"), price * Decimal("1.002")


@cache
def play(bounded: bool = True) -> tuple[Reader, Sequence[Look], Sequence[Look]]:
    """The whole fall, and from half an hour on one exchange after another closes the market."""
    fall = Fall(Reader(SourceId(FEED), Aggregator(FLOOR, bounded)))
    stage = Stage(plan(spec("LUNA-USD", sources(*MARKETS, FEED))))
    stage.begin("0.5")
    looks = stage.play(range(HALT), fall.speak)
    fall.closed = MARKETS[:1]
    return fall.reader, looks, stage.play(range(HALT, HALT + 300), fall.speak)


def line() -> Row:
    _, fall, _ = play()
    floored = [look for look in fall if _price(look.second) < FLOOR]
    found = row(
        "LUNA's floor, May 2022", "a feed stops at its least answer 0.107 while the market falls to 0.01",
        "an answer at the aggregator's own bound is refused and its price taken back (`bound`); of a feed without bounds the "
        "floor is an outlier; when exchanges close, nothing rather than the floor", floored,
    )  # fmt: skip
    return found._replace(naive=f"the feed alone {percent(FLOOR / _price(HALT - 1) - 1)}, {found.naive}")


@pytest.mark.parametrize("bounded", [True, False])
def test_fall__with_a_feed_at_its_floor__is_published_all_the_way_down(bounded: bool) -> None:
    _, fall, _ = play(bounded)
    missing = [look for look in fall if look.published is None]
    assert len(missing) <= 5, "the fall is confirmed as it begins, and trusted while it goes on"
    assert worst(fall) == 0
    floored = [look for look in fall if _price(look.second) < FLOOR * Decimal("0.98")]
    told = {"missing", "stale"} if bounded else {"outlier"}
    assert {look.refused.get(FEED) for look in floored} == told, "what was taken back states no price, and grows old"
    assert all(look.on_chain is not None and look.on_chain < FLOOR for look in floored)


def test_feed__at_its_own_bound__is_refused_with_that_reason_from_the_first_such_answer_on() -> None:
    reader, _, _ = play()
    refused = [notice for notice in reader.notices if notice.kind == "reading_refused"]
    assert [(notice.reason, notice.sources) for notice in refused] == [("bound", (FEED,))]
    assert "10700000 is the aggregator's own limit" in refused[0].detail
    first = next(second for second in range(HALT) if _price(second) <= FLOOR)
    assert refused[0].at == at(first)
    assert all((quote.last_e18 is None) == (quote.received_at >= at(first)) for quote in reader.quotes)


@pytest.mark.parametrize("bounded", [True, False])
def test_exchanges_close__until_the_floor_and_two_are_left__nothing_is_published_or_liquidated(bounded: bool) -> None:
    _, _, closed = play(bounded)
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
