"""Values of the domain as documents and back. Integers that JSON readers would round are written as `#` and their digits."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
_EXACT = 2**53


def document(value: Any) -> Any:
    """A dataclass (of dataclasses, sequences, mappings, texts, bytes and integers) as JSON can say it."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: document(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, dict):
        return {str(key): document(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [document(each) for each in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= _EXACT:
        return f"#{value}"
    return value


def restored(said: Any, kind: type[T]) -> T:
    """What `document` was made from. Raises ValueError on anything else."""
    try:
        return msgspec.convert(_numbers(said), kind, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(f"not a {kind.__name__}: {error}") from None


def _numbers(said: Any) -> Any:
    if isinstance(said, dict):
        return {key: _numbers(each) for key, each in said.items()}
    if isinstance(said, list):
        return [_numbers(each) for each in said]
    if isinstance(said, str) and said.startswith("#"):
        return int(said[1:])
    return said
