"""Plans compiled once from a contract's JSON ABI: functions by selector, events by topic, errors by selector."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keeper.adapters.encoding.abi import (
    WORD,
    AddressCodec,
    Array,
    Blob,
    Boolean,
    Codec,
    FixedBytes,
    Integer,
    Tuple,
    decode_all,
    named,
    tuple_of,
)
from keeper.adapters.encoding.keccak import keccak
from keeper.domain.ids import Hash
from keeper.errors import AbiMismatch

_ARRAY = re.compile(r"(.+)\[([0-9]*)\]", re.ASCII)
_SCALAR = re.compile(r"(uint|int|bytes)([0-9]+)", re.ASCII)
_PLAIN: Mapping[str, Codec] = {
    "address": AddressCodec(),
    "bool": Boolean(),
    "bytes": Blob(text=False),
    "string": Blob(text=True),
}


@dataclass(frozen=True, slots=True)
class FunctionPlan:
    name: str
    selector: bytes
    inputs: Tuple
    outputs: Tuple

    def calldata(self, *arguments: Any) -> bytes:
        """Raises ValueError for arguments that the types cannot hold."""
        return self.selector + self.inputs.encode(arguments)

    def result(self, data: bytes) -> tuple[Any, ...]:
        """The returned values. Raises AbiMismatch."""
        if not data:
            raise AbiMismatch(f"{self.name} returned nothing: there is no contract at that address")
        values: tuple[Any, ...] = decode_all(self.outputs, data)
        return values

    def named_result(self, data: bytes) -> tuple[Any, ...]:
        """The returned values, structs among them as dicts by the ABI's names. Raises AbiMismatch."""
        return tuple(named(codec, value) for codec, value in zip(self.outputs.items, self.result(data), strict=True))


@dataclass(frozen=True, slots=True)
class EventPlan:
    """`fields` are the names of all inputs in the ABI's order."""

    name: str
    topic0: Hash
    fields: tuple[str, ...]
    indexed: tuple[Codec, ...]
    data: Tuple
    order: tuple[int, ...]
    """Place of each field among the indexed ones followed by the others."""

    def decode(self, topics: Sequence[str], data: bytes) -> tuple[Any, ...]:
        """The values of `fields`. Raises AbiMismatch."""
        if len(topics) != len(self.indexed) + 1:
            raise AbiMismatch(f"{self.name} with {len(topics)} topics")
        found = [decode_all(codec, topic_bytes(topic)) for codec, topic in zip(self.indexed, topics[1:], strict=True)]
        found.extend(decode_all(self.data, data))
        return tuple([found[place] for place in self.order])


@dataclass(frozen=True, slots=True)
class ErrorPlan:
    name: str
    selector: bytes
    inputs: Tuple


@dataclass(frozen=True, slots=True)
class ContractPlan:
    functions: Mapping[str, FunctionPlan]
    events: Mapping[str, EventPlan]
    errors: Mapping[bytes, ErrorPlan]


def compile_contract(abi: Sequence[Mapping[str, Any]]) -> ContractPlan:
    """Raises AbiMismatch for a type that is not supported, or for an overloaded function or event."""
    functions = [_function(entry) for entry in abi if entry["type"] == "function"]
    events = [_event(entry) for entry in abi if entry["type"] == "event"]
    errors = [_error(entry) for entry in abi if entry["type"] == "error"]
    plan = ContractPlan(
        {found.name: found for found in functions},
        {found.name: found for found in events},
        {found.selector: found for found in errors},
    )
    if len(plan.functions) != len(functions) or len(plan.events) != len(events):
        raise AbiMismatch("overloaded names are not supported")
    return plan


def canonical(parameter: Mapping[str, Any]) -> str:
    """The type as it stands in a signature, e.g. `(uint32,uint96)[]`."""
    kind: str = parameter["type"]
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(canonical(part) for part in parameter['components'])}){kind[5:]}"


def codec_of(kind: str, components: Sequence[Mapping[str, Any]] = ()) -> Codec:
    if match := _ARRAY.fullmatch(kind):
        return Array(codec_of(match[1], components), int(match[2]) if match[2] else None)
    if kind == "tuple":
        return _tuple(components)
    if kind in _PLAIN:
        return _PLAIN[kind]
    if match := _SCALAR.fullmatch(kind):
        size = int(match[2])
        return FixedBytes(size) if match[1] == "bytes" else Integer(size, signed=match[1] == "int")
    raise AbiMismatch(f"ABI type {kind!r} is not supported")


def topic_bytes(topic: str) -> bytes:
    """Raises AbiMismatch unless it is 0x and 64 hexadecimal digits."""
    try:
        word = bytes.fromhex(topic[2:])
    except ValueError as error:
        raise AbiMismatch("a topic is not hexadecimal") from error
    if len(word) != WORD:
        raise AbiMismatch(f"a topic of {len(word)} bytes")
    return word


def _tuple(parameters: Sequence[Mapping[str, Any]]) -> Tuple:
    codecs = [codec_of(part["type"], part.get("components", ())) for part in parameters]
    return tuple_of(codecs, [part["name"] for part in parameters])


def _hash(entry: Mapping[str, Any]) -> bytes:
    return keccak(f"{entry['name']}({','.join(canonical(part) for part in entry['inputs'])})".encode())


def _function(entry: Mapping[str, Any]) -> FunctionPlan:
    return FunctionPlan(entry["name"], _hash(entry)[:4], _tuple(entry["inputs"]), _tuple(entry["outputs"]))


def _error(entry: Mapping[str, Any]) -> ErrorPlan:
    return ErrorPlan(entry["name"], _hash(entry)[:4], _tuple(entry["inputs"]))


def _event(entry: Mapping[str, Any]) -> EventPlan:
    inputs = entry["inputs"]
    indexed = [part for part in inputs if part["indexed"]]
    rest = [part for part in inputs if not part["indexed"]]
    arranged = [part["name"] for part in (*indexed, *rest)]
    names = tuple(part["name"] for part in inputs)
    codecs = _tuple(indexed).items
    if any(codec.dynamic for codec in codecs):
        raise AbiMismatch(f"{entry['name']}: indexed values of dynamic types are hashes and not supported")
    topic0 = Hash("0x" + _hash(entry).hex())
    return EventPlan(entry["name"], topic0, names, codecs, _tuple(rest), tuple(arranged.index(n) for n in names))
