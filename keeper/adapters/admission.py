"""Being let in by a venue that hands out its own address. What it answers decides where we connect, so it is distrusted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from keeper.adapters.polling import RestClient
from keeper.errors import FeedProtocolError
from keeper.ports.venue import AdmittingVenue, StreamVenue

_ENDPOINT = re.compile(r"(wss?)://([a-z0-9.-]{1,253})(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]{0,200})?")
"""The whole address: no user, no query, nothing that two parsers could read in two ways."""
_LOOPBACK = frozenset({"127.0.0.1", "localhost"})
_MAX_ENDPOINTS = 16
_MAX_PARAM = 4_096
_FASTEST_PING_S = 1.0


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one connection goes. `params` may hold a token."""

    url: str
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    ping_every_s: float | None = None
    """Interval of the application's ping, where the venue has just stated one."""

    def veiled(self, text: str) -> str:
        """`text` without the query of any URL in it: errors of the HTTP library state the URL that was asked for."""
        return re.sub(r"\?[^\s'\"<>)]+", "?…", text) if self.params else text


async def enter(venue: StreamVenue[object], url: str, turn: int, rest: RestClient) -> Entry:
    """The entry for one connection: `url` itself, or what the venue grants now.

    `turn` counts the attempts since the last success, so that each granted endpoint gets its chance. Raises
    RateLimited, FeedDisconnected or FeedProtocolError.
    """
    if not isinstance(venue, AdmittingVenue):
        return Entry(url)
    grant = await rest.admission(venue)
    if any(len(value) > _MAX_PARAM for value in grant.params.values()):
        raise FeedProtocolError(f"a token longer than {_MAX_PARAM} characters")
    if venue.own_url is not None:
        endpoint = venue.own_url
    else:
        asked = urlsplit(venue.admission().url).hostname or ""
        endpoint = _chosen(grant.endpoints, turn, venue.hosts, asked)
    return Entry(endpoint, grant.params, _bearable_s(grant.ping_every_s, venue.limits.ping_every_s))


def _chosen(endpoints: Sequence[str], turn: int, hosts: Sequence[str], asked: str) -> str:
    allowed = [endpoint for endpoint in endpoints[:_MAX_ENDPOINTS] if is_allowed(endpoint, hosts, asked)]
    if not allowed:
        named = ", ".join(endpoint[:60] for endpoint in endpoints[:3]) or "nothing"
        raise FeedProtocolError(f"sent to {named}, which is not wss:// on {' or '.join(hosts)}")
    return allowed[turn % len(allowed)]


def is_allowed(endpoint: str, hosts: Sequence[str], asked: str) -> bool:
    """Encrypted and within the venue's own domains; or on this machine, if this machine was asked."""
    match = _ENDPOINT.fullmatch(endpoint)
    if match is None:
        return False
    scheme, host = match[1], match[2]
    if host in _LOOPBACK and asked in _LOOPBACK:
        return True
    return scheme == "wss" and any(host == domain or host.endswith(f".{domain}") for domain in hosts)


def _bearable_s(stated_s: float | None, documented_s: float | None) -> float | None:
    """A venue may quicken our pings within reason. It cannot slow them down: too late a ping costs the connection."""
    if stated_s is None or documented_s is None:
        return None
    return min(documented_s, max(_FASTEST_PING_S, stated_s))
