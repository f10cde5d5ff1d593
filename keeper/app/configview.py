"""`keeper config schema`: the settings as a JSON Schema for editors, the methods with their options included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_type_hints

from pydantic import BaseModel, TypeAdapter

from keeper.domain.mark import MARK_METHODS
from keeper.domain.numbers import text_of
from keeper.domain.rates import FUNDING_METHODS
from keeper.settings.market import MarketSettings
from keeper.settings.methods import listed
from keeper.settings.models import GlobalFile
from keeper.settings.options import RATIOS


def schema(*, market: bool) -> dict[str, Any]:
    """Of a market file, or of keeper.yaml. `x-methods` lists every method of a mark or of funding with its grade.

    An index and its outliers name their options in shapes of their own.
    """
    model: type[BaseModel] = MarketSettings if market else GlobalFile
    found = model.model_json_schema(by_alias=True)
    shapes = found.get("$defs", {})
    if market:
        shapes["MarkSettings"] = _marked(shapes["MarkSettings"])
        shapes["FundingSettings"] = _rated(shapes["FundingSettings"], shapes.pop("FundingVersion"))
        found["x-methods"] = {"mark": methods(MARK_METHODS), "funding": funding_methods()}
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


def funding_methods() -> dict[str, Any]:
    """The same of funding, where the form is a formula and every constant an option."""
    return {
        name: {
            "grade": method.grade.value,
            "form": method.formula,
            "source": method.source,
            "options": {key: option["default"] for key, option in _options(method).items() if "default" in option},
        }
        for name, method in FUNDING_METHODS.items()
    }


def _marked(part: Mapping[str, Any]) -> dict[str, Any]:
    """The options stand beside the kind in the file, so each kind is a shape of its own."""
    beside = {key: value for key, value in part["properties"].items() if key != "method"}
    kinds = [_kind(name, method, beside) for name, method in MARK_METHODS.items()]
    return {"description": part["description"], "type": "object", "required": ["method"], "oneOf": kinds}


def _rated(part: Mapping[str, Any], version: Mapping[str, Any]) -> dict[str, Any]:
    """One shape without a method, and one for each, whose versions have its options."""
    beside = {key: value for key, value in part["properties"].items() if key not in ("method", "versions")}
    plain = {"properties": {**beside, "method": {"const": None}}, "additionalProperties": False}
    kinds = [
        _kind(name, method, {**beside, "versions": _versions(part["properties"]["versions"], version, method)})
        for name, method in FUNDING_METHODS.items()
    ]
    return {"description": part["description"], "type": "object", "oneOf": [plain, *kinds]}


def _versions(part: Mapping[str, Any], version: Mapping[str, Any], method: type[Any]) -> dict[str, Any]:
    properties = {**version["properties"], **_options(method)}
    return {**part, "items": {**version, "properties": properties, "additionalProperties": False}}


def _kind(name: str, method: type[Any], beside: Mapping[str, Any]) -> dict[str, Any]:
    told = TypeAdapter(method).json_schema()
    return {
        "description": f"{told.get('description', name)}\n\n{method.grade.value}: {method.source}",
        "properties": {"method": {"const": name}, **beside, **_options(method)},
        "required": ["method", *told.get("required", [])],
        "additionalProperties": False,
    }


def _options(method: type[Any]) -> dict[str, dict[str, Any]]:
    """As an operator writes them: a ratio, which is held scaled, is a decimal."""
    hints = get_type_hints(method)
    found = TypeAdapter(method).json_schema().get("properties", {})
    return {key: _ratio(value) if hints[key] in RATIOS else _option(value) for key, value in found.items()}


def _ratio(found: dict[str, Any]) -> dict[str, Any]:
    default = found.get("default")
    told = {"default": None if default is None else text_of(default)} if "default" in found else {}
    return {**told, "type": ["string", "number", *(["null"] if "anyOf" in found else [])]}


def _option(found: dict[str, Any]) -> dict[str, Any]:
    """Without pydantic's titles; decimals may be written with or without quotes."""
    told = {key: value for key, value in found.items() if key != "title"}
    return told | {"type": ["string", "number"]} if told.get("type") == "string" and "enum" not in told else told
