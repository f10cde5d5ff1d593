"""What a check found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MOST_FINDINGS = 8


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check: what it demands, what it measured, and where it failed (in words)."""

    name: str
    demand: str
    measured: str
    findings: Sequence[str] = ()
    numbers: Mapping[str, object] = field(default_factory=dict)
    passed: bool = True


def outcome(
    name: str, demand: str, measured: str, findings: Sequence[str], numbers: Mapping[str, object] | None = None
) -> Outcome:
    """Passes when there is nothing to find. Of many findings the first are kept."""
    kept = list(findings[:MOST_FINDINGS])
    if len(findings) > MOST_FINDINGS:
        kept.append(f"and {len(findings) - MOST_FINDINGS} more")
    return Outcome(name, demand, measured, tuple(kept), numbers or {}, not findings)
