"""One recorded ticker → typed quote: each venue's `step` against json and Decimal.

    python -m benchmarks.parse

Both sides take the same recorded frames in turns, and their quotes are compared, every one. Goal: at least twice as
fast, over all venues.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

from keeper.adapters.sources import STREAM_VENUES
from keeper.domain.ids import source_id
from keeper.domain.quote import Quote
from keeper.domain.time import MICROSECOND, MILLISECOND, Timestamp
from keeper.errors import FeedProtocolError

FRAMES = Path(__file__).resolve().parents[1] / "tests" / "venues"
NOW = Timestamp(1_900_000_000 * 10**9)
TURNS, REPEATS, GOAL = 60, 25, 2.0
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Baseline = Callable[[Any, bytes], Quote]


@dataclass(frozen=True, slots=True)
class Case:
    """A frame that yields one quote, and the connection's state before it."""

    state: Any
    frame: bytes
    quote: Quote


def _scaled(value: Any) -> int | None:
    """Zero and nothing mean none."""
    return (int(Decimal(value).scaleb(18)) or None) if value not in (None, "") else None


def _micros(text: str) -> Timestamp:
    return Timestamp((datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1) * MICROSECOND)


def _made(venue: str, symbol: str, frame: bytes, seen: Timestamp | None, sequence: int | None, *values: Any) -> Quote:
    """`values`: bid, ask, bid size, ask size, last."""
    digest = sha256(frame).hexdigest()[:16]
    bid, ask, bid_size, ask_size, last = map(_scaled, values)
    return Quote(source_id(venue, symbol), NOW, NOW, seen, bid, ask, bid_size, ask_size, last, sequence, digest)


def _binance(_state: Any, frame: bytes) -> Quote:
    t = json.loads(frame)["data"]
    return _made("binance", t["s"], frame, None, t["u"], t["b"], t["a"], t["B"], t["A"], None)


def _bitfinex(state: Mapping[int, str], frame: bytes) -> Quote:
    channel, t, *rest = json.loads(frame, parse_float=Decimal)
    return _made("bitfinex", state[channel], frame, None, rest[0] if rest else None, t[0], t[2], None, None, t[6])


def _bitstamp(_state: Any, frame: bytes) -> Quote:
    message = json.loads(frame)
    book, symbol = message["data"], message["channel"].removeprefix("order_book_")
    (bid, bid_size), (ask, ask_size) = (book[side][0] if book[side] else (None, None) for side in ("bids", "asks"))
    seen = Timestamp(int(book["microtimestamp"]) * MICROSECOND)
    return _made("bitstamp", symbol, frame, seen, None, bid, ask, bid_size, ask_size, None)


def _coinbase(_state: Any, frame: bytes) -> Quote:
    t = json.loads(frame)
    sizes = t.get("best_bid_size"), t.get("best_ask_size")
    prices = t["best_bid"], t["best_ask"]
    return _made("coinbase", t["product_id"], frame, _micros(t["time"]), t.get("sequence"), *prices, *sizes, t["price"])


def _kraken(_state: Any, frame: bytes) -> Quote:
    (t,) = json.loads(frame, parse_float=Decimal)["data"]
    seen = (_micros(t["timestamp"]) or None) if "timestamp" in t else None  # 1970 where the venue has no time
    return _made("kraken", t["symbol"], frame, seen, None, t["bid"], t["ask"], t["bid_qty"], t["ask_qty"], t["last"])


def _okx(_state: Any, frame: bytes) -> Quote:
    (t,) = json.loads(frame)["data"]
    seen = Timestamp(int(t["ts"]) * MILLISECOND)
    return _made("okx", t["instId"], frame, seen, None, t["bidPx"], t["askPx"], t["bidSz"], t["askSz"], t["last"])


def _bybit(state: Any, frame: bytes) -> Quote:
    message = json.loads(frame)
    book = message["data"]
    fresh = message["type"] == "snapshot"
    old = (None, None) if fresh else state[book["s"]]
    sides = [_side(book[name], before) for name, before in zip(("b", "a"), old, strict=True)]
    (bid, bid_size), (ask, ask_size) = sides
    seen = Timestamp(int(message["ts"]) * MILLISECOND)
    return _made("bybit", book["s"], frame, seen, book["u"], bid, ask, bid_size, ask_size, None)


def _side(levels: Any, before: Any) -> tuple[Any, Any]:
    """The best level left after a delta: a size of nothing takes the level away."""
    price, size = (None, None) if before is None else (Decimal(n).scaleb(-18) for n in before)
    for level_price, level_size in levels:
        price, size = (level_price, level_size) if Decimal(level_size) else (None, None)
    return price, size


BASELINES: Mapping[str, Baseline] = {
    "binance": _binance,
    "bitfinex": _bitfinex,
    "bitstamp": _bitstamp,
    "bybit": _bybit,
    "coinbase": _coinbase,
    "kraken": _kraken,
    "okx": _okx,
}


def recorded(kind: str) -> list[Case]:
    """Every recorded frame with exactly one quote in it. Raises SystemExit if there is none."""
    venue = STREAM_VENUES[kind]()
    state, _ = venue.open(())
    cases = []
    for line in (FRAMES / kind / "frames.jsonl").read_bytes().splitlines():
        try:
            step = venue.step(state, line, NOW)
        except FeedProtocolError:  # recorded on another channel
            continue
        if len(step.observations) == 1 and isinstance(step.observations[0], Quote):
            cases.append(Case(state, line, step.observations[0]))
        state = step.state
    if not cases:
        raise SystemExit(f"no ticker is recorded of {kind}")
    return cases


def measure(kind: str) -> tuple[int, float, float]:
    """Frames, and seconds per frame of the baseline and of the venue. Raises SystemExit if one quote differs."""
    cases, baseline, step = recorded(kind), BASELINES[kind], STREAM_VENUES[kind]().step
    for case in cases:
        if (plain := baseline(case.state, case.frame)) != case.quote:
            raise SystemExit(f"{kind}: the quotes differ:\n{plain}\n{case.quote}")
    pairs = [(case.state, case.frame) for case in cases]
    plain_s, venue_s = [], []
    for _ in range(TURNS):
        started = time.perf_counter()
        for _ in range(REPEATS):
            for state, frame in pairs:
                baseline(state, frame)
        between = time.perf_counter()
        for _ in range(REPEATS):
            for state, frame in pairs:
                step(state, frame, NOW)
        plain_s.append((between - started) / (REPEATS * len(pairs)))
        venue_s.append((time.perf_counter() - between) / (REPEATS * len(pairs)))
    return len(pairs), min(plain_s), min(venue_s)


def main() -> None:
    print(f"recorded ticker → quote, µs a frame in the best of {TURNS} turns; all quotes equal")
    print(f"{'venue':12}{'frames':>8}{'json + Decimal':>16}{'keeper':>9}{'ratio':>8}")
    ratios = []
    for kind in BASELINES:
        frames, plain_s, venue_s = measure(kind)
        ratios.append(plain_s / venue_s)
        print(f"{kind:12}{frames:8}{1e6 * plain_s:16.2f}{1e6 * venue_s:9.2f}{ratios[-1]:7.1f}x")
    mean = statistics.geometric_mean(ratios)
    print(f"goal >= {GOAL:.0f}x: {'reached' if mean >= GOAL else 'MISSED'} (geometric mean {mean:.1f}x)")


if __name__ == "__main__":
    main()
