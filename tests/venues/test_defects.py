"""Defects seen in other price feeders and oracles, each held off by a test. COVERED tells which test holds off which.

Below it: those that no test elsewhere shows, and the same traps laid for every venue in the registry.
"""

from __future__ import annotations

import ast
import asyncio
import dataclasses
import json
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import Any

import aiohttp
import pytest

from keeper.adapters.admission import Entry
from keeper.adapters.attestor import LocalAttestor
from keeper.adapters.backoff import ceiling_s
from keeper.adapters.bench import BenchRules
from keeper.adapters.budget import Budget
from keeper.adapters.connection import Connection
from keeper.adapters.intake import Intake
from keeper.adapters.polling import RestClient
from keeper.adapters.signers.curve import signing_key
from keeper.adapters.signers.key_signer import KeySigner
from keeper.adapters.sources import STREAM_VENUES
from keeper.adapters.sources.cryptocom import Cryptocom
from keeper.adapters.sources.gate import Gate
from keeper.adapters.websocket import open_session
from keeper.devnet.market import HiddenMarket
from keeper.devnet.venues import DEVNET_VENUES
from keeper.devnet.venues.cryptocom import CryptocomServer
from keeper.devnet.venues.venue import VenueServer
from keeper.domain.ids import DeploymentId, source_id
from keeper.domain.index import IndexPrice, index_price
from keeper.domain.index_methods import INDEX_METHODS
from keeper.domain.quote import Quote
from keeper.domain.report import PriceReport
from keeper.domain.screening import Refusal, Rejected, stated_price
from keeper.domain.time import SECOND, Timestamp
from keeper.errors import FeedProtocolError, SignerUnavailable
from keeper.ports.venue import StreamVenue
from tests.architecture.code import ROOT
from tests.domain.pricing.builders import NOW, after, board, quote, usd
from tests.venues.harness import HASTY, HERE, Heard, WallClock, documents, lines, moving, running, server_until

_RULES, _WIRE = "tests/adapters/feeds/test_rules.py", "tests/adapters/feeds/test_wire.py"
_FEED, _CONTRACT, _HERE = (
    "tests/adapters/feeds/test_websocket_feed.py",
    "tests/venues/test_contract.py",
    "tests/venues/test_defects.py",
)
_PUBLISHING = "tests/domain/pricing/test_publishing.py"

