"""Hyperliquid, best bid and ask: https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/websocket/subscriptions

Spot and perpetuals come over one socket, and a coin's name alone tells them apart: `@142` and `PURR/USDC` are spot, `BTC`
and `dex:COIN` are perpetuals. A perpetual's price moves with its funding and is no spot price. So they are two kinds here:
`hyperliquid` takes spot coins and refuses all others, and whoever wants a perpetual in an index writes
`hyperliquid_perp`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from keeper.adapters.sources import wire
from keeper.domain.quote import Quote
from keeper.domain.time import Timestamp
from keeper.errors import FeedProtocolError
from keeper.ports.venue import HEARTBEAT, Frame, Limits, RestRequest, Step, VenueEvent

URL = "wss://api.hyperliquid.xyz/ws"
REST_URL = "https://api.hyperliquid.xyz"

State = frozenset[str]
"""The connection's symbols: an answer names a channel and a coin, which may stand for two of them."""


class _Level(msgspec.Struct):
    px: str
    sz: str


class _Best(msgspec.Struct):
    coin: str
    time: int
    bbo: list[_Level | None]


class _Prices(msgspec.Struct):
    oracle: str = msgspec.field(name="oraclePx")
    mark: str = msgspec.field(name="markPx")


class _Context(msgspec.Struct):
    coin: str
    ctx: _Prices


class _Subscription(msgspec.Struct):
    type: str
    coin: str = ""


class _Answer(msgspec.Struct):
    subscription: _Subscription
    method: str = ""


class _Frame(msgspec.Struct):
    channel: str
    data: msgspec.Raw = wire.ABSENT


class _Book(msgspec.Struct):
    coin: str
    time: int
    levels: tuple[list[_Level], list[_Level]]


class _Asset(msgspec.Struct):
    name: str


class _Meta(msgspec.Struct):
    universe: list[_Asset]


_FRAME = msgspec.json.Decoder(_Frame)
_BEST = msgspec.json.Decoder(_Best)
_CONTEXT = msgspec.json.Decoder(_Context)
_ANSWER = msgspec.json.Decoder(_Answer)
_ERROR = msgspec.json.Decoder(str)
_BOOK = msgspec.json.Decoder(_Book | None)
_ASSETS = msgspec.json.Decoder(tuple[_Meta, list[_Prices]])
_NAMED = re.compile(r'"(?:coin|type)":"([^"]{1,40})"')
_PING = '{"method":"ping"}'
_ORACLE, _MARK = ".oracle", ".mark"

LIMITS = Limits(
    doc="https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/rate-limits-and-user-limits",
    symbols_per_connection=500,
    frames_per_s=10.0,
    connects=30,
    connects_window_s=60.0,
    ping_every_s=30.0,
    silence_s=50.0,
    rest_every_s=1.0,
    wait_s={403: 300.0, 429: 30.0, 451: 3600.0},
)


def is_spot(coin: str) -> bool:
    return coin.startswith("@") or "/" in coin


@dataclass(frozen=True, slots=True)
class Hyperliquid:
    """Spot coins, channel `bbo`, sent when a block changes it. Times in milliseconds."""

    name: str = "hyperliquid"
    url: str = URL
    rest_url: str = REST_URL

    trade_driven: ClassVar[bool] = False
    limits: ClassVar[Limits] = LIMITS

    @property
    def endpoints(self) -> tuple[str, ...]:
        return (self.url,)

    def open(self, symbols: Sequence[str]) -> tuple[State, Sequence[str]]:
        return frozenset(symbols), [_subscribe("bbo", symbol) for symbol in symbols]

    def step(self, state: State, frame: Frame, received_at: Timestamp) -> Step:
        """A perpetual's quotes are left out, and its confirmation is a refusal."""
        message = wire.decode(_FRAME, frame)
        match message.channel:
            case "bbo":
                best = wire.decode(_BEST, bytes(message.data))
                return Step(state, (_best(self.name, best, frame, received_at),) if is_spot(best.coin) else ())
            case "subscriptionResponse":
                return Step(state, events=(_spot_answer(wire.decode(_ANSWER, bytes(message.data))),))
        return Step(state, events=(_event(message, state),))

    def ping(self) -> str:
        return _PING

    def rest(self, symbol: str) -> RestRequest:
        return _asked(self.rest_url, type="l2Book", coin=symbol)

    def parse_rest(self, symbol: str, status: int, body: bytes, received_at: Timestamp) -> Quote | VenueEvent:
        if not is_spot(symbol):
            return _perpetual(symbol)
        return _book(self.name, symbol, status, body, received_at)


