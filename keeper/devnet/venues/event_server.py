"""A local venue that streams over HTTP instead of a websocket: the same faults, the same script, the same clients."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from contextlib import suppress
from typing import ClassVar

from aiohttp import web

from keeper.devnet.venues.server import Client
from keeper.devnet.venues.venue import VenueServer


class EventSocket:
    """An answer that goes on, spoken to as a websocket is."""

    def __init__(self, response: web.StreamResponse) -> None:
        self.response = response
        self.ended = asyncio.Event()

    async def send_str(self, data: str) -> None:
        await self.send_bytes(data.encode())

    async def send_bytes(self, data: bytes) -> None:
        try:
            await self.response.write(data + b"\n\n")
        except ConnectionError:
            self.ended.set()
            raise

    async def close(self, *, code: int = 0) -> None:  # noqa: ARG002  a websocket's
        with suppress(ConnectionError):
            await self.response.write_eof()
        self.ended.set()


class EventStreamServer(VenueServer):
    """One HTTP server with one streaming path. `ws_path` is that path; a client has spoken by its request alone."""

    content_type: ClassVar[str] = "text/event-stream"

    @abstractmethod
    async def accept(self, client: Client) -> web.Response | None:
        """Reads the client's request and notes its channels. An answer means that it is turned away."""

    @abstractmethod
    async def greet(self, client: Client) -> None:
        """Says what a fresh stream begins with."""

    def options(self) -> dict[str, str]:
        return {"url": f"{self.rest_url}{self.ws_path}", "rest_url": self.rest_url}

    async def _serve_socket(self, request: web.Request) -> web.StreamResponse:
        self.connects += 1
        self.news.set()
        if (limited := self._limited()) is not None:
            return limited
        response = web.StreamResponse(headers={"Content-Type": self.content_type, "Cache-Control": "no-cache"})
        socket = EventSocket(response)
        client = Client(socket, request, told_at=asyncio.get_running_loop().time())
        if (refused := await self.accept(client)) is not None:
            return refused
        await response.prepare(request)
        if self.faults.active("drop"):
            client.cut()
            return response
        client.heard.append(request.path_qs)
        self.clients.append(client)
        try:
            if self._script is not None:
                await self._recite(client, self._script)
            else:
                await self.greet(client)
            self.news.set()
            await socket.ended.wait()
        finally:
            self.clients.remove(client)
            self.news.set()
        return response
