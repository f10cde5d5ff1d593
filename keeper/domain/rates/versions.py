"""Parameters that have a validity: venues changed their constants, and a boundary is charged by those of its own time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Versions(Generic[T]):
    """`entries` are (valid from, parameters); an entry holds from its second on, until the next one's.

    Raises ValueError when there is none or when two do not follow each other.
    """

    entries: tuple[tuple[int, T], ...]

    def __post_init__(self) -> None:
        if not self.entries:
            raise ValueError("no version at all")
        for (before, _), (after, _) in zip(self.entries, self.entries[1:], strict=False):
            if after <= before:
                raise ValueError(f"the version of {after} must come before the one of {before}, and no two at once")

    @classmethod
    def always(cls, parameters: T) -> Versions[T]:
        return cls(((0, parameters),))

    def at(self, boundary_s: int) -> T:
        """The parameters of the interval that is scheduled to end at `boundary_s`, however late it is settled.

        Raises ValueError before the first version.
        """
        start, parameters = self.entries[-1]
        if boundary_s >= start:
            return parameters
        found = bisect_right(self.entries, boundary_s, key=lambda entry: entry[0])
        if not found:
            raise ValueError(f"nothing is known of {boundary_s}: the first version is valid from {self.entries[0][0]}")
        return self.entries[found - 1][1]

    @property
    def latest(self) -> T:
        return self.entries[-1][1]

    def periods(self) -> Iterator[tuple[int, int | None, T]]:
        """(valid from, valid until or None, parameters), oldest first."""
        ends = [start for start, _ in self.entries[1:]]
        for (start, parameters), end in zip(self.entries, [*ends, None], strict=True):
            yield start, end, parameters
