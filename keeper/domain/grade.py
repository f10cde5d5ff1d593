"""How far a method that is named after a venue is proven. docs/validation.md holds the observations."""

from __future__ import annotations

from enum import StrEnum


class Grade(StrEnum):
    REPRODUCED = "reproduced"
    """Recorded inputs give the recorded result."""
    CONSISTENT = "consistent"
    """The recorded result is one that the formula can give; not all of its inputs were recorded."""
    DOCUMENTED = "documented only"
    """The venue's own text, and its worked examples where it has some."""
