"""Gate v4 perpetuals, best bid and ask: https://www.gate.com/docs/developers/futures/ws/en/#best-ask-bid-subscription

Spot's messages on another channel and at another address, one for each currency of settlement: here USDT. Sizes are in contracts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import msgspec

from keeper.adapters.sources import wire
from keeper.adapters.sources.gate import Gate, contracts_e18, refused
from keeper.domain.quote import Quote
from keeper.domain.time import Timestamp
from keeper.errors import FeedProtocolError
from keeper.ports.venue import RestRequest, VenueEvent

URL = "wss://fx-ws.gateio.ws/v4/ws/usdt"


class _RestTicker(msgspec.Struct):
    contract: str
    last: str
    lowest_ask: str
    highest_bid: str
    lowest_size: str | int | None = None
    highest_size: str | int | None = None


_REST = msgspec.json.Decoder(list[_RestTicker])


@dataclass(frozen=True, slots=True)
class GatePerp(Gate):
    """Channel `futures.book_ticker`: a perpetual's book, and no spot price."""

    name: str = "gate_perp"
    url: str = URL

    market: ClassVar[str] = "futures"

    @staticmethod
    def perpetual(symbol: str) -> str:
        """Of `BTC_USDT_20261225` it is `BTC_USDT`."""
        return "_".join(symbol.split("_")[:2])

    def rest(self, symbol: str) -> RestRequest:
        return RestRequest(f"{self.rest_url}/api/v4/futures/usdt/tickers", {"contract": symbol})

    def parse_rest(self, symbol: str, status: int, body: bytes, received_at: Timestamp) -> Quote | VenueEvent:
        """The ticker states no time."""
        if status != 200:
            return refused(symbol, status, body, ("CONTRACT_NOT_FOUND",))
        tickers = wire.decode(_REST, body)
        if [ticker.contract for ticker in tickers] != [symbol]:
            raise FeedProtocolError(f"asked for {symbol}, answered {[t.contract for t in tickers[:3]]}")
        (ticker,) = tickers
        return wire.quote(
            wire.source(self.name, symbol),
            received_at,
            None,
            wire.side_e18(ticker.highest_bid),
            wire.side_e18(ticker.lowest_ask),
            contracts_e18(ticker.highest_size),
            contracts_e18(ticker.lowest_size),
            wire.side_e18(ticker.last),
            None,
            wire.frame_hash(body),
        )