COVERED: Mapping[str, tuple[str, ...]] = {
    "1 Kraken: the day's average taken for the price": (
        f"{_WIRE}::test_kraken_price__is_the_last_trade__never_the_days_average",
    ),
    "2 Bitstamp: a wish for reconnection sent back instead of granted": (
        f"{_CONTRACT}::test_announced_close__is_answered_by_a_new_connection_before_the_old_one_ends",
    ),
    "3 Gate: the second of the minute taken for the time": (
        f"{_HERE}::test_gate_requests__state_the_time__in_seconds_since_1970",
    ),
    "4 sorting by a comparison that calls equal prices smaller": (
        "tests/domain/pricing/test_aggregation.py::test_every_method__of_equal_prices__is_that_price",
        "tests/domain/pricing/test_index.py::test_index__any_order_of_sources__same_price",
    ),
    "5 a reader that holds the connection while it waits": (
        f"{_CONTRACT}::test_application_ping__while_no_frame_comes__is_sent_and_answered",
        "tests/venues/test_admission.py::test_many_requests__at_the_venues_pace__do_not_hold_up_the_reader",
    ),
    "6 only the first endpoint ever tried": (
        f"{_FEED}::test_second_endpoint__is_tried_when_the_first_refuses",
        "tests/venues/test_admission.py::test_endpoints__several__each_gets_its_turn_and_strangers_none",
    ),
    "7 an older point overwrites a newer one": (
        f"{_FEED}::test_older_time__never_replaces_a_newer_one__on_a_new_connection_neither",
        f"{_HERE}::test_venue_whose_clock_steps_back__does_not_take_its_source_back",
    ),
    "8 waiting for nobody, then failing on whoever answers": (
        "tests/chain/test_rpc_endpoints.py::test_send__goes_to_all_at_once__the_first_that_takes_it_counts",
        "tests/chain/test_rpc_endpoints.py::test_close__with_a_send_under_way__leaves_nothing_behind",
    ),
    "9 a deviation measured from the new price here and from the old one there": (
        f"{_PUBLISHING}::test_decide__move_up_and_back__is_measured_from_the_old_price",
    ),
    "10 the median's time taken from sources that were refused": (
        f"{_HERE}::test_index_time__is_that_of_its_inputs__not_of_the_refused",
    ),
    "11 fees raised though nothing was sent; success counted when sent; a deviation from zero": (
        "tests/domain/transactions/test_steps.py::test_unpaid__same_bytes_again_and_never_a_bump",
        "tests/services/test_publishing.py::test_run__report_failed__the_newest_price_is_pushed_again",
        f"{_PUBLISHING}::test_decide__table",
    ),
    "12 every push carries every market": (
        "tests/services/test_publishing.py::test_run__quiet_market_beside_a_due_one__stays_out_of_the_batch",
    ),
    "13 a replacement capped below what the pool asks of it": (
        "tests/domain/transactions/test_fees.py::test_bump__replaces_within_the_limit_or_is_refused",
    ),
    "14 milliseconds and seconds mixed up; one unknown source fails the median": (
        f"{_WIRE}::test_time_in_the_wrong_unit__is_a_protocol_error",
        f"{_HERE}::test_stamp__in_another_unit__is_a_protocol_error",
        f"{_HERE}::test_source_without_a_quote__leaves_the_others_their_price",
    ),
    "15 packages counted instead of signers": (f"{_HERE}::test_key_held_twice__is_one_signer",),
    "16 a delay that doubles without an end": (
        f"{_RULES}::test_backoff__after_any_number_of_failures__stays_below_its_ceiling",
        f"{_HERE}::test_venue_that_is_down__is_not_stormed",
    ),
    "a venue that is alive and says nothing": (
        f"{_CONTRACT}::test_stall__while_heartbeats_go_on__is_found_by_rest_and_ends_in_a_new_connection",
        f"{_HERE}::test_subscription__never_acknowledged__ends_in_a_new_connection",
    ),
    "a heartbeat that keeps an old price fresh for ever": (
        f"{_WIRE}::test_coinbase_heartbeat__confirms_the_same_trade__for_a_bounded_time",
    ),
    "a heartbeat that must be answered, and is not": (
        f"{_HERE}::test_cryptocom_heartbeats__each_with_its_own_id__are_answered_in_time",
    ),
    "prices that are no prices": (f"{_HERE}::test_price__that_is_no_positive_number__never_becomes_a_quote",),
    "prices read as floats": (f"{_HERE}::test_price__with_eighteen_decimals__keeps_each_of_them",),
    "a crossed book averaged": (f"{_HERE}::test_crossed_book__is_told_as_it_is_and_refused_as_a_price",),
    "a price under the wrong name": (f"{_HERE}::test_symbol__that_was_not_asked_for__is_not_believed",),
    "memory that a venue fills with names": (f"{_HERE}::test_symbols__that_nobody_asked_for__leave_nothing_behind",),
}
"""Defect → the tests that would show it. The first sixteen are numbered."""

KINDS = sorted(STREAM_VENUES)
PATIENT = dataclasses.replace(HASTY, quiet_s=30.0)


@cache
def _tests_of(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, functions))


def test_table__of_defects__is_complete_and_names_tests_that_exist() -> None:
    assert [int(found[0]) for name in COVERED if (found := re.match(r"\d+", name))] == list(range(1, 17))
    for name, tests in COVERED.items():
        for path, _, function in (test.partition("::") for test in tests):
            assert function in _tests_of(path), f"{name}: {path} has no {function}"


# Defects of single venues


@pytest.mark.parametrize("at", [1_700_000_000, 1_700_000_059, 1_999_999_999])
def test_gate_requests__state_the_time__in_seconds_since_1970(at: int) -> None:
    _, opening = Gate().open(("A_B", "C_D"))
    requests = [json.loads(each if isinstance(each, str) else each(Timestamp(at * SECOND + 7))) for each in opening]
    assert [request["time"] for request in requests] == [at, at]
    assert [request["id"] for request in requests] == [1, 2]
    assert [request["payload"] for request in requests] == [["A_B"], ["C_D"]]


async def test_cryptocom_heartbeats__each_with_its_own_id__are_answered_in_time() -> None:
    async with moving(HiddenMarket(WallClock())) as market, CryptocomServer(market, rate_hz=20.0) as server:
        server.heartbeat_every_s, server.patience_s = 0.05, 3.0
        async with running(Cryptocom(**server.options()), ("BTC_USD",), PATIENT) as heard:
            answer = re.compile(r'\{"id":\d+,"method":"public/respond-heartbeat"\}')
            await server_until(
                server, lambda: server.clients and sum(bool(answer.fullmatch(m)) for m in server.clients[0].heard) >= 40
            )
            ids = [json.loads(m)["id"] for m in server.clients[0].heard if answer.fullmatch(m)]
            assert len(set(ids)) == len(ids)
            assert not heard.told("disconnected")


