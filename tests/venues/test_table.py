"""README.md says of every venue with few recordings how many there are, and every message that is none says what it varies."""

from __future__ import annotations

import re
from typing import Any

import pytest

from keeper.adapters.sources import STREAM_VENUES
from tests.venues.harness import HERE, documents

ENOUGH = 10
RECORDED = ("R", "T", "C", "N", "K", "I")
"""Origins of messages that a venue has sent: what its documentation shows (D) and what was written after it (schema) are none."""
ROW = re.compile(r"^\| (\w+) \| (\d+) of (\d+) \|", re.MULTILINE)
SAID = {kind: (int(few), int(many)) for kind, few, many in ROW.findall((HERE / "README.md").read_text())}


def quotes(kind: str) -> list[dict[str, Any]]:
    return [row for row in documents(HERE / kind / "expected.jsonl") if "quote" in row]


def recorded(origin: str) -> bool:
    return re.split(r"[ ,:(]", origin, maxsplit=1)[0] in RECORDED


@pytest.mark.parametrize("kind", sorted(STREAM_VENUES))
def test_table__of_few_recordings__counts_what_there_is(kind: str) -> None:
    found = quotes(kind)
    few = sum(recorded(row["origin"]) for row in found)
    assert SAID.get(kind) == ((few, len(found)) if few < ENOUGH else None)


def test_table__names__are_venues() -> None:
    assert SAID.keys() <= STREAM_VENUES.keys()


@pytest.mark.parametrize("kind", sorted(STREAM_VENUES))
def test_quote__written_after_the_documentation__says_what_it_varies(kind: str) -> None:
    for row in quotes(kind):
        if row["origin"].startswith("schema"):
            assert len(row["origin"].removeprefix("schema:").strip()) > 5, f"line {row['line']}: {row['origin']!r}"
            assert row["origin"].startswith("schema: "), row["origin"]
