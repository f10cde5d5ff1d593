"""Kraken's average price of the day taken for its price: a defect of an oracle's provider, no date.

`p[0]` of the old ticker, `vwap` of the new one, is today's volume-weighted average. It stands beside the last price, `c[0]` or
`last`, and on a quiet day nobody sees the difference (skip-mev/connect, providers/websockets/kraken/parse.go).
https://docs.kraken.com/api/docs/websocket-v2/ticker

Through the parser and the feed of Kraken, from a tape on which bitcoin has fallen by 12 % since the average was made.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache

from keeper.adapters.sources.kraken import Kraken
from keeper.app.replay.series import Look
from keeper.domain.ids import SourceId
from keeper.domain.quote import Quote
from tests.incidents.row import Row, percent
from tests.incidents.wire import BTC, Tape, Told, looks, now_of

KRAKEN = SourceId("kraken:BTC/USD")
VWAP = Decimal("1344.32")


def fallen(name: str, _second: float, told: Told) -> Told:
    return Told(told.bid, told.ask, told.last, told.at, told.number, vwap=VWAP if name == "kraken" else told.vwap)


@cache
def play() -> list[Look]:
    return looks(Tape(20, fallen).play(), 2, 20)


def line() -> Row:
    found = play()
    there = [look.spot for look in found if look.spot is not None]
    return Row(
        "Kraken's VWAP taken for its price", "the ticker's average of the day stands 14 % above the price after a fall",
        "book and last trade are read, the average never", f"{len(there)} of {len(found)} ticks",
        percent(max(abs(spot / BTC - 1) for spot in there)),
        f"that source {percent(VWAP / BTC - 1)}, mean {percent((VWAP / BTC - 1) / 4)}, median 0",
    )  # fmt: skip


def test_ticker__with_an_average_far_off__is_read_by_its_book() -> None:
    found = play()
    assert all(look.venues[KRAKEN] == BTC for look in found if KRAKEN in look.venues)
    assert all(look.refused == {} and look.spot == BTC for look in found)


def test_rest_ticker__of_the_old_format__is_read_by_its_last_trade() -> None:
    """`p` holds the averages of today and of 24 hours, `c` the last trade."""
    body = (
        '{"error":[],"result":{"XXBTZUSD":{"a":["1183.1","1","1.000"],"b":["1182.9","1","1.000"],"c":["1183.0","0.01"],'
        '"v":["1","2"],"p":["1344.32","1350.00"],"t":[1,2],"l":["1","1"],"h":["1","1"],"o":"1"}}}'
    )
    heard = Kraken().parse_rest("BTC/USD", 200, body.encode(), now_of(0))
    assert isinstance(heard, Quote)
    assert (heard.bid_e18, heard.ask_e18, heard.last_e18) == (11829 * 10**17, 11831 * 10**17, 1183 * 10**18)
