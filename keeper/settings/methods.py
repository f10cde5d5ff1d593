"""Methods of a registry as an operator reads of them: what they are, how far they are proven, and their options."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from keeper.domain.grade import Grade


@dataclass(frozen=True, slots=True)
class Listed:
    """One method. `form` is the method that it is a preset of, None if it is a form itself; `options` those that differ."""

    name: str
    grade: Grade
    meaning: str
    source: str
    form: str | None
    options: Mapping[str, Any]
    """By name: the default; None where the operator must give it."""


def listed(registry: Mapping[str, type[Any]]) -> Iterator[Listed]:
    """In the order of the registry."""
    for name, method in registry.items():
        form = next((base for base in method.__mro__[1:] if base.__dict__.get("name") in registry), None)
        known = options_of(form) if form is not None else {}
        options = {key: value for key, value in options_of(method).items() if key not in known or known[key] != value}
        yield Listed(
            name, method.grade, meaning(method), method.source, form.__dict__["name"] if form else None, options
        )


def options_of(method: type[Any]) -> dict[str, Any]:
    """By name: the default; None where the operator must give it."""
    return {
        found.name: None if found.default is dataclasses.MISSING else found.default
        for found in dataclasses.fields(method)
        if found.init
    }


def meaning(method: type[Any]) -> str:
    """The first paragraph of its description."""
    return " ".join((method.__doc__ or "").split("\n\n")[0].split())


def table(registry: Mapping[str, type[Any]]) -> Iterator[str]:
    """A row for each method, in Markdown."""
    yield "| method | what it is | options, with their defaults | grade | source |\n|---|---|---|---|---|\n"
    for each in listed(registry):
        told = f"{each.meaning} (`{each.form}`)" if each.form else each.meaning
        options = ", ".join(f"`{key}: {_written(value)}`" for key, value in each.options.items())
        yield f"| `{each.name}` | {told} | {options} | {each.grade.value} | {each.source} |\n"


def _written(value: Any) -> str:
    return "…" if value is None else '""' if value == "" else f"{value}"