async def test_cryptocom_server__left_without_an_answer__hangs_up() -> None:
    """The server that the test above relies on does what the venue does."""
    async with CryptocomServer(HiddenMarket(WallClock())) as server:
        server.heartbeat_every_s, server.patience_s = 0.05, 0.2
        async with running(Mute(**server.options()), ("BTC_USD",), PATIENT) as heard:
            await heard.until(lambda: heard.told("disconnected"))


@dataclasses.dataclass(frozen=True, slots=True)
class Mute(Cryptocom):
    """Hears heartbeats and does not answer them."""

    def step(self, state: Any, frame: Any, received_at: Timestamp) -> Any:
        return Cryptocom.step(self, state, frame, received_at)._replace(replies=())


async def test_cryptocom_requests__wait_a_second_after_the_connection() -> None:
    """The venue counts messages by calendar second and refuses the hasty."""
    async with CryptocomServer(HiddenMarket(WallClock())) as server:
        tuning = dataclasses.replace(PATIENT, settle_s=None)
        async with running(Cryptocom(**server.options()), ("BTC_USD",), tuning) as heard:
            await heard.until(lambda: heard.told("subscribed"))
            sent_ms = json.loads(server.clients[0].heard[0])["nonce"]
            assert sent_ms * 1_000_000 - heard.told("connected")[0].at >= 990_000_000


# Defects of the arithmetic and of the quorum


def test_index_time__is_that_of_its_inputs__not_of_the_refused() -> None:
    quotes = board(
        quote("a", 100, observed=after(-1)),
        quote("b", 100, observed=after(-2)),
        quote("c", 100, observed=after(-3)),
        quote("far", 130, observed=after(-4)),
        quote("old", 100, observed=after(-3_600)),
        quote("crossed", bid=101, ask=99, observed=after(-4)),
    )
    result = index_price(usd("a", "b", "c", "far", "old", "crossed", "silent"), quotes, {}, None, NOW)
    assert isinstance(result, IndexPrice)
    assert {each.source for each in result.rejected} == {"far", "old", "crossed", "silent"}
    assert result.oldest() == after(-3)


@pytest.mark.parametrize("method", sorted(name for name, method in INDEX_METHODS.items() if not method.by_group))
def test_source_without_a_quote__leaves_the_others_their_price(method: str) -> None:
    quotes = board(*(quote(name, 100) for name in ("a", "b", "c")))
    result = index_price(usd("a", "b", "c", "unknown", method=method), quotes, {}, None, NOW)
    assert isinstance(result, IndexPrice)
    assert result.price_e18 == 100 * 10**18
    assert [(each.source, each.reason) for each in result.rejected] == [("unknown", Rejected.MISSING)]


async def test_key_held_twice__is_one_signer() -> None:
    keys = [signing_key(scalar.to_bytes(32, "big")) for scalar in (1, 1, 1, 2)]
    signers = [KeySigner(key, 1) for key in keys if key is not None]
    attestor = LocalAttestor(signers, lambda _report: {signer.address for signer in signers})
    report = PriceReport(DeploymentId("devnet"), 1, 0, 60, 1, bytes(32), ())
    signed = await attestor.collect(report, bytes(32), 2)
    assert len({signature.signer for signature in signed.signatures}) == 2
    with pytest.raises(SignerUnavailable, match="of 3 signatures"):
        await attestor.collect(report, bytes(32), 3)


# The same traps for every venue


def server_of(kind: str, market: HiddenMarket) -> VenueServer:
    return DEVNET_VENUES[kind](market, rate_hz=20.0)


@dataclasses.dataclass(frozen=True)
class Sample:
    """A recorded frame that states a bid, and the connection's state before it."""

    venue: StreamVenue[Any]
    state: Any
    frame: str
    row: Mapping[str, Any]

    def told(self, frame: str) -> list[Quote]:
        step = self.venue.step(self.state, DEVNET_VENUES[self.venue.name].packed(frame), NOW)
        return [each for each in step.observations if isinstance(each, Quote)]

    def with_bid(self, text: str) -> str:
        """Wherever the bid's digits stand, these stand."""
        frame, count = re.subn(rf"(?<![0-9.]){re.escape(self.row['bid'])}(?![0-9.])", lambda _: text, self.frame)
        assert count
        return frame


