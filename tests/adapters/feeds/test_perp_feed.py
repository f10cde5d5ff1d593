"""The perp exchange's own book, over a socket."""

from __future__ import annotations

import dataclasses
import re
from decimal import Decimal

from keeper.adapters.sources.perp import URL, Perp
from keeper.adapters.tuning import FeedTuning
from keeper.devnet.venues.perp import PerpServer
from keeper.domain.quote import Depth, Trade
from tests.architecture.code import ROOT
from tests.venues.harness import HASTY, WallClock, running

PATIENT = dataclasses.replace(HASTY, quiet_s=30.0)
BIDS = [(Decimal("64000.5") - n, Decimal("0.25")) for n in range(30)]
ASKS = [(Decimal("64001.5") + n, Decimal(1)) for n in range(3)]


async def test_book_and_trade__published_by_the_engine__arrive_as_depth_and_trade() -> None:
    async with PerpServer(WallClock(), ("BTC-USD", "ETH-USD")) as server:
        await server.publish_book("BTC-USD", BIDS, ASKS)
        async with running(Perp(**server.options()), ("BTC-USD",), PATIENT) as heard:
            await heard.until(lambda: heard.depths)
            await server.publish_book("ETH-USD", BIDS, ASKS)
            await server.publish_trade("BTC-USD", Decimal("64001.5"), Decimal("0.1"), "buy")
            await server.publish_book("BTC-USD", BIDS[1:], ASKS)
            await heard.until(lambda: len(heard.depths) == 2 and heard.trades)
    first, second = heard.depths
    assert (first.source, first.sequence, len(first.bids), len(first.asks)) == ("perp:BTC-USD", 1, 20, 3)
    assert (first.bids[0].price_e18, first.bids[0].size_e18) == (640005 * 10**17, 25 * 10**16)
    assert second.bids[0].price_e18 == 639995 * 10**17
    trade = heard.trades[0]
    assert (trade.price_e18, trade.size_e18, trade.trade_id) == (640015 * 10**17, 10**17, "1")
    assert heard.told("subscribed")[0].sources == ("perp:BTC-USD",)


async def test_unchanged_book__is_restated__and_its_silence_ends_the_connection() -> None:
    async with PerpServer(WallClock(), ("BTC-USD",)) as server:
        await server.publish_book("BTC-USD", BIDS, ASKS)
        tuning = dataclasses.replace(HASTY, quiet_s=1.5, unanswered_probes=1)
        async with running(Perp(**server.options()), ("BTC-USD",), tuning) as heard:
            await heard.until(lambda: len(heard.depths) >= 2)
            assert [d.sequence for d in heard.depths] == [1] * len(heard.depths)
            assert not heard.told("disconnected")
            server.faults.switch("stall")
            await heard.until(lambda: heard.told("disconnected", "stalled"))


async def test_unknown_market__is_refused() -> None:
    async with PerpServer(WallClock(), ("BTC-USD",)) as server:
        await server.publish_book("BTC-USD", BIDS, ASKS)
        async with running(Perp(**server.options()), ("NO-USD", "BTC-USD"), PATIENT) as heard:
            await heard.until(lambda: heard.told("symbol_refused") and heard.depths)
            assert heard.told("symbol_refused")[0].sources == ("perp:NO-USD",)


def test_dialect__in_the_operators_document__is_the_one_understood() -> None:
    text = (ROOT / "docs/operations.md").read_text()
    section = text[text.index("## Your own order book") : text.index("## Under systemd")]
    venue = Perp()
    _, opening = venue.open(("BTC-USD",))
    assert re.findall("→ (.*)", section) == list(opening)
    steps = [venue.step(None, frame, WallClock().now()) for frame in re.findall("← (.*)", section)]
    assert [event.kind for step in steps for event in step.events] == ["subscribed", "symbol_refused", "heartbeat"]
    assert [type(seen) for step in steps for seen in step.observations] == [Depth, Trade]
    limits = venue.limits
    for words in (
        URL,
        f"after {FeedTuning().unanswered_probes * limits.quiet_s:g} s of its silence",
        f"{limits.silence_s:g} s without any message",
    ):
        assert words in section
