"""What every endpoint was sent, for assertions such as "nobody sent a transaction"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

SEND = "eth_sendRawTransaction"


@dataclass(frozen=True, slots=True)
class Seen:
    """One call. `at_s` is the event loop's time, `post` numbers the HTTP requests of an endpoint: a batch shares one."""

    endpoint: str
    post: int
    method: str
    params: Sequence[Any]
    at_s: float
    tx_hash: str = ""
    """Of the transaction that it carried, as far as there was one."""
    faults: tuple[str, ...] = ()
    """Labels of what went wrong with it on purpose."""


@dataclass(slots=True, eq=False)
class Record:
    """In the order of arrival."""

    seen: list[Seen] = field(default_factory=list)

    def of(self, method: str, endpoint: str = "") -> list[Seen]:
        """The calls of one method, of one endpoint where it is named."""
        return [each for each in self.seen if each.method == method and endpoint in {"", each.endpoint}]

    def sent(self, endpoint: str = "") -> list[str]:
        """Hashes of the transactions that were sent, also of those refused or never answered."""
        return [each.tx_hash for each in self.of(SEND, endpoint)]

    def posts(self, endpoint: str) -> int:
        """HTTP requests with at least one call."""
        return len({each.post for each in self.seen if each.endpoint == endpoint})

    def clear(self) -> None:
        self.seen.clear()
