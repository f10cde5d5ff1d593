"""The committed ABIs and bytecode of the reference protocol, and calls, answers, errors and logs in their terms.

Struct arguments and results are tuples in the order of the ABI. Encoding: https://docs.soliditylang.org/en/latest/abi-spec.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

from keeper.errors import AbiMismatch

ARTIFACT_DIR = Path(__file__).resolve().parent / "artifacts"


@dataclass(frozen=True, slots=True)
class Function:
    name: str
    selector: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """`inputs` in the order of the declaration: (name, type, indexed)."""

    name: str
    topic: bytes
    inputs: tuple[tuple[str, str, bool], ...]


@dataclass(frozen=True, slots=True)
class Artifact:
    """One compiled contract. `abi` is the JSON ABI as the compiler gave it."""

    name: str
    abi: tuple[Mapping[str, Any], ...]
    bytecode: bytes
    runtime_bytes: int
    functions: Mapping[str, Function] = field(repr=False)
    errors: Mapping[bytes, Function] = field(repr=False)
    events: Mapping[bytes, Event] = field(repr=False)

    def creation(self, *arguments: Any) -> bytes:
        """Bytecode with the constructor's arguments behind it."""
        constructors = [entry for entry in self.abi if entry["type"] == "constructor"]
        inputs = _types(constructors[0]["inputs"]) if constructors else ()
        return self.bytecode + encode(inputs, arguments)

    def call(self, function: str, *arguments: Any) -> bytes:
        """Calldata. Raises KeyError for a function that the ABI does not have."""
        known = self.functions[function]
        return known.selector + encode(known.inputs, arguments)

    def result(self, function: str, data: bytes) -> tuple[Any, ...]:
        """The decoded answer to `function`. Raises AbiMismatch."""
        try:
            return tuple(decode(self.functions[function].outputs, data))
        except Exception as error:
            raise AbiMismatch(f"{self.name}.{function} answered {data[:8].hex()}...: {error}") from error

    def error(self, data: bytes) -> tuple[str, tuple[Any, ...]]:
        """Name and arguments of a custom error in revert data; the name is the selector where it is not one of ours."""
        known = self.errors.get(data[:4])
        if known is None:
            return "0x" + data[:4].hex(), ()
        return known.name, tuple(decode(known.inputs, data[4:]))

    def event(self, topics: Sequence[bytes], data: bytes) -> tuple[str, dict[str, Any]] | None:
        """Name and fields of a log, None where the ABI has no such event."""
        known = self.events.get(topics[0]) if topics else None
        if known is None:
            return None
        plain = iter(decode([kind for _, kind, indexed in known.inputs if not indexed], data))
        keys = iter(topics[1:])
        return known.name, {
            name: decode([kind], next(keys))[0] if indexed else next(plain) for name, kind, indexed in known.inputs
        }


@cache
def load(name: str) -> Artifact:
    """PriceOracle, PerpExchange, PerpLens, QuoteToken or HostileToken. Raises FileNotFoundError for another name."""
    raw = json.loads((ARTIFACT_DIR / f"{name}.json").read_text(encoding="utf-8"))
    abi = tuple(raw["abi"])
    functions = [_function(entry) for entry in abi if entry["type"] == "function"]
    errors = [_function(entry) for entry in abi if entry["type"] == "error"]
    events = [_event(entry) for entry in abi if entry["type"] == "event"]
    return Artifact(
        name=name,
        abi=abi,
        bytecode=bytes.fromhex(raw["bytecode"][2:]),
        runtime_bytes=raw["runtimeBytes"],
        functions={known.name: known for known in functions},
        errors={known.selector: known for known in errors},
        events={known.topic: known for known in events},
    )


def _function(entry: Mapping[str, Any]) -> Function:
    inputs = _types(entry["inputs"])
    selector = keccak(text=f"{entry['name']}({','.join(inputs)})")[:4]
    return Function(entry["name"], selector, inputs, _types(entry.get("outputs", ())))


def _event(entry: Mapping[str, Any]) -> Event:
    inputs = tuple((given["name"], _type(given), given["indexed"]) for given in entry["inputs"])
    topic = keccak(text=f"{entry['name']}({','.join(kind for _, kind, _ in inputs)})")
    return Event(entry["name"], topic, inputs)


def _types(parameters: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(_type(parameter) for parameter in parameters)


def _type(parameter: Mapping[str, Any]) -> str:
    kind: str = parameter["type"]
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(_types(parameter['components']))}){kind[len('tuple') :]}"
