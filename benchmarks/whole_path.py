"""Bytes to index: a message is parsed, let in, put on the board, and the index of its market made anew.

For `benchmarks.engine`: 500 markets of ten sources each, in three dialects, half of them quoted in USDT. The baseline does
the same with json, Decimal and statistics.median, without screening, times, order or hashes. The indices of both sides are
compared at the end, every one.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from benchmarks.exchanges import Feed
from benchmarks.frames import bid_ask_of
from benchmarks.quiet import Quiet
from keeper.adapters.bench import BenchRules
from keeper.adapters.intake import Intake, Order
from keeper.adapters.sources import STREAM_VENUES
from keeper.domain.ids import IndexId, SourceId, source_id
from keeper.domain.index import IndexPrice, IndexSpec, SourceSpec, Withheld, index_price
from keeper.domain.index_spec import PegSpec
from keeper.domain.numbers import decimal_of
from keeper.domain.quote import Observation, Quote
from keeper.domain.time import Timestamp
from keeper.ports.venue import Step
from keeper.runtime.board import Board

KINDS = ("binance", "okx", "coinbase")
SPELLED = {"binance": "{}{}", "okx": "{}-{}", "coinbase": "{}-{}"}
CONNECTED = 50
"""Symbols on one connection."""
RATE_E18 = 999_700_000_000_000_000
RATE = decimal_of(RATE_E18)
ULP = Decimal(1).scaleb(-18)


@dataclass(slots=True)
class Line:
    """One connection as the keeper has it: a venue, its state, the order of what came."""

    venue: Any
    state: Any
    order: Order = field(default_factory=Order)

    def step(self, frame: bytes, now: Timestamp) -> Sequence[Observation]:
        step: Step = self.venue.step(self.state, frame, now)
        self.state = step.state
        return step.observations


@dataclass(frozen=True, slots=True)
class Message:
    line: Line
    frame: bytes
    market: IndexSpec
    source: SourceId
    usdt: bool


def messages(markets: int, sources: int, rounds: int, dice: random.Random) -> list[Message]:
    """Every source of every market, `rounds` times over, in an order that mixes them."""
    made: list[Message] = []
    feeds, lines, indices = _fed(markets, sources, dice)
    for _ in range(rounds):
        turn = [(market, number) for market in range(markets) for number in range(sources)]
        dice.shuffle(turn)
        for market, number in turn:
            feed = feeds[market, number]
            line = lines[number, market // CONNECTED]
            source = source_id(line.venue.name, feed.symbol)
            made.append(Message(line, feed.frame(dice).encode(), indices[market], source, number % 2 == 1))
    return made


def _fed(
    markets: int, sources: int, dice: random.Random
) -> tuple[dict[tuple[int, int], Feed], dict[tuple[int, int], Line], list[IndexSpec]]:
    feeds: dict[tuple[int, int], Feed] = {}
    lines: dict[tuple[int, int], Line] = {}
    indices = []
    for market in range(markets):
        price = 10 ** dice.uniform(-2, 4.5)
        chosen = []
        for number in range(sources):
            kind, quote = KINDS[number % len(KINDS)], ("USD", "USDT")[number % 2]
            feeds[market, number] = Feed(kind, SPELLED[kind].format(f"A{market:03d}", quote), price)
            name = f"{kind}{number}"
            chosen.append(SourceSpec(source_id(name, feeds[market, number].symbol), quote))
        indices.append(IndexSpec(IndexId(f"A{market:03d}-USD"), tuple(chosen), conversions={"USDT": PEG}))
    for number in range(sources):
        venue: Any = STREAM_VENUES[KINDS[number % len(KINDS)]]
        for start in range(0, markets, CONNECTED):
            symbols = [feeds[market, number].symbol for market in range(start, min(start + CONNECTED, markets))]
            made = venue(name=f"{KINDS[number % len(KINDS)]}{number}")
            lines[number, start // CONNECTED] = Line(made, made.open(symbols)[0])
    return feeds, lines, indices


PEG = PegSpec(IndexId("USDT-USD"))
RATES: Mapping[str, int] = {"USDT": RATE_E18}


@dataclass(slots=True)
class Ours:
    """What the keeper does with a message. `made` is the newest index of each market."""

    quotes: Board[SourceId, Quote] = field(default_factory=Board)
    seen: dict[SourceId, Quote] = field(default_factory=dict)
    made: dict[IndexId, IndexPrice | Withheld] = field(default_factory=dict)
    intake: Intake = field(init=False)

    def __post_init__(self) -> None:
        def emit(observation: Observation) -> None:
            assert isinstance(observation, Quote)
            self.quotes.put(observation.source, observation)

        self.quotes.follow(self.seen.__setitem__)
        self.intake = Intake("all", emit, Quiet().notify, 2.0, BenchRules())

    def hear(self, message: Message, now: Timestamp) -> None:
        line, intake = message.line, self.intake
        for observation in line.step(message.frame, now):
            intake.admit(observation, line.order)

    def take(self, message: Message, now: Timestamp) -> None:
        self.hear(message, now)
        self.made[message.market.id] = index_price(message.market, self.seen, RATES, None, now)


@dataclass(slots=True)
class Plain:
    """The same by json, Decimal and statistics.median."""

    mids: dict[IndexId, dict[SourceId, Decimal]] = field(default_factory=dict)
    made: dict[IndexId, Decimal] = field(default_factory=dict)

    def take(self, message: Message, _now: Timestamp) -> None:
        bid, ask = bid_ask_of(message.frame)
        mid = (bid + ask) / 2
        votes = self.mids.setdefault(message.market.id, {})
        votes[message.source] = mid * RATE if message.usdt else mid
        self.made[message.market.id] = statistics.median(votes.values())


def parsed(each: Sequence[Message], now: Timestamp) -> None:
    for message in each:
        message.line.step(message.frame, now)


def plainly_parsed(each: Sequence[Message], _now: Timestamp) -> None:
    for message in each:
        bid_ask_of(message.frame)


def compare(ours: Ours, plain: Plain) -> int:
    """Raises SystemExit at the first index that differs."""
    for index, exact in plain.made.items():
        found = ours.made[index]
        price = decimal_of(found.price_e18) if isinstance(found, IndexPrice) else None
        if price is None or abs(price - exact.quantize(ULP, ROUND_FLOOR)) > 2 * ULP:
            raise SystemExit(f"{index} differs: {price} and {exact}")
    return len(plain.made)


def seconds(work: Callable[[], object]) -> float:
    """Of the thread's own processor time."""
    begun = time.thread_time()
    work()
    return time.thread_time() - begun
