"""Asking a venue's REST ticker: to probe a silent stream, and in the stream's place while it is down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import aiohttp

from keeper.adapters.budget import LIMITING, Budget, retry_after_s
from keeper.adapters.causes import cause
from keeper.adapters.intake import Intake, Order
from keeper.domain.ids import SourceId, source_id
from keeper.domain.quote import Quote
from keeper.errors import FeedDisconnected, FeedProtocolError, RateLimited
from keeper.ports.clock import Clock
from keeper.ports.venue import Admission, AdmittingVenue, RestRequest, StreamVenue, VenueEvent

A = TypeVar("A")


@dataclass(slots=True)
class RestClient:
    """Requests to one venue: paced, bounded in time and size, without redirects, silent while the venue says wait."""

    venue: StreamVenue[object]
    session: aiohttp.ClientSession
    clock: Clock
    budget: Budget
    intake: Intake
    timeout_s: float
    max_bytes: int

    async def fetch(self, symbol: str) -> Quote | VenueEvent | None:
        """The ticker, a `symbol_refused` event, or None where the venue has no REST ticker.

        Raises RateLimited, FeedDisconnected (refused, timed out) or FeedProtocolError.
        """
        request = self.venue.rest(symbol)
        if request is None:
            return None
        status, body = await self._exchange(request, symbol)
        return self._parsed(status, lambda: self.venue.parse_rest(symbol, status, body, self.clock.now()))

    async def admission(self, venue: AdmittingVenue) -> Admission:
        """Asks to be let in. Raises as `fetch` does."""
        status, body = await self._exchange(venue.admission(), "admission")
        return self._parsed(status, lambda: venue.parse_admission(status, body))

    async def _exchange(self, request: RestRequest, subject: str) -> tuple[int, bytes]:
        loop = asyncio.get_running_loop()
        if left := self.budget.blocked_s(loop.time()):
            raise RateLimited("the venue asked us to wait", left)
        await asyncio.sleep(self.budget.reserve_rest(loop.time()))
        try:
            async with (
                asyncio.timeout(self.timeout_s),
                self._asked(request) as response,
            ):
                if response.status in LIMITING:
                    raise self._limited(response)
                return response.status, await self._body(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise FeedDisconnected(f"REST of {subject}: {cause(error)}") from None

    def _parsed(self, status: int, parse: Callable[[], A]) -> A:
        try:
            return parse()
        except RateLimited as error:
            wait_s = error.retry_after_s or self.budget.status_wait_s(429)
            self.slow_down(wait_s, "rest_body", str(error))
            raise
        except FeedProtocolError as error:
            if status >= 500:
                raise FeedDisconnected(f"HTTP {status}: {error}") from error
            raise

    def _asked(self, request: RestRequest) -> aiohttp.client._RequestContextManager:
        method: str
        headers: Mapping[str, str]
        if request.body is None:
            method, headers = request.method, request.headers
        else:
            method, headers = "POST", {"Content-Type": "application/json", **request.headers}
        return self.session.request(
            method, request.url, params=request.params, headers=headers, data=request.body, allow_redirects=False
        )

    def slow_down(self, wait_s: float, reason: str, detail: str) -> None:
        """Nothing is asked of the venue for `wait_s`."""
        self.budget.block(asyncio.get_running_loop().time(), wait_s)
        self.intake.tell("rate_limited", (), self.clock.now(), reason, detail, wait_s)

    def _limited(self, response: aiohttp.ClientResponse) -> RateLimited:
        named = retry_after_s(response.headers, self.clock.now())
        wait_s = self.budget.status_wait_s(response.status) if named is None else named
        self.slow_down(wait_s, f"http_{response.status}", str(response.url.path))
        return RateLimited(f"HTTP {response.status}", wait_s)

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        body = b""
        async for chunk in response.content.iter_chunked(65_536):
            body += chunk
            if len(body) > self.max_bytes:
                raise FeedProtocolError(f"REST answer larger than {self.max_bytes} bytes")
        return body


@dataclass(slots=True)
class Fallback:
    """Polls in the stream's place. Every round is marked by a `probed` notice with the reason `fallback`."""

    rest: RestClient
    intake: Intake
    symbols: Sequence[str]
    every_s: float
    wanted: Callable[[SourceId], bool]
    """Whether the stream does not bring this source."""

    async def run(self) -> None:
        order = Order()
        while True:
            await asyncio.sleep(self.every_s)
            missing = [s for s in self.symbols if self._missing(source_id(self.rest.venue.name, s))]
            if missing:
                await self._round(missing, order)
            else:
                order = Order()

    def _missing(self, source: SourceId) -> bool:
        return self.wanted(source) and not self.intake.is_benched(source)

    async def _round(self, symbols: Sequence[str], order: Order) -> None:
        for symbol in symbols:
            try:
                answer = await self.rest.fetch(symbol)
            except RateLimited:
                return
            except FeedDisconnected:
                continue
            except FeedProtocolError as error:
                self.intake.bad((source_id(self.rest.venue.name, symbol),), self.rest.clock.now(), str(error))
                continue
            if isinstance(answer, Quote) and self.wanted(answer.source) and self.intake.admit(answer, order):
                self.intake.tell("probed", (answer.source,), answer.received_at, reason="fallback")
