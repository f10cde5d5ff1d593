"""The configured object is its parameters: a registry maps a kind to a frozen dataclass, whose fields are the options.

pydantic's TypeAdapter over a plain dataclass ignores keys that it does not know, hence the explicit comparison.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, ConfigDict, TypeAdapter, ValidationError

from keeper.domain.ids import Address, address
from keeper.errors import ConfigError
from keeper.settings.faults import Key, suggestion

T = TypeVar("T")
Kinds = Mapping[str, type[Any]]
_LAX = ConfigDict(arbitrary_types_allowed=True, hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class Registries:
    """What this build of the program knows. None: not checked (files are read without the adapters)."""

    venues: Mapping[str, Any] | None = None
    protocols: Kinds | None = None
    signers: Kinds | None = None
    given: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By registry name: constructor arguments that the program itself provides, so no operator may."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """A fault before it has a place: the keys below the object concerned, and the message."""

    keys: tuple[Key, ...]
    message: str


def build(
    registry: Mapping[str, type[T]],
    kind: str,
    options: Mapping[str, Any],
    where: str,
    **given: Any,
) -> T:
    """The object that `kind` and `options` describe; `given` are arguments of the program's own. Raises ConfigError."""
    complaints = examine(registry, kind, options, frozenset(given), "kind")
    if complaints:
        raise ConfigError("\n".join(f"{where}{_suffix(found.keys)}: {found.message}" for found in complaints))
    hints = _hints(registry[kind])
    values = {
        name: _adapter(hints[name]).validate_python(_coerced(hints[name], value)) for name, value in options.items()
    }
    return registry[kind](**values, **given)


def examine(
    registry: Mapping[str, type[Any]], kind: str, options: Mapping[str, Any], given: frozenset[str], label: str
) -> list[Complaint]:
    """Everything wrong with `kind` (written under `label`) and `options`."""
    if kind not in registry:
        return [Complaint((label,), f"unknown {label}{suggestion(kind, registry)}")]
    fields = {found.name: found for found in dataclasses.fields(registry[kind]) if found.init}
    own = {name: found for name, found in fields.items() if name not in given}
    unknown = [
        Complaint((key,), f"unknown option of {kind}{suggestion(key, own)}") for key in options if key not in own
    ]
    missing = [
        Complaint((), f"{name} is missing") for name, found in own.items() if name not in options and _required(found)
    ]
    hints = _hints(registry[kind])
    wrong = [
        Complaint((key, *place), message)
        for key, value in options.items()
        if key in own
        for place, message in _objections(hints[key], value)
    ]
    return unknown + missing + wrong


def _suffix(keys: tuple[Key, ...]) -> str:
    return "".join(f".{key}" for key in keys)


def _required(found: dataclasses.Field[Any]) -> bool:
    return found.default is dataclasses.MISSING and found.default_factory is dataclasses.MISSING


def _hints(kind: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


def _coerced(hint: Any, value: Any) -> Any:
    """A decimal number becomes a float only where the option is a float."""
    return (
        _plain(value)
        if hint in (float, float | None)
        else str(value)
        if isinstance(value, Decimal) and hint is str
        else value
    )


def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(Annotated[hint, AfterValidator(address)] if hint is Address else hint, config=_LAX)


def _objections(hint: Any, value: Any) -> list[tuple[tuple[Key, ...], str]]:
    if isinstance(value, bool) and hint in (int, float, int | None, float | None):
        return [((), "write a number")]
    if hint is Address and not _is_address(value):
        return [((), "write an address: 0x and 40 hexadecimal digits, in quotes")]
    try:
        _adapter(hint).validate_python(_coerced(hint, value))
    except ValidationError as error:
        return [(found["loc"], found["msg"]) for found in error.errors(include_input=False, include_url=False)]
    return []


def _is_address(value: Any) -> bool:
    try:
        address(value)
    except (ValueError, TypeError):
        return False
    return True
