"""Reads logs and return values by the ABIs that the compiler wrote, so that a changed contract is read as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

ARTIFACTS = Path(__file__).resolve().parent.parent / "artifacts"


@dataclass(frozen=True, slots=True)
class Event:
    """One decoded log. `values` are by the names in the ABI; addresses lower-case text, structs mappings."""

    name: str
    contract: str
    block: int
    tx: str
    index: int
    values: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


def canonical_type(component: Mapping[str, Any]) -> str:
    """`tuple` written out, as signatures and the codec want it."""
    kind: str = component["type"]
    if not kind.startswith("tuple"):
        return kind
    return "(" + ",".join(canonical_type(part) for part in component["components"]) + ")" + kind[len("tuple") :]


def named(component: Mapping[str, Any], value: Any) -> Any:
    """A decoded value with its struct fields by name."""
    kind: str = component["type"]
    if kind.endswith("]"):
        inner = {**component, "type": kind[: kind.rindex("[")]}
        return [named(inner, item) for item in value]
    if kind == "tuple":
        return {part["name"]: named(part, item) for part, item in zip(component["components"], value, strict=True)}
    return value.lower() if kind == "address" else value


def signature_of(entry: Mapping[str, Any]) -> str:
    return f"{entry['name']}({','.join(canonical_type(part) for part in entry['inputs'])})"


class Contract:
    """One artifact's ABI."""

    def __init__(self, name: str) -> None:
        self.name = name
        entries = json.loads((ARTIFACTS / f"{name}.json").read_text())["abi"]
        self._events = {keccak(text=signature_of(e)): e for e in entries if e["type"] == "event"}
        self._functions = {e["name"]: e for e in entries if e["type"] == "function"}

    def event(self, log: Mapping[str, Any]) -> Event | None:
        """The event in a raw log, or None where the ABI has none with its topic."""
        topics = [bytes.fromhex(topic[2:]) for topic in log["topics"]]
        entry = self._events.get(topics[0]) if topics else None
        if entry is None:
            return None
        indexed = [part for part in entry["inputs"] if part["indexed"]]
        plain = [part for part in entry["inputs"] if not part["indexed"]]
        values = {p["name"]: named(p, decode([p["type"]], t)[0]) for p, t in zip(indexed, topics[1:], strict=True)}
        words = decode([canonical_type(part) for part in plain], bytes.fromhex(log["data"][2:]))
        values.update({part["name"]: named(part, word) for part, word in zip(plain, words, strict=True)})
        return Event(entry["name"], self.name, log["block"], log["tx"], log["index"], values)

    def call_data(self, function: str, *arguments: Any) -> str:
        """0x-text for eth_call."""
        entry = self._functions[function]
        selector = keccak(text=signature_of(entry))[:4]
        return "0x" + (selector + encode([canonical_type(part) for part in entry["inputs"]], arguments)).hex()

    def result(self, function: str, data: str) -> Any:
        """What the call returned: one value, or a list of several, structs by name."""
        outputs: Sequence[Mapping[str, Any]] = self._functions[function]["outputs"]
        words = decode([canonical_type(part) for part in outputs], bytes.fromhex(data[2:]))
        values = [named(part, word) for part, word in zip(outputs, words, strict=True)]
        return values[0] if len(values) == 1 else values


@cache
def contract(name: str) -> Contract:
    return Contract(name)
