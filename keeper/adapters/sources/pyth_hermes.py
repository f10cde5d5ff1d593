"""Pyth prices from a Hermes server, as server-sent events: https://docs.pyth.network/price-feeds/core/api-reference

Symbols are price feed ids, 64 hexadecimal digits: https://docs.pyth.network/price-feeds/core/price-feeds/price-feed-ids
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple
from urllib.parse import urlencode

import msgspec

from keeper.adapters.signers.secret_file import Secret
from keeper.adapters.sources import wire
from keeper.adapters.sources.event_stream import event_of
from keeper.domain.quote import Quote
from keeper.domain.time import Timestamp
from keeper.errors import ConfigError, FeedProtocolError, RateLimited
from keeper.ports.venue import HEARTBEAT, Frame, Limits, RestRequest, Step, VenueEvent

REST_URL = "https://pyth.dourolabs.app/hermes"
URL = f"{REST_URL}/v2/updates/price/stream"

_ID = re.compile(r"(?:0[xX])?([0-9a-fA-F]{64})")
_WHOLE = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_MAX_EXPONENT = 30
_TEN_TO: tuple[int, ...] = tuple(10**power for power in range(18 + _MAX_EXPONENT + 1))
_KEY = re.compile(r"[\x21-\x7e]{1,4096}")


class State(NamedTuple):
    """Id as the venue writes it → symbol as the settings do; and the ids that have come."""

    names: Mapping[str, str]
    heard: frozenset[str]


class _Price(msgspec.Struct):
    price: str
    conf: str
    expo: int
    publish_time: int


class _Parsed(msgspec.Struct):
    id: str
    price: _Price


class _Update(msgspec.Struct):
    parsed: list[_Parsed]


_UPDATE = msgspec.json.Decoder(_Update)


@dataclass(frozen=True, slots=True)
class PythHermes:
    """The aggregate price as a book without depth: bid = price − confidence, ask = price + confidence.

    So the mid is the price, and `index.max_spread_bps` bounds the confidence: a limit of 100 refuses one beyond half a per
    cent of the price, as `wide`, with the interval in the reason. There is no last price, which could stand in for it.
    `observed_at` is `publish_time`, in whole seconds. Servers ask for a key, which travels in a header alone.
    """

    name: str = "pyth_hermes"
    url: str = URL
    rest_url: str = REST_URL
    key: Secret | None = field(default=None, repr=False)

    trade_driven: ClassVar[bool] = False
    limits: ClassVar[Limits] = Limits(
        doc="https://docs.pyth.network/price-feeds/core/rate-limits",
        symbols_per_connection=60,
        connects=5,
        connects_window_s=10.0,
        silence_s=40.0,
        rotate_after_s=23 * 3600.0,
        rest_every_s=1.5,
        wait_s={403: 300.0, 429: 60.0, 451: 3600.0},
    )

    def __post_init__(self) -> None:
        if self.key is not None and not _KEY.fullmatch(self.key.reveal().decode(errors="replace").strip()):
            raise ConfigError("the key is not one line of printable characters")

    @property
    def endpoints(self) -> tuple[str, ...]:
        return (self.url,)

    def open(self, symbols: Sequence[str]) -> tuple[State, Sequence[str]]:
        return State(_named(symbols), frozenset()), ()

    def stream(self, endpoint: str, symbols: Sequence[str]) -> RestRequest:
        """Ids that the server does not know are skipped; REST tells of them."""
        ids = [("ids[]", number) for number in _named(symbols)]
        query = urlencode([*ids, ("encoding", "hex"), ("parsed", "true"), ("ignore_invalid_price_ids", "true")])
        return RestRequest(f"{endpoint}?{query}", headers=self._headers())

    def step(self, state: State, frame: Frame, received_at: Timestamp) -> Step:
        event = event_of(frame)
        if event.data is None:
            return Step(state, events=(HEARTBEAT,))
        if event.kind != "message":
            return Step(state, events=(VenueEvent("reconnect_requested", reason=f"{event.kind}: {event.data[:100]}"),))
        update, digest = wire.decode(_UPDATE, event.data), wire.frame_hash(frame)
        names, heard = state
        quotes, fresh = [], []
        for parsed in update.parsed:
            if (symbol := names.get(parsed.id)) is None:
                raise FeedProtocolError(f"price of {parsed.id[:66]!r}, which was not asked for")
            quotes.append(self._quote(symbol, parsed.price, digest, received_at))
            if parsed.id not in heard:
                fresh.append(parsed.id)
        if not fresh:
            return Step(state, quotes)
        first = VenueEvent("subscribed", tuple(names[number] for number in fresh))
        return Step(State(names, heard.union(fresh)), quotes, events=(first,))

    def _quote(self, symbol: str, stated: _Price, digest: str, received_at: Timestamp) -> Quote:
        """A price that is not positive, or not even certain to be, has no such side."""
        price, confidence = _scaled(stated.price, stated.expo), _scaled(stated.conf, stated.expo)
        if confidence < 0:
            raise FeedProtocolError(f"a confidence of {stated.conf[:40]}")
        low, high = price - confidence, price + confidence
        return wire.quote(
            wire.source(self.name, symbol),
            received_at,
            wire.from_seconds(stated.publish_time),
            low if low > 0 else None,
            high if high > 0 else None,
            None,
            None,
            None,
            None,
            digest,
        )

    def ping(self) -> None:
        """The server sends comments."""

    def rest(self, symbol: str) -> RestRequest:
        found = _ID.fullmatch(symbol)
        number = found[1].lower() if found else symbol
        query = urlencode([("ids[]", number), ("encoding", "hex"), ("parsed", "true")])
        return RestRequest(f"{self.rest_url}/v2/updates/price/latest?{query}", headers=self._headers())

    def parse_rest(self, symbol: str, status: int, body: bytes, received_at: Timestamp) -> Quote | VenueEvent:
        if status != 200:
            reason = body[:100].decode(errors="replace")
            if "rate limit" in reason.lower():
                raise RateLimited(reason)
            if status in (400, 404):
                return VenueEvent("symbol_refused", (symbol,), reason)
            raise FeedProtocolError(f"HTTP {status}: {reason}")
        update, names = wire.decode(_UPDATE, body), _named((symbol,))
        if len(update.parsed) != 1 or names.get(update.parsed[0].id) != symbol:
            raise FeedProtocolError(f"asked for one price, answered {len(update.parsed)}, or another")
        return self._quote(symbol, update.parsed[0].price, wire.frame_hash(body), received_at)

    def _headers(self) -> Mapping[str, str]:
        return {} if self.key is None else {"Authorization": f"Bearer {self.key.reveal().decode().strip()}"}


def _named(symbols: Sequence[str]) -> dict[str, str]:
    """By id as the venue writes it; what is no id is left out, for one would fail the whole request."""
    return {found[1].lower(): symbol for symbol in symbols if (found := _ID.fullmatch(symbol))}


def _scaled(text: str, exponent: int) -> int:
    """`text` · 10^exponent scaled by 1e18, digits beyond the 18th cut off."""
    if not _WHOLE.fullmatch(text):
        raise FeedProtocolError(f"{text[:40]!r} is not a whole number")
    if not -_MAX_EXPONENT <= exponent <= _MAX_EXPONENT:
        raise FeedProtocolError(f"an exponent of {exponent}")
    power = 18 + exponent
    if power >= 0:
        return int(text) * _TEN_TO[power]
    magnitude = abs(int(text)) // _TEN_TO[-power]
    return -magnitude if text.startswith("-") else magnitude
