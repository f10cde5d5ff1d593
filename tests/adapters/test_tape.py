"""What is heard comes back as it came, also from a tape that was cut off, and an old file gives way to a new one."""

from __future__ import annotations

import asyncio
import errno
import gzip
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keeper.adapters.tape.documents import document, restored
from keeper.adapters.tape.lines import PROLOGUE, frame_of, framed, line, parsed
from keeper.adapters.tape.reader import TapeUnreadable, read, recordings
from keeper.adapters.tape.sessions import Heard, RecordingSession
from keeper.adapters.tape.writer import TapeWriter, files
from keeper.adapters.websocket import open_session
from keeper.app.replay.stage import CountingLog
from keeper.domain.chain import BlockRef
from keeper.domain.ids import Hash
from keeper.domain.time import Timestamp


class _Clock:
    def __init__(self) -> None:
        self.at = Timestamp(1_700_000_000 * 10**9)

    def now(self) -> Timestamp:
        self.at = Timestamp(self.at + 1)
        return self.at


class _Meter:
    def count(self, name: str, amount: float = 1, **labels: str) -> None: ...

    def gauge(self, name: str, value: float, **labels: str) -> None: ...

    def observe(self, name: str, value: float, **labels: str) -> None: ...


def _head(clock: _Clock) -> bytes:
    return line(clock.now(), "head", {"format": 1})


def _writer(directory: Path, **options: object) -> tuple[TapeWriter, _Clock]:
    clock = _Clock()
    writer = TapeWriter(directory, clock, CountingLog(), _Meter(), **options)  # type: ignore[arg-type]
    writer.prologue = lambda: iter([_head(clock)])
    return writer, clock


async def _written(writer: TapeWriter) -> None:
    """One round of its service, which writes what is left when it is told to end."""
    task = asyncio.create_task(writer.run())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("frame", [b'{"p":"1.5"}', "ж".encode(), b"\x1f\x8b\x08\x00\xff", b"", b'a"b\\\n'])
def test_frame__text_or_binary__comes_back_byte_for_byte(frame: bytes) -> None:
    found = parsed(framed(Timestamp(7), "x#1", frame))
    assert (found.at, found.words[0], frame_of(found)) == (7, "x#1", frame)


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"[1]", b'["a","b"]', b"nonsense", b'[1.5,"text"]'])
def test_line__anything_else__is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="line"):
        parsed(raw)


_DAMAGED = [
    [1, "dial"],
    [1, "dial", 5],
    [1, "sent", "x#1"],
    [1, "text", "x#1"],
    [1, "text", "x#1", None],
    [1, "data", "x#1", 5],
    [1, "data", "x#1", "%%%"],
    [1, "shut", "x#1"],
    [1, "shut", "x#1", "1000"],
    [1, "fail", "x"],
    [1, "fail", ["x"], "OSError"],
    [1, "http", "x"],
    [1, "http", ["x"], "GET /", 200, {}, ""],
    [1, "http", "x", "GET /", "200", {}, ""],
    [1, "http", "x", "GET /", 200, {}, None],
    [1, "http", "x", "GET /", 200, {}, "€"],
    [1, "saved", "prices"],
    [1, "~saved", "prices", 5],
    [1, "state", "x"],
    [1, "state", "x", 5],
    [1, "said", "x", 1, "0x", []],
    [1, "said", "x", 1, "0x", {"BTC-USD": ["1", "2"]}],
    [1, "said", "x", 1, "0x", {"BTC-USD": ["1", "2", "x"]}],
    [1, "paused", ["x"], "why"],
    [1, "paused", "x", 5],
    [1, "held", "x"],
    [1, "sequencer", 5],
    [1, "resumed"],
    [1, "head"],
    [-(10**20), "head", {"format": 1}],
    [10**20, "dial", "x#1"],
]


@pytest.mark.parametrize("damaged", _DAMAGED, ids=repr)
def test_line__of_another_shape_than_its_kind_has__is_refused(damaged: list[object]) -> None:
    with pytest.raises(ValueError, match="line"):
        parsed(json.dumps(damaged).encode())


@pytest.mark.parametrize("limit", [1_000, 100_000])
def test_line__nested_deeper_than_any__is_refused(limit: int) -> None:
    """Also where a library has raised the limit of recursion, on its import."""
    before = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(limit)
        with pytest.raises(ValueError, match="line"):
            parsed(b'[1,"later",' + b"[" * 50_000 + b"]" * 50_000 + b"]")
    finally:
        sys.setrecursionlimit(before)


def test_line__of_a_kind_that_is_not_known_yet__is_read() -> None:
    assert parsed(b'[1,"later",5]') == (1, "later", [5])


