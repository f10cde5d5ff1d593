"""A frame that names one symbol outside and another inside is a quote of neither, and a book of any size is none."""

from __future__ import annotations

from typing import Any

import pytest

from keeper.adapters.sources import STREAM_VENUES
from keeper.adapters.sources.perp import Perp
from keeper.domain.time import Timestamp
from keeper.errors import FeedProtocolError

NOW = Timestamp(1_700_000_000_000_000_000)
MS = NOW // 10**6
OKX = f'"last":"1","askPx":"2","askSz":"1","bidPx":"1","bidSz":"1","ts":"{MS}"'
FRAMES = {
    "bybit": (
        '{{"topic":"orderbook.1.{}","type":"snapshot","ts":'
        + str(MS)
        + ',"data":{{"s":"{}","b":[["1","1"]],"a":[["2","1"]],"u":1}}}}',
        "BTCUSDT",
        "ETHUSDT",
        "BTCUSDT",
    ),
    "okx": (
        '{{"arg":{{"channel":"tickers","instId":"{}"}},"data":[{{"instId":"{}",' + OKX + "}}]}}",
        "BTC-USDT",
        "ETH-USDT",
        "BTC-USDT",
    ),
    "okx trades": (
        '{{"arg":{{"channel":"trades","instId":"{}"}},"data":[{{"instId":"{}","tradeId":"1","px":"1","sz":"1","ts":"'
        + str(MS)
        + '"}}]}}',
        "BTC-USDT",
        "ETH-USDT",
        "BTC-USDT",
    ),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_frame__of_one_symbol_under_the_name_of_another__is_refused(kind: str) -> None:
    pattern, outside, other, inside = FRAMES[kind]
    name, _, trades = kind.partition(" ")
    venue: Any = STREAM_VENUES[name](**({"trades": frozenset({inside})} if trades else {}))
    state, _ = venue.open((inside,))
    (made,) = venue.step(state, pattern.format(outside, inside).encode(), NOW).observations
    assert made.source == f"{name}:{inside}"
    with pytest.raises(FeedProtocolError):
        venue.step(state, pattern.format(other, inside).encode(), NOW)


def test_htx__answer_about_another_symbol_than_the_one_asked_for__is_refused() -> None:
    body = f'{{"ch":"market.%s.detail.merged","status":"ok","ts":{MS},"tick":{{"bid":[1,1],"ask":[2,1],"close":1}}}}'
    htx = STREAM_VENUES["htx"]()
    assert htx.parse_rest("btcusdt", 200, (body % "btcusdt").encode(), NOW)
    with pytest.raises(FeedProtocolError):
        htx.parse_rest("btcusdt", 200, (body % "ethusdt").encode(), NOW)


LEVEL = '["64000","1"]'


@pytest.mark.parametrize(
    "frame",
    [
        f'{{"type":"book","market":"B","seq":1,"ts":{MS},"bids":[{",".join([LEVEL] * 201)}],"asks":[]}}',
        f'{{"type":"book","market":"B","seq":1,"ts":{MS},"bids":[],"asks":[{",".join([LEVEL] * 201)}]}}',
        f'{{"type":"book","market":"B","seq":{1 << 64},"ts":{MS},"bids":[],"asks":[]}}',
        f'{{"type":"book","market":"B","seq":-1,"ts":{MS},"bids":[],"asks":[]}}',
        f'{{"type":"trade","market":"B","ts":{MS},"price":"1","size":"1","id":"{"x" * 101}"}}',
    ],
    ids=["bids", "asks", "large", "negative", "id"],
)
def test_own_book__larger_than_documented__is_refused(frame: str) -> None:
    """Every record of a decision holds the whole book: a megabyte of it would be written with each."""
    with pytest.raises(FeedProtocolError):
        Perp().step(None, frame.encode(), NOW)
