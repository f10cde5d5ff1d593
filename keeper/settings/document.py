"""YAML 1.2 read for its text and its places, not for Python objects.

Built from parser events, so that no constructor ever runs: no tags, no anchors, no aliases, one document, unique keys,
bounded size and depth (docs/decisions/0005-configuration.md). A decimal number becomes a Decimal of its own digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path as FilePath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from keeper.settings.faults import Fault, Key, SettingsRefused, field_path

MAX_BYTES = 256 * 1024
MAX_DEPTH = 12
Path = tuple[Key, ...]
Place = tuple[int, int]

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,77})", re.ASCII)
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,77})(?:\.[0-9]{1,77})?(?:[eE][-+]?[0-9]{1,3})?", re.ASCII)
_BARE_SECRET = re.compile(r"(?:0[xX])?[0-9a-fA-F]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Document:
    """The tree (dict, tuple, str, int, Decimal, bool, None) and where each key and value stands."""

    file: str
    tree: Any
    places: Mapping[Path, Place]

    def place(self, keys: Path) -> Place:
        """Where `keys` stands, or its nearest parent that is written down."""
        while keys and keys not in self.places:
            keys = keys[:-1]
        return self.places.get(keys, (1, 1))

    def fault(self, keys: Path, message: str) -> Fault:
        return Fault(self.file, *self.place(keys), field_path(keys), message)


def read(path: FilePath) -> bytes:
    """At most one byte more than `parse` takes: a file that is too large is refused unread. Raises OSError."""
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def parse(file: str, raw: bytes) -> Document:
    """Raises SettingsRefused with the first fault: a text that cannot be read has no second one."""
    if len(raw) > MAX_BYTES:
        raise SettingsRefused([Fault(file, 0, 0, "", f"larger than {MAX_BYTES // 1024} KiB")])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise SettingsRefused([Fault(file, line, 1, "", "not UTF-8 text")]) from None
    builder = _Builder(file, YAML(typ="safe", pure=True).parse(text))
    try:
        tree = builder.document()
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise SettingsRefused([Fault(file, line, column, "", f"not YAML: {error.problem or 'unreadable'}")]) from None
    except YAMLError:
        raise SettingsRefused([Fault(file, 0, 0, "", "not YAML: control characters or unreadable text")]) from None
    return Document(file, tree, builder.places)


class _Builder:
    """Turns parser events into a tree. Lazy, so that a deep or huge text is refused before it is read to its end."""

    def __init__(self, file: str, events: Iterator[Any]) -> None:
        self._file = file
        self._events = events
        self.places: dict[Path, Place] = {}

    def document(self) -> Any:
        event = next(self._events)
        while not isinstance(event, DocumentStartEvent):
            if isinstance(event, StreamEndEvent):
                return {}
            event = next(self._events)
        if event.version or event.tags:
            self._refuse(event, (), "YAML directives are not allowed")
        tree = self._node(next(self._events), ())
        for event in self._events:
            if not isinstance(event, DocumentEndEvent | StreamEndEvent):
                self._refuse(event, (), "a second YAML document is not allowed")
        return tree

    def _node(self, event: Any, path: Path) -> Any:
        if isinstance(event, AliasEvent) or event.anchor is not None:
            self._refuse(event, path, "anchors and aliases are not allowed")
        if event.ctag is not None:
            self._refuse(event, path, "tags are not allowed")
        if len(path) > MAX_DEPTH:
            self._refuse(event, path, f"nested deeper than {MAX_DEPTH} levels")
        self.places.setdefault(path, (event.start_mark.line + 1, event.start_mark.column + 1))
        if isinstance(event, MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(path)
        return self._scalar(event, path)

    def _mapping(self, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for event in iter(self._events.__next__, None):
            if isinstance(event, MappingEndEvent):
                break
            if not isinstance(event, ScalarEvent) or event.anchor is not None or event.ctag is not None:
                self._refuse(event, path, "a key must be plain text")
            key = event.value[:80]
            if _BARE_SECRET.fullmatch(event.value):
                self._refuse(event, path, "32 bytes of hexadecimal look like a private key: name a file instead")
            if key in found:
                self._refuse(event, (*path, key), "the key stands here twice")
            self.places[(*path, key)] = (event.start_mark.line + 1, event.start_mark.column + 1)
            found[key] = self._node(next(self._events), (*path, key))
        return found

    def _sequence(self, path: Path) -> tuple[Any, ...]:
        found: list[Any] = []
        for event in iter(self._events.__next__, None):
            if isinstance(event, SequenceEndEvent):
                break
            found.append(self._node(event, (*path, len(found))))
        return tuple(found)

    def _scalar(self, event: Any, path: Path) -> str | int | Decimal | bool | None:
        text: str = event.value
        if _BARE_SECRET.fullmatch(text) and not _may_be_public(path):
            self._refuse(event, path, "32 bytes of hexadecimal look like a private key: name a file instead")
        return text if event.style else plain(text)

    def _refuse(self, event: Any, path: Path, message: str) -> None:
        mark = event.start_mark
        raise SettingsRefused([Fault(self._file, mark.line + 1, mark.column + 1, field_path(path), message)])


def _may_be_public(path: Path) -> bool:
    """Pyth names its price feeds by 32 bytes: a source's symbol and `onchain.NAME.feed`, and nothing else, may be so."""
    return len(path) == 3 and (path[0], path[2]) in {("sources", "symbol"), ("onchain", "feed")}


def plain(text: str) -> str | int | Decimal | bool | None:
    """An unquoted scalar by YAML 1.2's core rules, without octal, hexadecimal, infinities or dates."""
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return Decimal(text)
    return text