def sample(kind: str) -> Sample:
    """Raises StopIteration where no frame of `kind` can be read as text."""
    frames, rows = lines(HERE / kind / "frames.jsonl"), documents(HERE / kind / "expected.jsonl")
    venue: StreamVenue[Any] = STREAM_VENUES[kind]()
    state, _ = venue.open(sorted({row["quote"] for row in rows if "quote" in row}))
    row = next(row for row in rows if row.get("bid", "") and row["bid"] in frames[row["line"] - 1])
    for frame in frames[: row["line"] - 1]:
        try:
            state = venue.step(state, DEVNET_VENUES[kind].packed(frame), NOW).state
        except FeedProtocolError:
            continue
    return Sample(venue, state, frames[row["line"] - 1], row)


def _textual(kind: str) -> bool:
    rows, frames = documents(HERE / kind / "expected.jsonl"), lines(HERE / kind / "frames.jsonl")
    return any(row.get("bid", "") and row["bid"] in frames[row["line"] - 1] for row in rows)


INTERVALS = frozenset({"pyth_hermes"})
"""Venues without a book: bid and ask are the ends of an interval around the price, so that no frame states them."""
TEXTUAL = [kind for kind in KINDS if kind not in INTERVALS and _textual(kind)]
NOT_NUMBERS = (
    "NaN",
    "Infinity",
    "-Infinity",
    "-1",
    "-0.01",
    "1e999",
    "0x10",
    "1_000",
    "½",
    "١",
    " ",
    "null0",
    '"½"',
    "\\ud800",
)
NOT_JSON = ('"½"', "\\ud800")
"""What the packer of protocol buffers, which reads JSON, cannot pack."""


@pytest.mark.parametrize(
    ("text", "kind"),
    [(text, kind) for text in NOT_NUMBERS for kind in TEXTUAL if kind != "mexc" or text not in NOT_JSON],
)
def test_price__that_is_no_positive_number__never_becomes_a_quote(kind: str, text: str) -> None:
    found = sample(kind)
    assert found.told(found.frame), "as recorded it is a quote"
    with pytest.raises(FeedProtocolError):
        found.told(found.with_bid(text))


@pytest.mark.parametrize("kind", TEXTUAL)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.123456789012345678", 123456789012345678),
        ("9007199254740993", 9007199254740993 * 10**18),
        ("12345678901234567890.000000000000000001", 12345678901234567890000000000000000001),
    ],
)
def test_price__with_eighteen_decimals__keeps_each_of_them(kind: str, text: str, expected: int) -> None:
    found = sample(kind)
    (told,) = found.told(found.with_bid(text))
    assert told.bid_e18 == expected


def _stamp(found: Sample) -> str | None:
    """The frame's time as it stands there, where it is a whole number."""
    at = found.row.get("observed_at")
    candidates = () if at is None else (str(at // unit) for unit in (1, 10**3, 10**6, 10**9))
    return next((text for text in candidates if re.search(rf"(?<!\d){text}(?!\d)", found.frame)), None)


STAMPED = [kind for kind in TEXTUAL if _stamp(sample(kind)) is not None]


@pytest.mark.parametrize("kind", STAMPED)
@pytest.mark.parametrize("digits", [-3, 3])
def test_stamp__in_another_unit__is_a_protocol_error(kind: str, digits: int) -> None:
    found = sample(kind)
    stamp = _stamp(found)
    assert stamp is not None
    wrong = stamp + "000" if digits > 0 else stamp[:digits]
    with pytest.raises(FeedProtocolError):
        found.told(re.sub(rf"(?<!\d){stamp}(?!\d)", wrong, found.frame))


def test_samples__exist_for_the_venues_that_speak_json() -> None:
    """Else the traps above would be laid for nobody."""
    eleven = [
        "binance",
        "bitfinex",
        "bitstamp",
        "bybit",
        "coinbase",
        "cryptocom",
        "gate",
        "gemini",
        "kraken",
        "kucoin",
        "okx",
    ]
    perpetuals = {"binance_perp", "bybit_perp", "gate_perp", "mexc_perp"}
    assert set(eleven) | perpetuals <= set(TEXTUAL)
    assert perpetuals <= set(STAMPED)
    assert {"bitstamp", "bybit", "cryptocom", "gate", "gemini", "kucoin", "okx"} <= set(STAMPED)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in INTERVALS])
