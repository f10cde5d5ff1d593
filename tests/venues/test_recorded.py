"""Recorded messages of every venue, played by its local server over a real socket. See README.md beside this file."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keeper.adapters.bench import BenchRules
from keeper.adapters.budget import Budget
from keeper.adapters.intake import Intake
from keeper.adapters.polling import RestClient
from keeper.adapters.sources import STREAM_VENUES
from keeper.adapters.websocket import open_session
from keeper.devnet.market import HiddenMarket
from keeper.devnet.venues import DEVNET_VENUES
from keeper.domain.quote import Quote
from keeper.errors import RateLimited
from keeper.ports.venue import VenueEvent
from tests.venues.harness import HASTY, HERE, Heard, WallClock, documents, e18, lines, running

KINDS = sorted(STREAM_VENUES)
PATIENT = replace(HASTY, quiet_s=30.0)


def folder(kind: str) -> Path:
    return HERE / kind


def content(quote: Quote) -> tuple[object, ...]:
    return (quote.source, quote.observed_at, *quote.content(), quote.frame_hash)


def written(kind: str, expected: dict[str, Any], frame: str | bytes) -> tuple[object, ...]:
    prices = [e18(expected.get(name)) for name in ("bid", "ask", "bid_size", "ask_size", "last")]
    digest = hashlib.sha256(frame if isinstance(frame, bytes) else frame.encode()).hexdigest()[:16]
    return (f"{kind}:{expected['quote']}", expected.get("observed_at"), *prices, expected.get("sequence"), digest)


@pytest.mark.parametrize("kind", KINDS)
async def test_recorded_frames__played_over_a_socket__give_the_quotes_written_beside_them(kind: str) -> None:
    frames, expected = lines(folder(kind) / "frames.jsonl"), documents(folder(kind) / "expected.jsonl")
    packed = DEVNET_VENUES[kind].packed
    wanted = [written(kind, row, packed(frames[row["line"] - 1])) for row in expected if "quote" in row]
    symbols = sorted({row["quote"] for row in expected if "quote" in row})
    dropped = sum("dropped" in row for row in expected)
    async with DEVNET_VENUES[kind](HiddenMarket(WallClock())) as server:
        server.replay(frames)
        async with running(STREAM_VENUES[kind](**server.options()), symbols, PATIENT) as heard:
            await heard.until(lambda: len(heard.quotes) >= len(wanted) and len(heard.told("frame_dropped")) >= dropped)
    assert [content(quote) for quote in heard.quotes] == wanted
    assert len(heard.told("frame_dropped")) == dropped
    assert_notices(kind, heard, [row for row in expected if "notice" in row])


def assert_notices(kind: str, heard: Heard, rows: list[dict[str, Any]]) -> None:
    told = [n for n in heard.notices if n.kind in ("subscribed", "symbol_refused")]
    assert [n.kind for n in told] == [row["notice"] for row in rows]
    for notice, row in zip(told, rows, strict=True):
        if row["symbols"]:
            assert notice.sources == tuple(f"{kind}:{symbol}" for symbol in row["symbols"])
        assert row.get("detail", "") in notice.detail


@pytest.mark.parametrize("kind", KINDS)
def test_control_frames__understood_alone__mean_what_is_written(kind: str) -> None:
    venue = STREAM_VENUES[kind]()
    for row in documents(folder(kind) / "control.jsonl"):
        state, _ = venue.open(("A", "B"))
        packed = DEVNET_VENUES[kind].packed(row["frame"])
        frame = packed.encode() if isinstance(packed, str) else packed
        step = venue.step(state, frame, WallClock().now())
        assert [event.kind for event in step.events] == [kind for kind, *_ in row["events"]], row
        for event, (_, *symbols) in zip(step.events, row["events"], strict=True):
            assert not symbols or event.symbols == tuple(symbols)
        assert not step.observations


@pytest.mark.parametrize("kind", KINDS)
async def test_rest_answers__over_http__give_ticker_refusal_or_wait(kind: str) -> None:
    async with DEVNET_VENUES[kind](HiddenMarket(WallClock())) as server, open_session() as session:
        for row in documents(folder(kind) / "rest.jsonl"):
            server.replay_rest(row["request"], row["status"], row["body"])
            heard, venue = Heard(), STREAM_VENUES[kind](**server.options())
            intake = Intake(kind, heard.emit, heard.notify, 2.0, BenchRules())
            client = RestClient(venue, session, WallClock(), Budget(venue.limits), intake, 2.0, 65_536)
            await assert_answer(kind, client, row, heard)
            assert server.requests[-1] == row["request"]


async def assert_answer(kind: str, client: RestClient, row: dict[str, Any], heard: Heard) -> None:
    expected = row["expected"]
    if (wait_s := expected.get("limited")) is not None:
        with pytest.raises(RateLimited):
            await client.fetch(row["symbol"])
        assert [n.retry_in_s for n in heard.told("rate_limited")] == [wait_s]
        assert client.budget.blocked_s(asyncio.get_running_loop().time()) > wait_s - 1
        return
    answer = await client.fetch(row["symbol"])
    if (reason := expected.get("refused")) is not None:
        assert answer == VenueEvent("symbol_refused", (row["symbol"],), reason)
    else:
        assert isinstance(answer, Quote)
        assert content(answer) == written(kind, expected, row["body"])


@pytest.mark.parametrize("kind", KINDS)
def test_fixture__of_every_venue__accounts_for_each_line_and_holds_ten_quotes(kind: str) -> None:
    frames, expected = lines(folder(kind) / "frames.jsonl"), documents(folder(kind) / "expected.jsonl")
    assert {row["line"] for row in expected} == set(range(1, len(frames) + 1))
    assert sum("quote" in row for row in expected) >= 10
    assert any("origin" in row and not row["origin"].startswith("schema") for row in expected if "quote" in row)
