"""Coinbase Exchange, ticker and heartbeat: https://docs.cdp.coinbase.com/exchange/websocket-feed/channels"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import msgspec

from keeper.adapters.sources import wire
from keeper.domain.quote import Quote
from keeper.domain.time import SECOND, Timestamp
from keeper.errors import FeedProtocolError, RateLimited
from keeper.ports.venue import HEARTBEAT, Frame, Limits, RestRequest, Step, VenueEvent

URL = "wss://ws-feed.exchange.coinbase.com"
REST_URL = "https://api.exchange.coinbase.com"

State = Mapping[str, tuple[Quote, int] | None]
"""Last ticker of each product asked for, with its trade id."""


class _Ticker(msgspec.Struct, tag_field="type", tag="ticker"):
    product_id: str
    price: str
    best_bid: str
    best_ask: str
    time: str
    trade_id: int
    sequence: int
    best_bid_size: str | None = None
    best_ask_size: str | None = None


class _Heartbeat(msgspec.Struct, tag_field="type", tag="heartbeat"):
    product_id: str
    last_trade_id: int


class _Match(msgspec.Struct, tag_field="type", tag="match"):
    product_id: str
    price: str
    size: str
    time: str
    trade_id: int


class _LastMatch(_Match, tag_field="type", tag="last_match"):
    """The newest trade before the subscription."""


class _Channel(msgspec.Struct):
    name: str
    product_ids: list[str] = []


class _Subscriptions(msgspec.Struct, tag_field="type", tag="subscriptions"):
    channels: list[_Channel]


class _Error(msgspec.Struct, tag_field="type", tag="error"):
    message: str
    reason: str = ""


class _RestTicker(msgspec.Struct):
    bid: str
    ask: str
    price: str
    time: str


class _RestError(msgspec.Struct):
    message: str


_FRAME = msgspec.json.Decoder(_Ticker | _Heartbeat | _Match | _LastMatch | _Subscriptions | _Error)
_REST = msgspec.json.Decoder(_RestTicker)
_REST_ERROR = msgspec.json.Decoder(_RestError)


@dataclass(frozen=True, slots=True)
class Coinbase:
    """Channel `ticker` speaks on trades only, so `observed_at` is the time of the last trade.

    A heartbeat that names the ticker's own trade as the last one confirms the ticker, for at most `max_quiet_s` after
    it came: a venue whose matching has stopped would otherwise look fresh for ever. Trades come on channel `matches`.
    """

    name: str = "coinbase"
    url: str = URL
    rest_url: str = REST_URL
    max_quiet_s: float = 60.0
    trades: frozenset[str] = frozenset()

    gives_trades: ClassVar[bool] = True
    trade_driven: ClassVar[bool] = True
    limits: ClassVar[Limits] = Limits(
        doc="https://docs.cdp.coinbase.com/exchange/websocket-feed/rate-limits",
        symbols_per_connection=50,
        frames_per_s=20.0,
        connects=8,
        silence_s=10.0,
        rest_every_s=0.2,
        wait_s={403: 300.0, 429: 5.0, 451: 3600.0},
    )

    @property
    def endpoints(self) -> tuple[str, ...]:
        return (self.url,)

    def open(self, symbols: Sequence[str]) -> tuple[State, Sequence[str]]:
        """One product in each message: an unknown one fails its whole message."""
        return dict.fromkeys(symbols), [
            wire.encode({"type": "subscribe", "channels": self._channels(symbol), "product_ids": [symbol]})
            for symbol in symbols
        ]

    def _channels(self, symbol: str) -> list[str]:
        return ["ticker", "heartbeat", "matches"] if symbol in self.trades else ["ticker", "heartbeat"]

    def step(self, state: State, frame: Frame, received_at: Timestamp) -> Step:
        message = wire.decode(_FRAME, frame)
        if isinstance(message, _Ticker):
            quote, product = self._quote(message, frame, received_at), message.product_id
            after = {**state, product: (quote, message.trade_id)} if product in state else state
            return Step(after, (quote,))
        if isinstance(message, _Heartbeat):
            return Step(state, events=(HEARTBEAT,), confirmations=self._confirmed(state, message, received_at))
        if isinstance(message, _Match):
            product = wire.asked_trades(message.product_id, self.trades)
            at, source = wire.from_iso(message.time), wire.source(self.name, product)
            number = str(message.trade_id)
            digest = wire.frame_hash(frame)
            return Step(state, (wire.trade(source, received_at, at, message.price, message.size, number, digest),))
        if isinstance(message, _Subscriptions):
            products = {p for channel in message.channels if channel.name == "ticker" for p in channel.product_ids}
            return Step(state, events=(VenueEvent("subscribed", tuple(sorted(products))),))
        return Step(state, events=(_refusal(message),))

    def _quote(self, ticker: _Ticker, frame: Frame, received_at: Timestamp) -> Quote:
        return wire.quote(
            wire.source(self.name, ticker.product_id),
            received_at,
            wire.from_iso(ticker.time),
            wire.side_e18(ticker.best_bid),
            wire.side_e18(ticker.best_ask),
            wire.side_e18(ticker.best_bid_size),
            wire.side_e18(ticker.best_ask_size),
            wire.side_e18(ticker.price),
            ticker.sequence,
            wire.frame_hash(frame),
        )

    def _confirmed(self, state: State, heartbeat: _Heartbeat, received_at: Timestamp) -> tuple[Quote, ...]:
        if (last := state.get(heartbeat.product_id)) is None:
            return ()
        quote, trade_id = last
        if trade_id != heartbeat.last_trade_id:
            return ()
        if received_at - quote.received_at > self.max_quiet_s * SECOND:
            return ()
        return (replace(quote, received_at=received_at),)

    def ping(self) -> None:
        """The heartbeat channel keeps the connection."""

    def rest(self, symbol: str) -> RestRequest:
        return RestRequest(f"{self.rest_url}/products/{symbol}/ticker")

    def parse_rest(self, symbol: str, status: int, body: bytes, received_at: Timestamp) -> Quote | VenueEvent:
        if status != 200:
            message = wire.decode(_REST_ERROR, body).message
            if "rate limit" in message.lower():
                raise RateLimited(message)
            if status == 404:
                return VenueEvent("symbol_refused", (symbol,), message)
            raise FeedProtocolError(f"HTTP {status}: {message}")
        ticker = wire.decode(_REST, body)
        return wire.quote(
            wire.source(self.name, symbol),
            received_at,
            wire.from_iso(ticker.time),
            wire.side_e18(ticker.bid),
            wire.side_e18(ticker.ask),
            None,
            None,
            wire.side_e18(ticker.price),
            None,
            wire.frame_hash(body),
        )


def _refusal(error: _Error) -> VenueEvent:
    """`reason` begins with the product where a product is at fault: `FOO-USD is not a valid product`."""
    product, _, rest = error.reason.partition(" ")
    symbols = (product,) if rest.startswith("is not a valid product") and product else ()
    return VenueEvent("symbol_refused", symbols, f"{error.message}: {error.reason}")
