"""What a check found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check: what it demands, what it measured, and where it failed (the first few findings, in words)."""

    name: str
    demand: str
    measured: str
    findings: Sequence[str] = ()
    numbers: Mapping[str, object] = field(default_factory=dict)
    passed: bool = True


def outcome(
    name: str, demand: str, measured: str, findings: Sequence[str], numbers: Mapping[str, object] | None = None
) -> Outcome:
    """Passes when there is nothing to find."""
    return Outcome(name, demand, measured, tuple(findings), numbers or {}, not findings)
