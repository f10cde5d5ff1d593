"""Bitfinex's websocket v2 and REST ticker: https://docs.bitfinex.com/docs/ws-general"""

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

_SEQ_ALL = 65536


class BitfinexServer(VenueServer):
    """Arrays of JSON numbers under channel numbers; every array ends with a sequence number once SEQ_ALL is set."""

    name = "bitfinex"
    ws_path = "/ws/2"
    heartbeat_every_s = 15.0
    listings: ClassVar[Mapping[str, Listing]] = {
        "tBTCUSD": Listing("BTC", "USD", Decimal(1)),
        "tETHUSD": Listing("ETH", "USD", Decimal("0.1")),
        "tUSTUSD": Listing("USDT", "USD", Decimal("0.00001")),
    }
    manner = Manner(spread_bps=1.2, noise_bps=0.5, lag_s=0.2)

    def rest_routes(self) -> Mapping[str, Handler]:
        return {"/v2/ticker/{symbol}": self._rest_ticker}

    def greeting(self, _client: Client) -> Iterable[str]:
        yield compact({"event": "info", "version": 2, "serverId": "083bd8d4", "platform": {"status": 1}})

    async def hear(self, client: Client, text: str) -> None:
        try:
            request = json.loads(text)
            event = request["event"]
        except (ValueError, KeyError, TypeError):
            await self.say(client, (_error(10000, "unknown event"),))
            return
        if event == "conf":
            client.serial = 1 if int(request["flags"]) & _SEQ_ALL else 0
            await self.say(client, (compact({"event": "conf", "status": "OK", "flags": request["flags"]}),))
        elif event == "subscribe":
            await self._open_channel(client, str(request.get("symbol", "")))

    async def _open_channel(self, client: Client, symbol: str) -> None:
        if symbol not in self.listings:
            await self.say(client, (_error(10300, "symbol: invalid", channel="ticker", symbol=symbol),))
            return
        number = 224555 + len(client.channels)
        ack = {"event": "subscribed", "channel": "ticker", "chanId": number, "symbol": symbol, "pair": symbol[1:]}
        await self.say(client, (compact(ack),))
        await self.subscribe(client, symbol, number)

    def ticker(self, client: Client, tick: Tick) -> Iterable[str]:
        yield _numbered(client, client.channels[tick.symbol], _fields(tick))

    def heartbeat(self, client: Client) -> Iterable[str]:
        for number in client.channels.values():
            yield _numbered(client, number, '"hb"')

    def farewell(self, _client: Client) -> Iterable[str]:
        yield compact({"event": "info", "code": 20051, "msg": "Stopping. Please try to reconnect"})

    def drifted(self, frame: str) -> str:
        """The ticker becomes an object."""
        start, end = frame.index("[", 1), frame.index("]")
        bid, _, ask, *_ = frame[start + 1 : end].split(",")
        return f'{frame[:start]}{{"bid":{bid},"ask":{ask}}}{frame[end + 1 :]}'

    def limited_body(self) -> str:
        return '["error",11010,"ratelimit: error"]'

    async def _rest_ticker(self, request: web.Request) -> web.Response:
        symbol = request.match_info["symbol"]
        if symbol not in self.listings:
            return web.json_response(["error", 10020, "symbol: invalid"], status=500)
        return web.Response(text=_fields(self.rest_tick(symbol)), content_type="application/json")


def _fields(tick: Tick) -> str:
    """BID, BID_SIZE, ASK, ASK_SIZE, DAILY_CHANGE, DAILY_CHANGE_RELATIVE, LAST, VOLUME, HIGH, LOW."""
    return (
        f"[{tick.bid:f},{tick.bid_size * 25:f},{tick.ask:f},{tick.ask_size * 25:f},-1.02,-0.0001,"
        f"{tick.last:f},5191.36754297,{tick.last + 1:f},{tick.last:f}]"
    )


def _numbered(client: Client, channel: int, payload: str) -> str:
    if not client.serial:
        return f"[{channel},{payload}]"
    frame = f"[{channel},{payload},{client.serial}]"
    client.serial += 1
    return frame


def _error(code: int, message: str, **more: Any) -> str:
    return compact({**more, "event": "error", "msg": message, "code": code})
