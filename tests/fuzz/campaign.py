"""Spoiled messages through every parser: nothing but its own error comes out, or something sane, and no memory stays."""

from __future__ import annotations

import gc
import tracemalloc
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from keeper.domain.quote import Depth, Quote, Trade
from keeper.domain.time import SECOND, Timestamp
from keeper.errors import FeedProtocolError, RateLimited
from keeper.ports.venue import Step, VenueEvent
from tests.fuzz.corpus import READERS, Prey, prey
from tests.fuzz.mutate import spoiled
from tests.fuzz.published import PUBLISHED, Reader

NOW = Timestamp(1_795_300_000 * SECOND)
NO_VENUE = "published"
"""The leg of what no venue sends."""
CONNECTION = 500
"""Frames of one connection; its state ends with it, as at a venue."""
WARM, MAX_GROWTH = 20_000, 24 << 20
"""Frames until caches have filled, and bytes that may be kept beyond what was kept then."""


@dataclass(slots=True)
class Outcome:
    """What became of so many frames: by venue and kind of outcome, and everything that should not have happened."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    grown: int = 0
    """Bytes kept at the end beyond those kept after the warm-up."""


@dataclass(slots=True)
class Line:
    """One connection to a venue, and how far it is."""

    prey: Prey
    state: Any = None
    left: int = 0

    def step(self, frame: bytes) -> str:
        if self.left == 0:
            self.state, self.left = self.prey.venue.open(self.prey.symbols)[0], CONNECTION
        self.left -= 1
        step = self.prey.venue.step(self.state, frame, NOW)
        self.state = step.state
        return sane_step(self.prey.kind, step)


def campaign(
    frames: int, seed: int, *, watch_memory: bool = False, most_faults: int = 20, only: str | None = None
) -> Outcome:
    """Each frame follows from seed and number alone, but for the state of its connection. `only`: one venue's parsers, or
    those of what is PUBLISHED.
    """
    hunted = prey()
    lines = [Line(each) for each in hunted if only in (None, each.kind)]
    others = sorted(PUBLISHED) if only in (None, NO_VENUE) else []
    everything = [frame for each in hunted for frame in each.frames]
    outcome, kept, salt = Outcome(), 0, "" if only is None else f"{only}:"
    if watch_memory:
        tracemalloc.start()
    for number in range(frames):
        if watch_memory and number == min(WARM, frames // 2):
            kept = _kept()
        _one(number, Random(f"{salt}{seed}:{number}"), lines, others, everything, outcome)
        if len(outcome.faults) >= most_faults:
            break
    if watch_memory:
        outcome.grown = _kept() - kept
        tracemalloc.stop()
        if outcome.grown > MAX_GROWTH:
            outcome.faults.append(f"{outcome.grown} bytes were kept")
    return outcome


def leg(kind: str, frames: int, seed: int) -> Outcome:
    """A campaign against one venue, or NO_VENUE, with an eye on the memory."""
    return campaign(frames, seed, watch_memory=True, only=kind)


def _kept() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def _one(
    number: int, rng: Random, lines: list[Line], others: list[str], everything: list[bytes], outcome: Outcome
) -> None:
    name, read, frame = _drawn(rng, lines, others, everything)
    try:
        said = read(frame)
    except FeedProtocolError:
        said = "refused"
    except RateLimited:
        said = "limited" if name.endswith(":rest") else "RateLimited from a stream"
    except Exception as error:  # noqa: BLE001  what this is looking for
        said = f"{type(error).__name__}: {error}"[:200]
    outcome.counts[name, said if said in USUAL else "FAULT"] += 1
    if said not in USUAL:
        outcome.faults.append(f"frame {number}, {name}: {said}\n    {frame[:600]!r}")


USUAL = ("refused", "limited", "quotes", "events", "nothing")


def _drawn(
    rng: Random, lines: list[Line], others: list[str], everything: list[bytes]
) -> tuple[str, Callable[[bytes], str], bytes]:
    """Who reads, and what: mostly a stream, of which most frames are spoiled before they are packed."""
    if others and (not lines or rng.random() < 0.1):
        name = rng.choice(others)
        found = PUBLISHED[name]
        return name, lambda frame: _alone(found, frame), found.spoil(rng.choice(found.samples), found.samples, rng)
    draw = rng.random()
    if draw < 0.05:
        name = rng.choice(sorted(READERS))
        reader, samples = READERS[name]
        return name, lambda frame: _quiet(reader(frame)), spoiled(rng.choice(samples), samples, rng)
    line = rng.choice(lines)
    hunted = line.prey
    if draw < 0.25 and hunted.answers:
        symbol, status, body = rng.choice(hunted.answers)
        status = rng.choice((status, status, status, 200, 400, 404, 500))
        bodies = [answer for *_, answer in hunted.answers]
        return (
            f"{hunted.kind}:rest",
            lambda frame: sane_answer(hunted.kind, symbol, hunted.venue.parse_rest(symbol, status, frame, NOW)),
            spoiled(body, bodies, rng),
        )
    frame = rng.choice(hunted.frames)
    if rng.random() < 0.7:
        frame = hunted.pack(spoiled(frame, everything if rng.random() < 0.5 else hunted.frames, rng))
    else:
        frame = spoiled(hunted.pack(frame), [hunted.pack(other) for other in hunted.frames], rng)
    return hunted.kind, line.step, frame


def _alone(reader: Reader, frame: bytes) -> str:
    """A reader's own error is a refusal; another reader's is none."""
    try:
        return reader.read(frame) or "nothing"
    except reader.own:
        return "refused"
    except FeedProtocolError as error:
        return f"another's error: {error}"


def _quiet(_made: object) -> str:
    return "nothing"


def sane_step(kind: str, step: Step) -> str:
    """What came out, or what is wrong with it."""
    for observation in (*step.observations, *step.confirmations):
        if wrong := _wrong(kind, observation):
            return wrong
    if any(not isinstance(event, VenueEvent) for event in step.events):
        return "an event that is none"
    if any(not isinstance(reply, str) for reply in step.replies):
        return "a reply that is no text"
    return "quotes" if step.observations else "events" if step.events else "nothing"


def sane_answer(kind: str, symbol: str, answer: Quote | VenueEvent) -> str:
    if isinstance(answer, VenueEvent):
        return "events" if answer.kind == "symbol_refused" else f"a {answer.kind} from REST"
    if answer.source != f"{kind}:{symbol}":
        return f"asked for {symbol}, quoted {answer.source}"
    return _wrong(kind, answer) or "quotes"


def _wrong(kind: str, seen: Quote | Depth | Trade) -> str:
    """Prices and sizes are whole numbers and not negative, times lie between 2017 and 2100, the source is the venue's."""
    if not seen.source.startswith(f"{kind}:") or len(seen.source) > 200:
        return f"source {seen.source[:80]!r}"
    if seen.observed_at is not None and not 1_483_228_800 < seen.observed_at // SECOND < 4_102_444_800:
        return f"time {seen.observed_at}"
    if isinstance(seen, Quote):
        numbers = [*seen.content()[:5], *([seen.sequence] if seen.sequence is not None else [])]
    elif isinstance(seen, Trade):
        numbers = [seen.price_e18, seen.size_e18]
    else:
        numbers = [n for level in (*seen.bids, *seen.asks) for n in level]
    wrong = [n for n in numbers if n is not None and (type(n) is not int or n.bit_length() > 200)]
    negative = [n for n in numbers[:5] if n is not None and n < 0]
    return f"numbers {wrong + negative!r}"[:120] if wrong or negative else ""