@dataclass(frozen=True, slots=True)
class HyperliquidPerp:
    """Perpetuals: `BTC` is the book's best bid and ask. A reference, and no spot price: an index takes it if told to.

    `BTC.oracle` and `BTC.mark` are the oracle's and the mark price that the chain itself settles by, stated as the last
    price; they come without a time (channel `activeAssetCtx`).
    """

    name: str = "hyperliquid_perp"
    url: str = URL
    rest_url: str = REST_URL

    trade_driven: ClassVar[bool] = False
    limits: ClassVar[Limits] = LIMITS

    @staticmethod
    def perpetual(symbol: str) -> str:
        """The book of `BTC`: what the chain states as `BTC.oracle` and `BTC.mark` is no market."""
        return _coin(symbol)

    @property
    def endpoints(self) -> tuple[str, ...]:
        return (self.url,)

    def open(self, symbols: Sequence[str]) -> tuple[State, Sequence[str]]:
        """One subscription to a coin's context, though two symbols may want it: a second one is an error."""
        wanted = dict.fromkeys(("activeAssetCtx" if _context_of(s) else "bbo", _coin(s)) for s in symbols)
        return frozenset(symbols), [_subscribe(channel, coin) for channel, coin in wanted]

    def step(self, state: State, frame: Frame, received_at: Timestamp) -> Step:
        message = wire.decode(_FRAME, frame)
        match message.channel:
            case "bbo":
                best = wire.decode(_BEST, bytes(message.data))
                return Step(state, (_best(self.name, best, frame, received_at),))
            case "activeAssetCtx":
                context = wire.decode(_CONTEXT, bytes(message.data))
                return Step(state, tuple(self._stated(state, context, frame, received_at)))
            case "subscriptionResponse":
                made = wire.decode(_ANSWER, bytes(message.data)).subscription
                return Step(state, events=(VenueEvent("subscribed", _meant(state, made.type, made.coin)),))
        return Step(state, events=(_event(message, state),))

    def _stated(self, state: State, context: _Context, frame: Frame, received_at: Timestamp) -> Iterator[Quote]:
        for symbol in _meant(state, "activeAssetCtx", context.coin):
            yield _last(self.name, symbol, context.ctx, frame, received_at)

    def ping(self) -> str:
        return _PING

    def rest(self, symbol: str) -> RestRequest:
        coin = _coin(symbol)
        if not _context_of(symbol):
            return _asked(self.rest_url, type="l2Book", coin=coin)
        dex, colon, _ = coin.partition(":")
        return _asked(self.rest_url, type="metaAndAssetCtxs", **({"dex": dex} if colon else {}))

    def parse_rest(self, symbol: str, status: int, body: bytes, received_at: Timestamp) -> Quote | VenueEvent:
        if not _context_of(symbol):
            return _book(self.name, symbol, status, body, received_at)
        if status != 200:
            raise FeedProtocolError(f"HTTP {status}: {body[:100].decode(errors='replace')}")
        meta, contexts = wire.decode(_ASSETS, body)
        coin = _coin(symbol)
        for asset, prices in zip(meta.universe, contexts, strict=False):
            if asset.name == coin:
                return _last(self.name, symbol, prices, body, received_at)
        return VenueEvent("symbol_refused", (symbol,), "no such perpetual")


