"""pydantic's findings in the operator's words, at the operator's lines, without what he wrote."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from keeper.settings.document import Document
from keeper.settings.faults import Fault, Key, suggestion
from keeper.settings.spelling import SPELLINGS

_WORDS = {
    "string_type": "write text",
    "int_type": "write a whole number",
    "float_type": "write a number",
    "bool_type": "write true or false",
    "dict_type": "write keys and values",
    "mapping_type": "write keys and values",
    "model_type": "write keys and values",
    "model_attributes_type": "write keys and values",
    "tuple_type": "write a list",
    "too_short": "write at least one",
    "too_long": "write at most {max_length}",
    "string_too_short": "write at least {min_length} characters",
    "string_too_long": "write at most {max_length} characters",
    "int_parsing": "write a whole number",
    "int_from_float": "write a whole number",
    "float_parsing": "write a number",
    "finite_number": "write a number",
    "bool_parsing": "write true or false",
}


def faults_of(error: ValidationError, model: type[BaseModel], document: Document) -> Iterator[Fault]:
    """One fault for each finding."""
    errors = error.errors(include_url=False)
    for found in errors:
        if found["type"] == "too_short" and any(len(other["loc"]) > len(found["loc"]) for other in errors):
            continue  # pydantic counts the items that are right; the wrong ones have faults of their own
        keys: tuple[Key, ...] = tuple(key for key in found["loc"] if key != "[key]")
        place, message = _worded(found, keys, model)
        yield document.fault(place, message + (_misspelt(keys, document) if found["type"] == "missing" else ""))


def _worded(found: ErrorDetails, keys: tuple[Key, ...], model: type[BaseModel]) -> tuple[tuple[Key, ...], str]:
    kind = found["type"]
    if kind == "extra_forbidden":
        return keys, f"unknown key{suggestion(str(keys[-1]), written_names(_model_at(model, keys[:-1])))}"
    if kind == "missing":
        return keys[:-1], f"{keys[-1]} is missing"
    return keys, in_our_words(found)


def in_our_words(found: ErrorDetails) -> str:
    """One finding of pydantic, without its place."""
    context = found.get("ctx", {})
    if (spelling := SPELLINGS.get(context.get("pattern", ""))) is not None:
        return spelling.told(found["input"])
    if (words := _WORDS.get(found["type"])) is not None:
        return words.format_map(context)
    return found["msg"].removeprefix("Value error, ").replace("Input should be", "must be")


def _misspelt(keys: tuple[Key, ...], document: Document) -> str:
    """`; is it METOD?` where a near miss of the missing key stands beside it."""
    beside = [str(place[-1]) for place in document.places if place[:-1] == keys[:-1] and place]
    near = difflib.get_close_matches(str(keys[-1]), beside, n=1)
    return f"; is it {near[0]}?" if near else ""


def written_names(model: type[BaseModel] | None) -> list[str]:
    """The keys of `model` as they are written in YAML."""
    return [found.alias or name for name, found in model.model_fields.items()] if model else []


def _model_at(model: type[BaseModel], keys: tuple[Key, ...]) -> type[BaseModel] | None:
    hint: Any = model
    for key in keys:
        hint = _step(hint, key)
    return next((part for part in _parts(hint) if isinstance(part, type) and issubclass(part, BaseModel)), None)


def _step(hint: Any, key: Key) -> Any:
    for part in _parts(hint):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return next((f.annotation for name, f in part.model_fields.items() if key in (f.alias, name)), None)
        if typing.get_origin(part) in (tuple, dict, Mapping):
            inner = [found for found in typing.get_args(part) if found is not Ellipsis]
            return inner[-1]
    return None


def _parts(hint: Any) -> tuple[Any, ...]:
    """The members of a union, or the one type itself."""
    return typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)
