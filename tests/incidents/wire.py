"""Tapes of incidents in which a parser or a connection is what fails: frames as the venues write them, a keeper's own replay.

Four exchanges of BTC/USD, four frames a second each; the frames are made here, in the venues' documented formats. The chain on the
tape is one that holds the price of the beginning.
"""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from keeper.adapters.sources.binance import Binance
from keeper.adapters.sources.coinbase import Coinbase
from keeper.adapters.sources.kraken import Kraken
from keeper.adapters.sources.okx import Okx
from keeper.adapters.tape.documents import document
from keeper.adapters.tape.lines import FORMAT, framed, line
from keeper.app.replay.play import Replayed, replay
from keeper.app.replay.series import Look
from keeper.domain.ids import MarketId
from keeper.domain.time import MILLISECOND, SECOND, Timestamp
from keeper.ports.venue import StreamVenue
from keeper.settings.load import load
from tests.services.fakes import KEYS
from tests.services.markets import chain_state
from tests.settings.examples import written

START_S = 1_700_000_000
EVERY_MS = 250
BTC = Decimal("1183.00")
"""As it stood on the day of the first of these incidents."""
TICK = Decimal("0.01")
MARKET = """\
market: BTC-USD
deployment: main
market_no: 1
sources:
  - {kind: binance, symbol: BTCUSD, quote: USD}
  - {kind: coinbase, symbol: BTC-USD}
  - {kind: kraken, symbol: BTC/USD}
  - {kind: okx, symbol: BTC-USD, quote: USD}
index: {method: median, min_sources: 3, min_quote_groups: 1, max_age_s: 10}
mark: {method: index}
funding: {premium: derived}
publish: {deviation_bps: 10, heartbeat_s: 5, min_interval_s: 1}
guard: {max_jump_bps: 200, confirm_s: 3, confirm_sources: 3, confirm_quote_groups: 1}
liquidation: {max_batch: 20, gate: {max_mark_age_s: 90, min_sources: 3}}
"""


def now_of(second: float) -> Timestamp:
    return Timestamp(START_S * SECOND + round(second * SECOND))


def iso(at: Timestamp) -> str:
    return datetime.fromtimestamp(at / SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(frozen=True, slots=True)
class Told:
    """What a venue states: book and last trade, by its own clock; `vwap` of its day."""

    bid: Decimal
    ask: Decimal
    last: Decimal
    at: Timestamp
    number: int
    vwap: Decimal = BTC


def binance(told: Told) -> str:
    return (
        f'{{"stream":"btcusd@bookTicker","data":{{"u":{told.number},"s":"BTCUSD","b":"{told.bid}","B":"1.5",'
        f'"a":"{told.ask}","A":"1.5"}}}}'
    )


def coinbase(told: Told) -> str:
    return (
        f'{{"type":"ticker","sequence":{told.number},"product_id":"BTC-USD","price":"{told.last}","open_24h":"{BTC}",'
        f'"volume_24h":"8012.1","best_bid":"{told.bid}","best_ask":"{told.ask}","side":"sell","time":"{iso(told.at)}",'
        f'"trade_id":{told.number},"last_size":"0.01"}}'
    )


def kraken(told: Told) -> str:
    return (
        f'{{"channel":"ticker","type":"update","data":[{{"symbol":"BTC/USD","bid":{told.bid},"bid_qty":1.5,"ask":{told.ask},'
        f'"ask_qty":1.5,"last":{told.last},"volume":2158.3,"vwap":{told.vwap},"low":{told.last},"high":{told.last},'
        f'"change":-2.9,"change_pct":-0.41,"timestamp":"{iso(told.at)}"}}]}}'
    )


def okx(told: Told) -> str:
    return (
        f'{{"arg":{{"channel":"tickers","instId":"BTC-USD"}},"data":[{{"instType":"SPOT","instId":"BTC-USD","last":"{told.last}",'
        f'"lastSz":"0.01","askPx":"{told.ask}","askSz":"1.5","bidPx":"{told.bid}","bidSz":"1.5","ts":"{told.at // MILLISECOND}"}}]}}'
    )


WRITES: Mapping[str, Callable[[Told], str]] = {
    "binance": binance,
    "coinbase": coinbase,
    "kraken": kraken,
    "okx": okx,
}
VENUES: Mapping[str, tuple[StreamVenue[Any], str]] = {
    "binance": (Binance(), "BTCUSD"),
    "coinbase": (Coinbase(), "BTC-USD"),
    "kraken": (Kraken(), "BTC/USD"),
    "okx": (Okx(), "BTC-USD"),
}
Speaks = Callable[[str, float, Told], Told | None]
"""What a venue says at a second, given what all would honestly say; None: nothing."""


def honest(_venue: str, _second: float, told: Told) -> Told:
    return told


@dataclass(slots=True)
class Tape:
    """`reconnects`: at this second the venue's connection is cut, and dialled again half a second later."""

    seconds: int
    speaks: Speaks = honest
    price: Callable[[float], Decimal] = lambda _second: BTC
    reconnects: Mapping[str, float] = field(default_factory=dict)

    def lines(self) -> Iterator[tuple[Timestamp, bytes]]:
        yield now_of(0), line(now_of(0), "head", {"format": FORMAT, "signers": KEYS})
        for second in range(self.seconds):
            state = chain_state({1: str(BTC)}, number=100 + second, at_s=START_S + second, observed_s=START_S)
            yield now_of(second), line(now_of(second), "state", "main", document(state))
        for name in VENUES:
            yield from self._connection(name, 0, self.reconnects.get(name))
            if name in self.reconnects:
                yield from self._connection(name, self.reconnects[name] + 0.5, None)

    def _connection(self, name: str, begins: float, ends: float | None) -> Iterator[tuple[Timestamp, bytes]]:
        connection, dialled = f"{name}#{round(begins * 1000)}.1", now_of(begins)
        yield dialled, line(dialled, "dial", connection)
        venue, symbol = VENUES[name]
        for message in venue.open((symbol,))[1]:
            said = message if isinstance(message, str) else message(dialled)
            yield dialled, line(dialled, "sent", connection, said)
        for step in range(round(begins * 1000) + 100, round((self.seconds if ends is None else ends) * 1000), EVERY_MS):
            second, price = step / 1000, self.price(step / 1000)
            stamp = Timestamp(now_of(second) - 20 * MILLISECOND)
            told = self.speaks(name, second, Told(price - TICK, price + TICK, price, stamp, step))
            if told is not None:
                yield now_of(second), framed(now_of(second), connection, WRITES[name](told).encode())
        if ends is not None:
            yield now_of(ends), line(now_of(ends), "shut", connection, 1006)

    def play(self, market: str = MARKET) -> Replayed:
        """By the code that runs live, on the virtual loop."""
        with tempfile.TemporaryDirectory() as name:
            tape = Path(name) / "tape.gz"
            tape.write_bytes(gzip.compress(b"".join(raw for _, raw in sorted(self.lines(), key=lambda each: each[0]))))
            return replay(tape, load(written(Path(name), BTC=market)))


def looks(played: Replayed, begins: float, ends: float) -> list[Look]:
    return [look for look in played.series.looks[MarketId("BTC-USD")] if now_of(begins) <= look.at < now_of(ends)]


def said(played: Replayed) -> list[tuple[float, Decimal]]:
    """Second and index of each report."""
    return [
        ((each.at - now_of(0)) / SECOND, Decimal(each.index_e18).scaleb(-18))
        for each in played.series.said
        if each.market == "BTC-USD"
    ]