def _subscribe(channel: str, coin: str) -> str:
    return wire.encode({"method": "subscribe", "subscription": {"type": channel, "coin": coin}})


def _asked(rest_url: str, **question: str) -> RestRequest:
    return RestRequest(f"{rest_url}/info", body=wire.encode(question))


def _context_of(symbol: str) -> str:
    """The ending by which a symbol names a price of the coin's context, or nothing."""
    return next((ending for ending in (_ORACLE, _MARK) if symbol.endswith(ending)), "")


def _coin(symbol: str) -> str:
    return symbol.removesuffix(_context_of(symbol))


def _meant(state: State, channel: str, coin: str) -> tuple[str, ...]:
    """The symbols for which a channel of a coin stands."""
    if channel != "activeAssetCtx":
        return (coin,)
    return tuple(symbol for ending in (_ORACLE, _MARK) if (symbol := coin + ending) in state)


def _perpetual(coin: str) -> VenueEvent:
    return VenueEvent("symbol_refused", (coin,), f"{coin} is a perpetual: its kind is hyperliquid_perp")


def _spot_answer(answer: _Answer) -> VenueEvent:
    coin = answer.subscription.coin
    return VenueEvent("subscribed", (coin,)) if is_spot(coin) else _perpetual(coin)


def _event(message: _Frame, state: State) -> VenueEvent:
    if message.channel == "pong":
        return HEARTBEAT
    if message.channel != "error":
        raise FeedProtocolError(f"channel {message.channel[:40]!r} was not subscribed to")
    reason = wire.decode(_ERROR, bytes(message.data))
    if reason.startswith("Already subscribed"):
        return HEARTBEAT
    if "too many" in reason.lower() or "rate limit" in reason.lower():
        return VenueEvent("rate_limited", reason=reason)
    named = _NAMED.findall(reason)
    channel, coins = next(((n for n in named if n == "activeAssetCtx")), ""), [n for n in named if n in _coins(state)]
    return VenueEvent("symbol_refused", tuple(s for coin in coins for s in _meant(state, channel, coin)), reason)


def _coins(state: State) -> set[str]:
    return {_coin(symbol) for symbol in state}


def _best(venue: str, best: _Best, frame: Frame, received_at: Timestamp) -> Quote:
    """Bid, then ask; null, or left out at the end, where a side is empty."""
    bid, ask, *_ = (*best.bbo, None, None)
    return _quote(venue, best.coin, best.time, bid, ask, frame, received_at)


def _book(venue: str, symbol: str, status: int, body: bytes, received_at: Timestamp) -> Quote | VenueEvent:
    if status != 200:
        raise FeedProtocolError(f"HTTP {status}: {body[:100].decode(errors='replace')}")
    book = wire.decode(_BOOK, body)
    if book is None:
        return VenueEvent("symbol_refused", (symbol,), "no such coin")
    wire.answered(symbol, book.coin)
    bid, ask = (side[0] if side else None for side in book.levels)
    return _quote(venue, symbol, book.time, bid, ask, body, received_at)


def _quote(
    venue: str, symbol: str, time_ms: int, bid: _Level | None, ask: _Level | None, frame: Frame, received_at: Timestamp
) -> Quote:
    return wire.quote(
        wire.source(venue, symbol),
        received_at,
        wire.from_millis(time_ms),
        wire.side_e18(bid.px) if bid else None,
        wire.side_e18(ask.px) if ask else None,
        wire.side_e18(bid.sz) if bid else None,
        wire.side_e18(ask.sz) if ask else None,
        None,
        None,
        wire.frame_hash(frame),
    )


def _last(venue: str, symbol: str, prices: _Prices, frame: Frame, received_at: Timestamp) -> Quote:
    price = wire.side_e18(prices.oracle if symbol.endswith(_ORACLE) else prices.mark)
    source, digest = wire.source(venue, symbol), wire.frame_hash(frame)
    return wire.quote(source, received_at, None, None, None, None, None, price, None, digest)
