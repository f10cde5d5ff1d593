"""`keeper config schema`: the settings as a JSON Schema for editors, the methods with their options included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter

from keeper.domain.mark import MARK_METHODS
from keeper.settings.market import MarketSettings
from keeper.settings.methods import listed
from keeper.settings.models import GlobalFile

CHOICES: Mapping[str, tuple[str, Mapping[str, type[Any]]]] = {"MarkSettings": ("method", MARK_METHODS)}
"""Settings whose kind has its options beside it: the key that names the kind, and the registry."""


def schema(*, market: bool) -> dict[str, Any]:
    """Of a market file, or of keeper.yaml. `x-methods` lists every method with its grade."""
    model: type[BaseModel] = MarketSettings if market else GlobalFile
    found = model.model_json_schema(by_alias=True)
    for name, part in found.get("$defs", {}).items():
        if name in CHOICES:
            label, registry = CHOICES[name]
            found["$defs"][name] = _chosen(part, label, registry)
        elif "options" in part.get("properties", {}):
            del part["properties"]["options"]
            part["additionalProperties"] = True
    if market:
        found["x-methods"] = {"mark": methods(MARK_METHODS)}
    return found


def methods(registry: Mapping[str, type[Any]]) -> dict[str, Any]:
    """By name: grade, source, form and the options that are its own."""
    return {
        each.name: {
            "grade": each.grade.value,
            "form": each.form or each.name,
            "meaning": each.meaning,
            "source": each.source,
            "options": dict(each.options),
        }
        for each in listed(registry)
    }


def _chosen(part: Mapping[str, Any], label: str, registry: Mapping[str, type[Any]]) -> dict[str, Any]:
    """The options stand beside the kind in the file, so each kind is a shape of its own."""
    beside = {key: value for key, value in part["properties"].items() if key not in ("options", label)}
    return {
        "description": part["description"],
        "type": "object",
        "required": [label],
        "oneOf": [_kind(name, label, method, beside) for name, method in registry.items()],
    }


def _kind(name: str, label: str, method: type[Any], beside: Mapping[str, Any]) -> dict[str, Any]:
    options = TypeAdapter(method).json_schema()
    properties = {key: _option(value) for key, value in options.get("properties", {}).items()}
    return {
        "description": f"{options.get('description', name)}\n\n{method.grade.value}: {method.source}",
        "properties": {label: {"const": name}, **beside, **properties},
        "required": [label, *options.get("required", [])],
        "additionalProperties": False,
    }


def _option(found: dict[str, Any]) -> dict[str, Any]:
    """Without pydantic's titles; decimals may be written with or without quotes."""
    told = {key: value for key, value in found.items() if key != "title"}
    return told | {"type": ["string", "number"]} if told.get("type") == "string" and "enum" not in told else told
