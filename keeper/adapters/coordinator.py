"""Who may act while there is one keeper."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AlwaysLeader:
    """A Coordinator without rivals: leader of every shard, and its fence never rises."""

    def is_leader(self, shard: str) -> bool:  # noqa: ARG002 - one for all
        return True

    def fence(self) -> int:
        return 0
