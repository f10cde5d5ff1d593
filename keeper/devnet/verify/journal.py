"""The keeper's decision records, read from its journal file without its code, and what a batch says on chain.

Format: docs/reference-protocol.md, "PriceOracle", `evidence`. A record is JSON in UTF-8 with sorted keys, without spaces,
every number a decimal text; its leaf is the Keccak-256 of those bytes; the root pairs leaves sorted by value, the two of a
pair sorted too, and a leaf without a partner goes up unchanged.
"""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from eth_abi.abi import decode
from eth_utils.crypto import keccak

from keeper.devnet.verify.recording import Recording

_PUSH = keccak(
    text="pushPrices((uint64,uint40,uint40,uint32,bytes32,(uint32,uint96,uint96,int64)[]),(bytes32,bytes32)[])"
)[:4]
_ARGUMENTS = (
    "(uint64,uint40,uint40,uint32,bytes32,(uint32,uint96,uint96,int64)[])",
    "(bytes32,bytes32)[]",
)
MOST_COMBINATIONS = 256


@dataclass(frozen=True, slots=True)
class Record:
    """One market's decision. `leaf` is computed from `text`, not taken from the journal."""

    leaf: bytes
    stored_leaf: str
    text: str
    document: Mapping[str, Any]

    @property
    def entry(self) -> tuple[int, int, int, int]:
        """(market number, index, mark, premium), as in the batch."""
        entry = self.document["entry"]
        return int(entry["no"]), int(entry["index"]), int(entry["mark"]), int(entry["premium"])


@dataclass(frozen=True, slots=True)
class Batch:
    """One accepted push: what was signed, from the transaction's own calldata."""

    tx: str
    block: int
    round_id: int
    evidence: bytes
    entries: Sequence[tuple[int, int, int, int]]


def records(path: Path) -> Iterator[Record]:
    """Every price decision, in the order in which they were made: from the compressed files beside it, then the journal."""
    for leaf, text in (*_archived(path.parent / "evidence"), *_journalled(path)):
        yield Record(keccak(text.encode()), leaf, text, json.loads(text))


def _journalled(path: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        return connection.execute("SELECT leaf, json FROM decision WHERE kind = 'price' ORDER BY rowid").fetchall()


def _archived(directory: Path) -> Iterator[tuple[str, str]]:
    """docs/provenance.md: JSON arrays, the leaf second and the record's text last."""
    for file in sorted(directory.glob("evidence-*.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as opened:
            for line in opened:
                _, leaf, _, kind, _, text = json.loads(line)
                if kind == "price":
                    yield leaf, text


def is_canonical(record: Record) -> bool:
    """Whether the text is the one spelling of what it says."""
    again = json.dumps(record.document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return again == record.text and not _has_number(record.document)


def _has_number(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_has_number(item) for item in value.values())
    if isinstance(value, list):
        return any(_has_number(item) for item in value)
    return isinstance(value, int | float) and not isinstance(value, bool)


def batches(recording: Recording) -> Iterator[Batch]:
    """The pushes that the chain accepted."""
    calldata = {push["tx"]: push["input"] for push in recording.lines("pushes")}
    for event in recording.named("BatchPushed"):
        raw = bytes.fromhex(calldata.get(event.tx, "0x")[2:])
        entries: Sequence[tuple[int, int, int, int]] = ()
        if raw[:4] == _PUSH:
            batch, _ = decode(_ARGUMENTS, raw[4:])
            entries = [tuple(price) for price in batch[5]]
        yield Batch(event.tx, event.block, event["roundId"], event["evidence"], entries)


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The Merkle root of a set of leaves."""
    row = sorted(leaves)
    while len(row) > 1:
        pairs = [keccak(min(a, b) + max(a, b)) for a, b in zip(row[::2], row[1::2], strict=False)]
        row = pairs + ([row[-1]] if len(row) % 2 else [])
    return row[0]


def behind(batch: Batch, known: Mapping[tuple[int, int, int, int], Sequence[Record]]) -> Sequence[Record] | None:
    """The records whose root is the batch's evidence, one an entry, newest tried first; None when there are none."""
    choices = [
        [r for r in reversed(known.get(entry, ())) if int(r.document["now"]) // 10**6 <= batch.round_id][:8]
        for entry in batch.entries
    ]
    if not choices or not all(choices):
        return None
    for tried, combination in enumerate(product(*choices)):
        if root_of([record.leaf for record in combination]) == batch.evidence:
            return combination
        if tried > MOST_COMBINATIONS:
            break
    return None