async def test_symbol__that_was_not_asked_for__is_not_believed(kind: str) -> None:
    """A venue that sends another market's prices, by mistake or to harm."""
    rows = [row for row in documents(HERE / kind / "expected.jsonl") if "quote" in row]
    asked = rows[-1]["quote"]
    wanted = sum(row["quote"] == asked for row in rows)
    async with DEVNET_VENUES[kind](HiddenMarket(WallClock())) as server:
        server.replay(lines(HERE / kind / "frames.jsonl"))
        async with running(STREAM_VENUES[kind](**server.options()), (asked,), PATIENT) as heard:
            await heard.until(lambda: len(heard.quotes) >= wanted)
    assert {q.source for q in heard.quotes} == {f"{kind}:{asked}"}


STRANGERS, PACKED_STRANGERS = 100_000, 10_000
"""Packing costs the test more than reading costs the venue."""


@dataclasses.dataclass(slots=True)
class Reciting:
    """A transport that hears these frames, then its end."""

    frames: Iterator[str | bytes]
    told: int = 0
    close_code: int | None = 1000

    async def receive(self) -> aiohttp.WSMessage:
        frame = next(self.frames, None)
        if frame is None:
            return aiohttp.WSMessage(aiohttp.WSMsgType.CLOSED, None, None)
        self.told += 1
        raw = frame.encode() if isinstance(frame, str) else frame
        return aiohttp.WSMessage(aiohttp.WSMsgType.BINARY, raw, None)

    async def send_str(self, data: str) -> None:
        pass

    async def ping(self) -> None:
        pass

    async def pong(self, message: bytes) -> None:
        pass

    async def close(self) -> None:
        pass


def _strange(kind: str) -> tuple[str, list[Callable[[int], str]]]:
    """The symbol asked for, and recorded frames that name a symbol, each with the n-th strange name in place of it."""
    frames, rows = lines(HERE / kind / "frames.jsonl"), documents(HERE / kind / "expected.jsonl")
    asked = next(row["quote"] for row in rows if "quote" in row)
    made: list[Callable[[int], str]] = []
    for row in rows:
        frame = frames[row["line"] - 1]
        named = (row["quote"],) if "quote" in row else row.get("symbols", ())
        for symbol in named if len(named) == 1 else ():
            text = re.compile(re.escape(symbol), re.IGNORECASE)
            made += [partial(_renamed, kind, symbol, text, frame)] * bool(text.search(frame))
    return asked, made


def _renamed(kind: str, symbol: str, text: re.Pattern[str], frame: str, number: int) -> str:
    strange = f"{number:064x}" if kind == "pyth_hermes" else f"@{number}" if symbol[0] == "@" else f"Z{number}{symbol}"
    return re.sub(r'"chanId":\d+', f'"chanId":{number}', text.sub(strange, frame))


STRICT = frozenset({"kucoin", "pyth_hermes"})
"""Venues that take an answer or a price which nobody asked for as a breach of their schema."""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", KINDS)
async def test_symbols__that_nobody_asked_for__leave_nothing_behind(kind: str) -> None:
    """A venue that speaks of ever new ones, in prices, acknowledgements and refusals, on one connection."""
    made, packed, heard, clock = STREAM_VENUES[kind], DEVNET_VENUES[kind].packed, Heard(), WallClock()
    asked, templates = _strange(kind)
    frames = PACKED_STRANGERS if packed(templates[0](0)) != templates[0](0) else STRANGERS
    socket = Reciting(packed(templates[number % len(templates)](number)) for number in range(1_000, 1_000 + frames))
    states: deque[object] = deque(maxlen=1)

    class Watched(made):  # type: ignore[valid-type, misc]
        def open(self, symbols: Any) -> Any:
            states.append(super().open(symbols)[0])
            return super().open(symbols)

        def step(self, state: Any, frame: Any, received_at: Timestamp) -> Any:
            step = super().step(state, frame, received_at)
            states.append(step.state)
            return step

    async def dial(_entry: Entry) -> Reciting:
        return socket

    intake = Intake(kind, heard.emit, heard.notify, 2.0, BenchRules())
    async with DEVNET_VENUES[kind](HiddenMarket(clock)) as server, open_session() as session:
        venue = Watched(**server.options())
        rest = RestClient(venue, session, clock, Budget(venue.limits), intake, 2.0, 65_536)
        line = Connection(
            venue, server.ws_url, (asked,), dial, clock, intake, rest, PATIENT, lambda: None, current=True
        )
        await line.run()
    own = {source_id(kind, asked)}
    assert socket.told == frames
    assert len(repr(states[0])) < 2_000, "the state grew"
    assert line.refused | set(intake.last) | set(intake.records) <= own
    assert {source for notice in heard.notices for source in notice.sources} <= own
    not_understood = [notice for notice in heard.notices if notice.reason == "protocol"]
    assert len(heard.notices) - len(not_understood) < 50
    assert not not_understood or kind in STRICT, "what nobody asked for is no fault of what was"
    assert not heard.observations
    assert line.strangers.number.count + len(not_understood) >= frames // 2


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in INTERVALS])
async def test_crossed_book__is_told_as_it_is_and_refused_as_a_price(kind: str) -> None:
    async with moving(HiddenMarket(WallClock())) as market, server_of(kind, market) as server:
        server.faults.switch("crossed")
        async with running(STREAM_VENUES[kind](**server.options()), (next(iter(server.listings)),), PATIENT) as heard:
            await heard.until(lambda: len(heard.quotes) >= 3)
    for told in heard.quotes:
        assert told.bid_e18 is not None
        assert told.ask_e18 is not None
        assert told.bid_e18 > told.ask_e18
        refusal = stated_price(told, 10_000)
        assert isinstance(refusal, Refusal)
        assert refusal.reason is Rejected.CROSSED


