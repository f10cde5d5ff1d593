"""Gate's spot websocket v4 and REST ticker: https://www.gate.com/docs/developers/apiv4/ws/en/"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, ClassVar

from aiohttp import web

from keeper.devnet.venues.pricing import Listing, Manner
from keeper.devnet.venues.server import Client, Handler
from keeper.devnet.venues.tape import Tick
from keeper.devnet.venues.venue import VenueServer, compact
from keeper.domain.time import MILLISECOND, SECOND

_MAX_SKEW_S = 60


class GateServer(VenueServer):
    """One bad pair fails its whole request, and so does a request whose `time` is more than a minute off."""

    name = "gate"
    ws_path = "/ws/v4/"
    family, noun = "spot", "currency pair"
    listings: ClassVar[Mapping[str, Listing]] = {
        "BTC_USDT": Listing("BTC", "USDT", Decimal("0.1")),
        "ETH_USDT": Listing("ETH", "USDT", Decimal("0.01")),
    }
    manner = Manner(spread_bps=0.5, noise_bps=0.3, lag_s=0.05)

    def rest_routes(self) -> Mapping[str, Handler]:
        return {"/api/v4/spot/tickers": self._rest_ticker}

    async def hear(self, client: Client, text: str) -> None:
        try:
            request = json.loads(text)
            channel, sent_s = str(request["channel"]), int(request["time"])
            event, pairs = request.get("event", ""), [str(pair) for pair in request.get("payload", [])]
        except (ValueError, KeyError, TypeError, AttributeError):
            await self.say(client, (self._answer({}, "", "", (1, "invalid request body")),))
            return
        if channel == f"{self.family}.ping":
            await self.say(client, (self._pong(),))
            return
        error = self._objection(channel, event, pairs, sent_s)
        await self.say(client, (self._answer(request, channel, event, error),))
        if error is None:
            for pair in pairs:
                await self.subscribe(client, pair, channel)

    def _objection(self, channel: str, event: str, pairs: list[str], sent_s: int) -> tuple[int, str] | None:
        unknown = [pair for pair in pairs if pair not in self.listings]
        if abs(self.clock.now() // SECOND - sent_s) > _MAX_SKEW_S:
            return 2, f"invalid argument: time {sent_s}"
        if channel != f"{self.family}.book_ticker" or event != "subscribe" or not pairs:
            return 2, f"unknown channel or event: {channel} {event}"
        return (2, f"unknown {self.noun}: {unknown[0]}") if unknown else None

    def _answer(self, request: Mapping[str, Any], channel: str, event: str, error: tuple[int, str] | None) -> str:
        number = {"id": request["id"]} if "id" in request else {}
        failure = {} if error is None else {"error": {"code": error[0], "message": error[1]}}
        result = {"status": "success" if error is None else "fail"}
        envelope = {**self._times(), **number, "conn_id": "62f2c1dabbe186d7", "channel": channel, "event": event}
        return compact({**envelope, "payload": request.get("payload", []), **failure, "result": result})

    def _pong(self) -> str:
        return compact({**self._times(), "channel": f"{self.family}.pong", "event": "", "result": None})

    def _times(self) -> dict[str, int]:
        now = self.clock.now()
        return {"time": now // SECOND, "time_ms": now // MILLISECOND}

    def ticker(self, client: Client, tick: Tick) -> Iterable[str]:
        book = {
            "t": tick.at // MILLISECOND,
            "u": tick.sequence,
            "s": tick.symbol,
            "b": str(tick.bid),
            "B": self.sized(tick.bid_size),
            "a": str(tick.ask),
            "A": self.sized(tick.ask_size),
        }
        channel = client.channels[tick.symbol]
        yield compact({**self._times(), "channel": channel, "event": "update", "result": book})

    def sized(self, size: Decimal) -> object:
        return str(size)

    def drifted(self, frame: str) -> str:
        return frame.replace('"b":', '"bid":').replace('"a":', '"ask":')

    def limited_body(self) -> str:
        return '{"label":"TOO_MANY_REQUESTS","message":"Request Rate Limit Exceeded"}'

    async def _rest_ticker(self, request: web.Request) -> web.Response:
        pair = request.query.get("currency_pair", "")
        if pair not in self.listings:
            error = {"label": "INVALID_CURRENCY_PAIR", "message": f"Invalid currency pair {pair}"}
            return web.json_response(error, status=400)
        tick = self.rest_tick(pair)
        ticker = {
            "currency_pair": pair,
            "last": str(tick.last),
            "lowest_ask": str(tick.ask),
            "lowest_size": str(tick.ask_size),
            "highest_bid": str(tick.bid),
            "highest_size": str(tick.bid_size),
            "change_percentage": "-1.18",
            "base_volume": "1219.05",
        }
        return web.json_response([ticker])
