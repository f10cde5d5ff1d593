"""The ECB's daily file: a real day's fix, files that are none, and the feed over a real socket."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.adapters.clock import SystemClock
from keeper.adapters.references.ecb import Ecb, fixed_at, parse_ecb
from keeper.adapters.references.feed import ReferenceFeed
from keeper.adapters.tape.lines import parsed
from keeper.adapters.tape.playing import PlayingSession, venues_of
from keeper.adapters.tape.sessions import Heard as Taped
from keeper.adapters.tape.sessions import RecordingSession
from keeper.adapters.websocket import open_session
from keeper.app.check_references import check_references
from keeper.app.registries import REGISTRIES
from keeper.devnet.reference_rates import RatesServer, daily_file
from keeper.domain.numbers import text_of
from keeper.domain.quote import Observation, Quote
from keeper.domain.time import SECOND, to_seconds
from keeper.errors import FeedProtocolError
from keeper.ports.feed import FeedNotice
from keeper.runtime.virtual import VirtualClock, run_virtual
from keeper.settings.load import load
from tests.settings.examples import GLOBAL, INDEX, written

FILE = (Path(__file__).parent / "ecb_2025-10-21.xml").read_bytes()
EURO_DOLLAR = Decimal("1.1607")
CUBE = b"<Cube currency='USD' rate='1.1607'/>"


def test_file__of_a_day__gives_all_its_rates_at_four_in_frankfurt() -> None:
    fix = parse_ecb(FILE)
    assert len(fix.rates_e18) == 30
    assert datetime.fromtimestamp(to_seconds(fix.at), ZoneInfo("UTC")).isoformat() == "2025-10-21T14:00:00+00:00"
    assert fix.rates_e18["USD"] == 1_160_700_000_000_000_000
    assert fix.rates_e18["IDR"] == 19_272_670_000_000_000_000_000


def test_fix__in_winter__is_an_hour_later_in_utc() -> None:
    summer, winter = fixed_at(date(2025, 10, 25)), fixed_at(date(2025, 10, 27))
    assert winter - summer == (48 + 1) * 3600 * SECOND


@pytest.mark.parametrize(
    ("symbol", "price"),
    [
        ("EUR/USD", 1_160_700_000_000_000_000),
        ("USD/EUR", 10**36 // 1_160_700_000_000_000_000),
        ("GBP/USD", 11_607 * 10**18 // 8_678),
        ("EUR/RUB", None),
        ("XAU/EUR", None),
    ],
)
def test_pair__of_its_currencies__is_their_quotient_rounded_down(symbol: str, price: int | None) -> None:
    assert Ecb().price_e18(symbol, parse_ecb(FILE)) == price


@pytest.mark.parametrize("symbol", ["EURUSD", "EUR/EUR", "eur/usd", "EUR/USD/GBP", ""])
def test_symbol__that_is_no_pair__is_refused(symbol: str) -> None:
    with pytest.raises(FeedProtocolError, match="not a pair"):
        Ecb().price_e18(symbol, parse_ecb(FILE))


BOMB = b'<!DOCTYPE a [<!ENTITY b "x"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>'


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"<gesmes:Envelope", BOMB + b"<gesmes:Envelope", "document type"),
        (b"<gesmes:Envelope", b'<!DOCTYPE a SYSTEM "http://127.0.0.1/a"><gesmes:Envelope', "document type"),
        (b"<gesmes:Envelope", b"<?php x?><gesmes:Envelope", "instructions"),
        (CUBE, CUBE + CUBE, "no rate: 'USD'"),
        (b"rate='1.1607'", b"rate='1,1607'", "no rate: 'USD' '1,1607'"),
        (b"rate='1.1607'", b"rate='NaN'", "no rate"),
        (b"rate='1.1607'", b"rate='-1.1607'", "no rate"),
        (b"rate='1.1607'", b"rate='0.0000'", "worth nothing"),
        (b"rate='1.1607'", b"rate='1e3'", "no rate"),
        (b"currency='USD'", b"currency='usd'", "no rate"),
        (b"time='2025-10-21'", b"time='2025-02-30'", "no day"),
        (b"time='2025-10-21'", b"time='20251021'", "no day"),
        (b"time='2025-10-21'", b"time='0001-01-01'", "no day"),
        (b"time='2025-10-21'", b"time='1998-12-31'", "no day"),
        (b"time='2025-10-21'", b"time='2125-10-21'", "no day"),
        (CUBE, b"<Cube time='2025-10-20'/>" + CUBE, "more than one day"),
        (CUBE, CUBE * 0 + b"<a>" * 20 + b"</a>" * 20, "more XML"),
        (CUBE, b"<a/>" * 600, "more XML"),
        (b"2002-08-01/eurofxref", b"2002-08-01/other", "no day or no rates"),
        (b"</gesmes:Envelope>", b"", "not XML"),
        (b'encoding="UTF-8"', b'encoding="UTF-7"', ""),
    ],
)
def test_file__that_is_none__is_refused_with_what_is_wrong(old: bytes, new: bytes, said: str) -> None:
    assert FILE.count(old) >= 1
    if not said:  # the bytes are read as UTF-8 whatever the file claims
        assert parse_ecb(FILE.replace(old, new)) == parse_ecb(FILE)
        return
    with pytest.raises(FeedProtocolError, match=said):
        parse_ecb(FILE.replace(old, new, 1))


@given(st.integers(0, len(FILE) - 1), st.binary(max_size=12), st.integers(0, 40))
def test_file__with_any_bytes_changed__is_a_fix_or_refused(at: int, put: bytes, gone: int) -> None:
    body = FILE[:at] + put + FILE[at + gone :]
    try:
        fix = parse_ecb(body)
    except FeedProtocolError:
        return
    assert all(rate > 0 for rate in fix.rates_e18.values())


def test_file__as_the_local_publisher_writes_it__is_the_banks() -> None:
    rates = {code: Decimal(text_of(rate)) for code, rate in parse_ecb(FILE).rates_e18.items()}
    assert parse_ecb(daily_file(date(2025, 10, 21), rates).encode()) == parse_ecb(FILE)


@dataclass
class Heard:
    quotes: list[Quote] = field(default_factory=list)
    notices: list[tuple[str, str]] = field(default_factory=list)

    def emit(self, observation: Observation) -> None:
        assert isinstance(observation, Quote)
        self.quotes.append(observation)

    def note(self, notice: FeedNotice) -> None:
        self.notices.append((notice.kind, notice.reason))


TODAY = datetime.fromtimestamp(SystemClock().now() / SECOND, ZoneInfo("Europe/Berlin")).date()
YESTERDAY, BEFORE, TOMORROW = (TODAY - timedelta(days=days) for days in (1, 2, -1))


async def test_feed__over_a_socket__tells_each_change_once_and_keeps_the_newest_fix() -> None:
    async with RatesServer() as server, open_session() as session:
        feed = ReferenceFeed(Ecb(**server.options()), ("EUR/USD", "EUR/XYZ"), SystemClock(), random.Random(1))
        heard = Heard()

        async def look() -> list[tuple[str, str]]:
            before = len(heard.notices)
            await feed.look(session, heard.emit, heard.note)
            return heard.notices[before:]

        server.says(YESTERDAY, {"USD": EURO_DOLLAR})
        assert await look() == [("connected", ""), ("symbol_refused", "unlisted")]
        assert await look() == []
        server.status = 503
        assert await look() == [("disconnected", "rest")] * 2
        assert await look() == []
        server.says(BEFORE, {"USD": Decimal(2)})
        assert (await look())[0] == ("reading_refused", "older")
        server.says(TOMORROW, {"USD": Decimal(2)})
        assert (await look())[0] == ("reading_refused", "future")
        server.body = b"x" * 70_000
        assert (await look())[0] == ("reading_refused", "protocol")
        server.status, server.headers = 302, {"Location": "http://127.0.0.1:1/"}
        assert (await look())[0] == ("disconnected", "rest")
        assert {quote.last_e18 for quote in heard.quotes} == {1_160_700_000_000_000_000}
        assert {quote.observed_at for quote in heard.quotes} == {fixed_at(YESTERDAY)}
        assert len({quote.changed_at for quote in heard.quotes}) == 1


async def recorded(server: RatesServer) -> tuple[list[bytes], Heard, Heard]:
    """One look through a bare session, and one through a session that notes what it hears."""
    lines: list[bytes] = []
    bare, taped, clock = Heard(), Heard(), SystemClock()
    for heard, sessions in (
        (bare, open_session),
        (taped, lambda: RecordingSession("ecb", open_session(), Taped(clock, lines.append))),
    ):
        feed = ReferenceFeed(Ecb(**server.options()), ("EUR/USD",), clock, random.Random(1))
        async with sessions() as session:
            await feed.look(session, heard.emit, heard.note)  # type: ignore[arg-type]
    return lines, bare, taped


async def _played(lines: list[bytes], url: str) -> Heard:
    found, heard = [parsed(raw) for raw in lines], Heard()
    clock = VirtualClock(found[0].at)
    async with PlayingSession(venues_of(found)["ecb"], clock) as session:
        feed = ReferenceFeed(Ecb(url), ("EUR/USD",), clock, random.Random(1))
        await feed.look(session, heard.emit, heard.note)  # type: ignore[arg-type]
    return heard


def test_feed__through_every_kind_of_session__hears_the_same_fix() -> None:
    async def over_a_socket() -> tuple[list[bytes], Heard, Heard, str]:
        async with RatesServer() as server:
            server.says(YESTERDAY, {"USD": EURO_DOLLAR})
            return *(await recorded(server)), server.options()["rest_url"]

    lines, bare, taped, url = asyncio.run(over_a_socket())
    played = run_virtual(lambda: _played(lines, url))
    for heard in (bare, taped, played):
        assert [(quote.last_e18, quote.observed_at) for quote in heard.quotes] == [
            (1_160_700_000_000_000_000, fixed_at(YESTERDAY))
        ]
        assert heard.notices == [("connected", "")]
    assert [parsed(raw).kind for raw in lines] == ["http"]


async def test_feed__after_a_failure__asks_again_by_itself() -> None:
    async with RatesServer(status=500) as server:
        reference, heard, done = Ecb(**server.options()), Heard(), asyncio.Event()
        feed = ReferenceFeed(reference, ("EUR/USD",), SystemClock(), random.Random(1), first_retry_s=0.01)

        def emit(observation: Observation) -> None:
            heard.emit(observation)
            done.set()

        def note(notice: FeedNotice) -> None:
            heard.note(notice)
            server.says(YESTERDAY, {"USD": EURO_DOLLAR})

        task = asyncio.create_task(feed.run(emit, note))
        async with asyncio.timeout(20):
            await done.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert heard.notices == [("disconnected", "rest"), ("connected", "")]


async def test_check__of_a_reference__says_its_fix_and_what_it_lacks(tmp_path: Path) -> None:
    async with RatesServer() as server, aiohttp.ClientSession() as session:
        server.says(YESTERDAY, {"USD": EURO_DOLLAR})
        keeper = f'{GLOBAL}venues: {{ecb: {{rest_url: "{server.options()["rest_url"]}"}}}}\n'
        held = "index: {method: median, reference: {kind: ecb, symbol: EUR/USD}}"
        spare = "  - {kind: ecb, symbol: EUR/XYZ, max_age_s: 468000, fallback: true}\nindex"
        text = INDEX.replace("index: {method: median}", held).replace("index", spare, 1)
        found = await check_references(load(written(tmp_path, keeper=keeper, USDT=text), REGISTRIES, {}), session)
    assert [(each.subject, each.check, each.status, each.detail) for each in found] == [
        ("ecb", "EUR/USD", "ok", f"1.1607 on {YESTERDAY}"),
        ("ecb", "EUR/XYZ", "fail", "it publishes no rate of this pair"),
    ]
