"""What a venue says and understands: pure descriptions without sockets, clocks or tasks.

A venue is a frozen dataclass whose fields are its parameters. The state of one connection is an explicit value that
`open` starts and `step` moves on, so that a recorded connection replays without a network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

from keeper.domain.quote import Observation, Quote
from keeper.domain.time import Timestamp

Frame = str | bytes
"""One websocket message or one event of an event stream as received, or one text message to send."""

Message = str | Callable[[Timestamp], str]
"""One text message to send, or how it reads at the moment in which it is sent."""

EventKind = Literal[
    "subscribed",
    "heartbeat",
    "symbol_refused",
    "reconnect_requested",
    "maintenance",
    "online",
    "rate_limited",
]


@dataclass(frozen=True, slots=True)
class VenueEvent:
    """Something a venue said that is not a price. `symbols` are those it concerns; empty means the connection."""

    kind: EventKind
    symbols: tuple[str, ...] = ()
    reason: str = ""
    retry_in_s: float | None = None


HEARTBEAT = VenueEvent("heartbeat")


class Step(NamedTuple):
    """Outcome of one frame. A tuple, because one is made for every frame of every venue.

    `confirmations` are quotes that a heartbeat found unchanged: they refresh `received_at` and are no sign of life of
    the data channel.
    """

    state: object
    observations: Sequence[Observation] = ()
    replies: Sequence[Message] = ()
    events: Sequence[VenueEvent] = ()
    confirmations: Sequence[Quote] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """What a venue's documentation allows and promises. `doc` is the page that says so; times in seconds."""

    doc: str
    symbols_per_connection: int
    symbols_per_frame: int = 1
    """Symbols in one subscribe message. One where a single bad symbol fails the whole message."""
    frames_per_s: float = 10.0
    """Messages that we may send."""
    connects: int = 1
    connects_window_s: float = 1.0
    """At most `connects` new connections in `connects_window_s`."""
    settle_s: float = 0.0
    """Pause between the connection and our first message, where the venue wants one."""
    ping_every_s: float | None = None
    """Interval of the application's own ping, where the venue wants one."""
    silence_s: float | None = None
    """Without any frame for so long the connection is dead. None where an idle connection is silent by design."""
    quiet_s: float = 10.0
    """Without data of one symbol for so long, heartbeats aside, the symbol is checked by REST."""
    rotate_after_s: float | None = None
    """Age at which a connection is replaced, ahead of the venue's own cut."""
    rest_every_s: float = 1.0
    """Shortest interval between two REST requests."""
    wait_s: Mapping[int, float] = field(default_factory=dict)
    """Waiting time by HTTP status where the answer carries no Retry-After."""


@dataclass(frozen=True, slots=True)
class RestRequest:
    """What to ask for the current ticker of one symbol, or for admission: with a body it is the POST of that as JSON."""

    url: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """May carry a key, and so is never shown."""
    method: Literal["GET", "POST"] = "GET"
    body: str | None = None


@dataclass(frozen=True, slots=True)
class Admission:
    """What a venue grants for one connection. `params` go into its query and hold a token: they are never shown."""

    endpoints: Sequence[str]
    """Websocket URLs in the venue's order of preference, as it stated them: not yet believed."""
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    ping_every_s: float | None = None
    """Interval of the application's ping, as the venue stated it."""


S = TypeVar("S")
"""State of one connection: an immutable value."""


class StreamVenue(Protocol[S]):
    """One venue's streaming dialect.

    `trade_driven` tells that the data channel speaks on trades only, so that a book which moves without a trade is no
    sign of a stalled stream.
    """

    @property
    def name(self) -> str:
        """First part of every SourceId of this venue."""
        ...

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Websocket URLs in order of preference."""
        ...

    @property
    def limits(self) -> Limits: ...

    @property
    def trade_driven(self) -> bool: ...

    def open(self, symbols: Sequence[str]) -> tuple[S, Sequence[Message]]:
        """State of a fresh connection and what to say once it stands."""
        ...

    def step(self, state: S, frame: Frame, received_at: Timestamp) -> Step:
        """Understands one frame. Raises FeedProtocolError when it breaks the documented schema.

        `changed_at` of the quotes it yields equals `received_at`: the reader of the connection knows better.
        """
        ...

    def ping(self) -> str | None:
        """The application's ping message, where `limits.ping_every_s` is set."""
        ...

    def rest(self, symbol: str) -> RestRequest | None:
        """The request for one symbol's ticker; None where the venue has none."""
        ...

    def parse_rest(self, symbol: str, status: int, body: bytes, received_at: Timestamp) -> Quote | VenueEvent:
        """The ticker, or `symbol_refused`. Raises RateLimited or FeedProtocolError."""
        ...


@runtime_checkable
class TradeVenue(StreamVenue[S], Protocol[S]):
    """A venue that tells trades besides, of those symbols of a connection that `trades` names and of no others."""

    @property
    def gives_trades(self) -> bool: ...

    @property
    def trades(self) -> frozenset[str]: ...


@runtime_checkable
class PerpetualVenue(Protocol):
    """A venue that quotes perpetuals, alone or beside spot: what a symbol is, its name alone tells."""

    @staticmethod
    def perpetual(symbol: str) -> str:
        """The name of a perpetual that is nearest to `symbol`: `symbol` itself where that is one."""
        ...


@runtime_checkable
class AdmittingVenue(Protocol):
    """A venue that must be asked by HTTP before each connection: a StreamVenue with these besides.

    Nothing granted is kept: a connection that ends, whatever for, is followed by one with a grant of its own.
    """

    @property
    def hosts(self) -> tuple[str, ...]:
        """The domains to which a grant may send us, subdomains included."""
        ...

    @property
    def own_url(self) -> str | None:
        """The operator's websocket URL, which stands in place of the granted endpoints."""
        ...

    def admission(self) -> RestRequest: ...

    def parse_admission(self, status: int, body: bytes) -> Admission:
        """Raises RateLimited or FeedProtocolError."""
        ...


@runtime_checkable
class EventStreamVenue(StreamVenue[S], Protocol[S]):
    """A venue that streams over HTTP (text/event-stream): what it is to send stands in the request, and nothing else is said.

    `endpoints` are http(s) URLs, `open` has nothing to say and `ping` is None. A frame is one event as received, without
    the empty line that ends it; a comment is one too.
    """

    def stream(self, endpoint: str, symbols: Sequence[str]) -> RestRequest:
        """The request whose answer streams `symbols`."""
        ...