@pytest.mark.parametrize("name", ["Content-Type", "Retry-After", "Date"])
async def test_answer__with_a_header_that_is_no_text__is_taped_and_heard(name: str) -> None:
    """Found: a venue that sent one ended its feed, again and again."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\n{name}: ".encode() + b"\xff\xfe\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()

    lines: list[bytes] = []
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        recording = RecordingSession("x", open_session(), Heard(_Clock(), lines.append))
        async with recording as session, session.request("GET", url) as answer:
            assert b"".join([chunk async for chunk in answer.content.iter_any()]) == b"{}"
    (found,) = map(parsed, lines)
    assert (found.kind, found.words[4]) == ("http", "{}")
    assert found.words[3] == {name: "??"}


async def test_tape__written_and_read__is_the_same_lines(tmp_path: Path) -> None:
    writer, clock = _writer(tmp_path)
    for number in range(100):
        writer.put(line(clock.now(), "text", "a#1", f"frame {number}"))
    await _written(writer)
    found = list(read(tmp_path))
    assert [each.kind for each in found] == ["head"] + ["text"] * 100
    assert [each.words[1] for each in found[1:]] == [f"frame {number}" for number in range(100)]
    assert oct(files(tmp_path)[0].stat().st_mode & 0o777) == "0o600"


async def test_tape__cut_off_by_a_crash__is_read_up_to_there(tmp_path: Path) -> None:
    writer, clock = _writer(tmp_path)
    writer.put(line(clock.now(), "text", "a#1", "whole"))
    await _written(writer)
    (file,) = files(tmp_path)
    file.write_bytes(file.read_bytes() + gzip.compress(line(clock.now(), "text", "a#1", "x" * 10_000))[:40])
    assert [each.kind for each in read(tmp_path)][:2] == ["head", "text"]


async def test_ring__full__the_oldest_give_way_and_the_rest_can_be_read(tmp_path: Path) -> None:
    writer, clock = _writer(tmp_path, max_bytes=3_000, file_bytes=500)
    writer.prologue = lambda: iter([_head(clock), line(clock.now(), PROLOGUE + "dial", "a#1.1")])
    draws = (f"{number:064x}"[::-1] + str(hash((number, "x"))) for number in range(10**6))
    for _ in range(60):
        for _ in range(5):
            writer.put(line(clock.now(), "text", "a#1", next(draws)))
        await _written(writer)
    left = files(tmp_path)
    assert len(left) > 2
    assert sum(each.stat().st_size for each in left[1:]) <= 3_000
    found = list(read(tmp_path))
    assert [each.kind for each in found[:2]] == ["head", "dial"]
    assert all(each.kind == "text" for each in found[2:])


@pytest.mark.parametrize("taken", [0, 30])
@pytest.mark.parametrize("before", [0, 1])
async def test_disk__full_for_a_while__what_follows_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int, taken: int
) -> None:
    """Half a member, or a file without its beginning, would have made the whole tape unreadable."""
    writer, clock = _writer(tmp_path)
    usual = Path.open

    class Full(io.BytesIO):
        def write(self, packed: Any) -> int:
            with usual(files_to_be[-1], "ab") as opened:
                opened.write(packed[:taken])
            raise OSError(errno.ENOSPC, "No space left on device")

    files_to_be: list[Path] = []

    def opened(path: Path, *words: Any, **options: Any) -> Any:
        files_to_be.append(path)
        return Full()

    for number in range(before):
        writer.put(line(clock.now(), "text", "a#1", f"before {number}"))
        await writer._flush()
    with monkeypatch.context() as full:
        full.setattr(Path, "open", opened)
        for number in range(3):
            writer.put(line(clock.now(), "text", "a#1", f"lost {number}"))
            await writer._flush()
    assert len(files(tmp_path)) == before, "what holds nothing is no file"
    assert writer.lost >= 3
    for number in range(2):
        writer.put(line(clock.now(), "text", "a#1", f"after {number}"))
        await writer._flush()
    told = [each for found in recordings(tmp_path) for each in found.lines if each.kind == "text"]
    assert [each.words[1] for each in told] == [f"before {n}" for n in range(before)] + ["after 0", "after 1"]
    assert [found.damaged for found in recordings(tmp_path)] == [[]] * (1 + before)


def test_prologue__of_a_later_file__repeats_how_open_connections_began() -> None:
    said: list[bytes] = []
    heard = Heard(_Clock(), said.append)
    first, second = heard.dialled("okx"), heard.dialled("okx")
    heard.said(first, "subscribe")
    heard.heard(first, b'{"event":"subscribe"}')
    heard.shut(second, 1000)
    again = [parsed(each) for each in heard.prologue()]
    assert [(each.kind, each.words[0]) for each in again] == [
        (PROLOGUE + "dial", first),
        (PROLOGUE + "sent", first),
        (PROLOGUE + "text", first),
    ]
    assert frame_of(again[2]._replace(kind="text")) == b'{"event":"subscribe"}'
    assert len(said) == 5


def _files(directory: Path) -> Iterator[Path]:
    directory.mkdir()
    (directory / "empty").mkdir()
    yield directory / "empty"
    yield directory / "missing"
    (directory / "other.gz").write_bytes(gzip.compress(b'{"not":"a tape"}\n'))
    yield directory / "other.gz"
    (directory / "newer.gz").write_bytes(gzip.compress(line(Timestamp(1), "head", {"format": 99})))
    yield directory / "newer.gz"
    (directory / "plain").write_bytes(b"no gzip at all")
    yield directory / "plain"


def test_read__what_is_no_tape__is_refused_with_its_name(tmp_path: Path) -> None:
    for path in _files(tmp_path / "tapes"):
        with pytest.raises(TapeUnreadable, match=path.name):
            list(read(path))


def test_document__numbers_beyond_json__come_back_exactly() -> None:
    ref = BlockRef(2**70, Hash("0x" + "a" * 64), Hash("0x" + "b" * 64), 1_700_000_000, -(2**65))
    assert restored(document(ref), BlockRef) == ref
    with pytest.raises(ValueError, match="BlockRef"):
        restored({"number": "x"}, BlockRef)