TIMED = [kind for kind in KINDS if any("observed_at" in row for row in documents(HERE / kind / "expected.jsonl"))]


@pytest.mark.parametrize("kind", TIMED)
async def test_venue_whose_clock_steps_back__does_not_take_its_source_back(kind: str) -> None:
    async with moving(HiddenMarket(WallClock())) as market, server_of(kind, market) as server:
        symbol = next(iter(server.listings))
        async with running(STREAM_VENUES[kind](**server.options()), (symbol,), PATIENT) as heard:
            await heard.until(lambda: len(heard.quotes) > 3)
            server.faults.switch("late", lag_s=20)
            sent = len(server.tape.of(symbol))
            while len(server.tape.of(symbol)) < sent + 10:  # noqa: ASYNC110  the server tells of no tick
                await asyncio.sleep(0.01)
            server.faults.switch("late", on=False)
            before = len(heard.quotes)
            await heard.until(lambda: len(heard.quotes) > before + 3)
    times = [told.observed_at for told in heard.quotes if told.observed_at is not None]
    assert len(times) > 6
    assert times == sorted(times)


@pytest.mark.parametrize("kind", KINDS)
async def test_subscription__never_acknowledged__ends_in_a_new_connection(kind: str) -> None:
    """The line stands, pings are answered, requests are heard, and nothing comes of them."""
    async with moving(HiddenMarket(WallClock())) as market, server_of(kind, market) as server:
        symbol = next(iter(server.listings))
        server.replay([])
        async with running(STREAM_VENUES[kind](**server.options()), (symbol,)) as heard, moving_rest(server, symbol):
            await heard.until(lambda: len(heard.told("connected")) >= 2)
            assert heard.told("disconnected")[0].reason == "stalled"
            assert not heard.told("subscribed")


@asynccontextmanager
async def moving_rest(server: VenueServer, symbol: str) -> AsyncIterator[None]:
    """REST's ticker moves, though the stream says nothing."""

    async def move() -> None:
        while True:
            server.pricer.next(symbol)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(move())
    try:
        yield
    finally:
        task.cancel()


@pytest.mark.parametrize("kind", KINDS)
async def test_venue_that_is_down__is_not_stormed(kind: str) -> None:
    async with server_of(kind, HiddenMarket(WallClock())) as server:
        server.faults.switch("drop", hold=True)
        tuning = dataclasses.replace(PATIENT, backoff_base_s=0.01, backoff_cap_s=0.2)
        async with running(STREAM_VENUES[kind](**server.options()), (next(iter(server.listings)),), tuning) as heard:
            tries = min(6, STREAM_VENUES[kind]().limits.connects)  # more the venue does not allow at once
            await heard.until(lambda: len(heard.told("disconnected")) >= tries)
            waits = [notice.retry_in_s or 0.0 for notice in heard.told("disconnected")]
            assert all(wait_s <= ceiling_s(n, 0.01, 0.2) for n, wait_s in enumerate(waits))
            assert max(waits) > 0.01, "later attempts wait longer than the first may"
            assert server.connects <= len(heard.told("disconnected")) + 1
