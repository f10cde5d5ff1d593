"""The raw messages behind a record: looked up on the tape by hash and time, and parsed again by the venue's own code."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keeper.adapters.references import REFERENCES
from keeper.adapters.sources import BOOK_VENUES, STREAM_VENUES
from keeper.adapters.sources.wire import frame_hash
from keeper.adapters.tape.lines import Line, frame_of
from keeper.adapters.tape.reader import Damage, read_files
from keeper.adapters.tape.writer import files
from keeper.domain.ids import SourceId
from keeper.domain.quote import Depth, Observation, Quote, Trade
from keeper.domain.time import SECOND, Timestamp
from keeper.errors import KeeperError
from keeper.ports.venue import StreamVenue, VenueEvent

Kind = type[Quote] | type[Depth] | type[Trade]
_SLACK_NS = SECOND
_FURTHER_BACK = 3
"""Files before that of a message which are read too when the state of its connection is not in that one."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One message that a record rests on, and what the record says was read from it."""

    source: SourceId
    digest: str
    earliest: int
    received: Timestamp
    stated: Mapping[str, Any]

    @property
    def venue(self) -> str:
        return self.source.partition(":")[0]


@dataclass(slots=True)
class Seen:
    """`frame` None: it is not on the tape. `covered`: the tape tells of that venue at that time. `fault`: what is read otherwise."""

    wanted: Wanted
    frame: bytes | None = None
    at: int = 0
    connection: str = ""
    covered: bool = False
    fault: str = ""


def wanted_of(document: Mapping[str, Any]) -> list[Wanted]:
    """Every message named in a record, each once."""
    found: dict[tuple[str, str, Kind], Wanted] = {}
    for index in document["indices"]:
        quotes = [*index["inputs"], *(each["quote"] for each in index["rejected"] if each["quote"] is not None)]
        for quote in quotes:
            _add(found, quote, int(quote["changed"]))
    for reference in document.get("references", ()):
        if reference["quote"] is not None:
            _add(found, reference["quote"], int(reference["quote"]["changed"]))
    for own in (document["book"], document.get("trade")):
        if own is not None:
            _add(found, own, int(own["received"]))
    return list(found.values())


def _add(found: dict[tuple[str, str, Kind], Wanted], stated: Mapping[str, Any], earliest: int) -> None:
    """Older records name no frame of a trade."""
    if stated.get("frame") is not None:
        key = str(stated["source"]), str(stated["frame"]), _kind(stated)
        received = Timestamp(int(stated["received"]))
        found[key] = Wanted(SourceId(key[0]), key[1], earliest - _SLACK_NS, received, stated)


def look_up(tape: Path, wanted: Sequence[Wanted]) -> list[Seen]:
    """One look at the files around; further back for connections that began before. Raises TapeUnreadable."""
    kept = files(tape)
    if not kept or not wanted:
        return [Seen(each) for each in wanted]
    starts = [_started(file) for file in kept]
    first = max(0, bisect_right(starts, min(each.earliest for each in wanted)) - 1)
    last = bisect_right(starts, max(each.received for each in wanted) + _SLACK_NS)
    found: list[Seen] = []
    for back in range(_FURTHER_BACK + 1):
        found = _looked_up(kept[max(0, first - back) : last], wanted)
        if first - back <= 0 or not any(each.fault for each in found):
            break
    return found


def _started(file: Path) -> int:
    digits = file.name.removeprefix("tape-").partition(".")[0]
    return int(digits) if digits.isdecimal() else 0


def _looked_up(kept: Sequence[Path], wanted: Sequence[Wanted]) -> list[Seen]:
    listening = _Listening(wanted)
    until = max(each.received for each in wanted) + _SLACK_NS
    written, damaged = 0, list[Damage]()
    for found in read_files(kept, damaged):
        written = max(written, found.at)
        if found.at > until:
            break
        listening.hear(found)
    for each in listening.seen:
        # Lines reach the disk in their order, a second late: what comes after the last one may be on its way.
        each.covered = each.covered and written > each.wanted.received and not _lost(each.wanted, damaged)
    return listening.seen


def _lost(wanted: Wanted, damaged: Sequence[Damage]) -> bool:
    """Whether it may stand in what cannot be read of the tape."""
    return any(
        each.after <= wanted.received and (each.before is None or wanted.earliest <= each.before) for each in damaged
    )


