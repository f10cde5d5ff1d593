"""The configured object is its parameters: a registry maps a kind to a frozen dataclass, whose fields are the options.

pydantic's TypeAdapter over a plain dataclass ignores keys that it does not know, hence the explicit comparison.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from keeper.domain.ids import Address, address
from keeper.domain.numbers import parse_e18
from keeper.domain.rates.method import Ratio
from keeper.errors import ConfigError
from keeper.settings.explain import in_our_words
from keeper.settings.faults import Key, suggestion

T = TypeVar("T")
Kinds = Mapping[str, type[Any]]
RATIOS = (Ratio, Ratio | None)
"""Hints of options that are written as decimals and held scaled by 1e18."""
_QUIET = ConfigDict(arbitrary_types_allowed=True, hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class Registries:
    """What this build of the program knows beyond the domain. None: not checked."""

    venues: Mapping[str, Any] | None = None
    """Spot venues: what a source may be."""
    books: Mapping[str, Any] | None = None
    """Perp exchanges: what a market's own book may be."""
    onchain: Kinds | None = None
    """Kinds of contract that hold a price."""
    polled: Mapping[str, Any] | None = None
    """References that are asked for now and then."""
    calendar: Callable[[str], None] | None = None
    """Raises ConfigError for a calendar, by name or schedule, that does not exist."""
    protocols: Kinds | None = None
    signers: Kinds | None = None


@dataclass(frozen=True, slots=True)
class Complaint:
    """A fault before it has a place: the keys below the object concerned, and the message."""

    keys: tuple[Key, ...]
    message: str


def build(registry: Mapping[str, type[T]], kind: str, options: Mapping[str, Any], where: str, **given: Any) -> T:
    """The object that `kind` and `options` describe. Raises ConfigError.

    `given` are arguments of the program's own; those that the class has are passed, and no option may name one.
    """
    complaints = _complaints(registry, kind, options, given, "kind")
    if complaints:
        lines = (f"{where}{''.join(f'.{key}' for key in found.keys)}: {found.message}" for found in complaints)
        raise ConfigError("\n".join(lines))
    try:
        return _made(registry[kind], options, given)
    except (ValueError, ConfigError) as error:
        raise ConfigError(f"{where}: {error}") from None


def examine(
    registry: Mapping[str, type[Any]], kind: str, options: Mapping[str, Any], label: str, **given: Any
) -> list[Complaint]:
    """Everything wrong with `kind` (written under `label`) and `options`, what the constructor refuses included."""
    complaints = _complaints(registry, kind, options, given, label)
    if complaints:
        return complaints
    try:
        _made(registry[kind], options, given)
    except (ValueError, ConfigError) as error:
        return [Complaint((), str(error))]
    return []


def _made(kind: type[T], options: Mapping[str, Any], given: Mapping[str, Any]) -> T:
    hints = typing.get_type_hints(kind)
    values = {
        name: _adapter(hints[name]).validate_python(_plain(hints[name], value)) for name, value in options.items()
    }
    return kind(**values, **{name: value for name, value in given.items() if name in hints})


def _complaints(
    registry: Mapping[str, type[Any]], kind: str, options: Mapping[str, Any], given: Mapping[str, Any], label: str
) -> list[Complaint]:
    if kind not in registry:
        return [Complaint((label,), f"unknown {label}{suggestion(kind, registry)}")]
    own = {found.name: found for found in dataclasses.fields(registry[kind]) if found.init and found.name not in given}
    unknown = [
        Complaint((key,), f"unknown option of {kind}{suggestion(key, own)}") for key in options if key not in own
    ]
    missing = [
        Complaint((), f"{name} is missing") for name, found in own.items() if name not in options and _required(found)
    ]
    hints = typing.get_type_hints(registry[kind])
    wrong = [
        Complaint((key, *place), message)
        for key, value in options.items()
        if key in own
        for place, message in _objections(hints[key], value)
    ]
    return unknown + missing + wrong


def _required(found: dataclasses.Field[Any]) -> bool:
    return found.default is dataclasses.MISSING and found.default_factory is dataclasses.MISSING


def _plain(hint: Any, value: Any) -> Any:
    """A decimal number becomes a float only where the option is a float, text where it is text, and exact where it is a ratio."""
    if hint in RATIOS and value is not None:
        return parse_e18(format(Decimal(value), "f"))
    if not isinstance(value, Decimal):
        return value
    return float(value) if hint in (float, float | None) else str(value) if hint in (str, str | None) else value


def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint, config=_QUIET)


def _objections(hint: Any, value: Any) -> list[tuple[tuple[Key, ...], str]]:
    if isinstance(value, bool) and hint in (int, float, int | None, float | None):
        return [((), "write a number")]
    if hint in RATIOS and not _is_ratio(value):
        return [((), 'write a plain decimal number of at most 18 digits after the point, e.g. "0.0001"')]
    if hint is Address and not _is_address(value):
        return [((), "write an address: 0x and 40 hexadecimal digits, in quotes")]
    try:
        _adapter(hint).validate_python(_plain(hint, value))
    except ValidationError as error:
        return [(found["loc"], in_our_words(found)) for found in error.errors(include_url=False)]
    return []


def _is_ratio(value: Any) -> bool:
    """None is one, where the option may be left out: the hint's own check says so."""
    if value is None:
        return True
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return False
    try:
        return Decimal(parse_e18(format(Decimal(value), "f"))).scaleb(-18) == Decimal(value)
    except (ValueError, ArithmeticError):
        return False


def _is_address(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(address(value))
    except ValueError:
        return False


def refusal(keys: tuple[str, ...], make: Callable[[], object]) -> Iterator[Complaint]:
    try:
        make()
    except ValueError as error:
        yield Complaint(keys, str(error))


def under(keys: tuple[str | int, ...], found: list[Complaint]) -> Iterator[Complaint]:
    for complaint in found:
        yield Complaint((*keys, *complaint.keys), complaint.message)
