"""Gate's futures websocket v4 and REST ticker: https://www.gate.com/docs/developers/futures/ws/en/"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar

from aiohttp import web

from keeper.devnet.venues.gate import GateServer
from keeper.devnet.venues.pricing import Listing, Manner
from keeper.devnet.venues.server import Handler

_CONTRACT = Decimal("0.0001")


class GatePerpServer(GateServer):
    """Spot's dialect on other channels; sizes are whole contracts."""

    name = "gate_perp"
    ws_path = "/v4/ws/usdt"
    family, noun = "futures", "contract"
    listings: ClassVar[Mapping[str, Listing]] = {
        "BTC_USDT": Listing("BTC", "USDT", Decimal("0.1")),
        "ETH_USDT": Listing("ETH", "USDT", Decimal("0.01")),
    }
    manner = Manner(spread_bps=0.4, noise_bps=0.8, lag_s=0.05)

    def rest_routes(self) -> Mapping[str, Handler]:
        return {"/api/v4/futures/usdt/tickers": self._rest_contract}

    def sized(self, size: Decimal) -> object:
        return int(size / _CONTRACT)

    async def _rest_contract(self, request: web.Request) -> web.Response:
        contract = request.query.get("contract", "")
        if contract not in self.listings:
            return web.json_response(
                {"label": "CONTRACT_NOT_FOUND", "message": f"contract {contract} not found"}, status=400
            )
        tick = self.rest_tick(contract)
        ticker = {
            "contract": contract,
            "last": str(tick.last),
            "lowest_ask": str(tick.ask),
            "lowest_size": str(self.sized(tick.ask_size)),
            "highest_bid": str(tick.bid),
            "highest_size": str(self.sized(tick.bid_size)),
            "funding_rate": "0.0001",
            "quanto_multiplier": str(_CONTRACT),
        }
        return web.json_response([ticker])