@dataclass(slots=True)
class _Listening:
    """Every connection of the venues concerned, stepped frame by frame as the keeper did."""

    wanted: Sequence[Wanted]
    seen: list[Seen] = field(init=False)
    _by_venue: dict[str, list[Seen]] = field(default_factory=lambda: defaultdict(list))
    _venues: dict[str, StreamVenue[Any] | None] = field(default_factory=dict)
    _states: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.seen = [Seen(each) for each in self.wanted]
        for each in self.seen:
            self._by_venue[each.wanted.venue].append(each)

    def hear(self, line: Line) -> None:
        if line.kind not in ("text", "data", "http"):
            return
        name = str(line.words[0])
        venue = name.partition("#")[0]
        if venue not in self._by_venue:
            return
        for each in self._by_venue[venue]:
            each.covered = each.covered or each.wanted.earliest <= line.at <= each.wanted.received
        if line.kind == "http":
            self._answer(venue, line)
        else:
            self._frame(name, venue, line)

    def _frame(self, name: str, venue: str, line: Line) -> None:
        frame = frame_of(line)
        digest = frame_hash(frame)
        here = [each for each in self._by_venue[venue] if each.wanted.digest == digest and _fits(each, line.at)]
        made = self._stepped(name, venue, frame, here[0].wanted.received if here else line.at)
        for each in here:
            _judge(each, frame, line, name, made)

    def _answer(self, venue: str, line: Line) -> None:
        _, _, status, _, body = line.words
        raw = str(body).encode("latin-1")
        digest = frame_hash(raw)
        for each in self._by_venue[venue]:
            if each.wanted.digest == digest and _fits(each, line.at):
                try:
                    made = self._answered(each.wanted, int(status), raw)
                except KeeperError:
                    made = None
                _judge(each, raw, line, "rest", [made] if isinstance(made, Quote) else [])

    def _answered(self, wanted: Wanted, status: int, raw: bytes) -> Quote | VenueEvent | None:
        venue, _, symbol = wanted.source.partition(":")
        if venue in REFERENCES:
            reference = REFERENCES[venue]()
            fix = reference.read(raw)
            price_e18 = reference.price_e18(symbol, fix)
            return Quote(wanted.source, wanted.received, wanted.received, fix.at, last_e18=price_e18)
        dialect = self._venue(venue)
        return None if dialect is None else dialect.parse_rest(symbol, status, raw, wanted.received)

    def _stepped(self, name: str, venue: str, frame: bytes, at: Timestamp) -> Iterable[Observation]:
        dialect = self._venue(venue)
        if dialect is None:
            return ()
        if name not in self._states:
            symbols = sorted({each.wanted.source.partition(":")[2] for each in self._by_venue[venue]})
            self._states[name] = dialect.open(symbols)[0]
        try:
            step = dialect.step(self._states[name], frame, at)
        except KeeperError:
            return ()
        self._states[name] = step.state
        return step.observations

    def _venue(self, name: str) -> StreamVenue[Any] | None:
        if name not in self._venues:
            kind = STREAM_VENUES.get(name) or BOOK_VENUES.get(name)
            self._venues[name] = None if kind is None else kind()
        return self._venues[name]


def _fits(each: Seen, at: int) -> bool:
    return each.wanted.earliest <= at <= each.wanted.received


def _judge(each: Seen, frame: bytes, line: Line, name: str, made: Iterable[Observation]) -> None:
    each.frame, each.at, each.connection = frame, line.at, name
    wanted = each.wanted
    fitting = [found for found in made if found.source == wanted.source and type(found) is _kind(wanted.stated)]
    faults = [_apart(found, each.wanted.stated) for found in fitting]
    each.fault = "" if "" in faults else (faults or ["nothing of this source is read from it"])[-1]


def _kind(stated: Mapping[str, Any]) -> Kind:
    """A vote has a price too, and no size."""
    return Depth if "asks" in stated else Trade if "size" in stated else Quote


def _apart(made: Observation, stated: Mapping[str, Any]) -> str:
    """The first thing that the record says otherwise."""
    if isinstance(made, Depth):
        sides = {"bids": made.bids, "asks": made.asks}
        read_: dict[str, Any] = {name: [[str(n) for n in level] for level in side] for name, side in sides.items()}
    elif isinstance(made, Trade):
        read_ = {"price": str(made.price_e18), "size": str(made.size_e18), "id": made.trade_id}
    else:
        prices = {"bid": made.bid_e18, "ask": made.ask_e18, "last": made.last_e18}
        read_ = {name: None if price is None else str(price) for name, price in prices.items()}
    numbers = {"observed": made.observed_at} | ({} if isinstance(made, Trade) else {"sequence": made.sequence})
    read_ |= {name: None if value is None else str(value) for name, value in numbers.items()}
    apart = (name for name, value in read_.items() if name in stated and value != stated[name])
    first = next(apart, None)
    return "" if first is None else f"{first}: {read_[first]} is read, {stated[first]} recorded"
