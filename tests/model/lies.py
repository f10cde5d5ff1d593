"""What a node can say that is not so, and what it can leave unsaid."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from random import Random

CUT_OFF_S = 20.0
"""Longer than anybody waits for an answer."""


class Read(Enum):
    """How a question about the chain is answered instead."""

    SILENT = "no answer"
    AWAY = "unreachable"
    SLOW = "late"
    STALE = "as it was some blocks before"
    NULL = "nothing found"


@dataclass(frozen=True, slots=True)
class Reply:
    """To signed bytes. `taken`: the pool has got them all the same; `held`: they reach it later.

    `words` empty: no answer at all, after `pause_s` or at once; None: the truth, late.
    """

    taken: bool
    words: str | None
    pause_s: float = 0.0
    held: bool = False


FATAL = "exceeds block gas limit"
"""Never said of bytes that a pool has taken: the keeper believes it, also after an answer that was lost."""
_WORDS = (
    "already known",
    "nonce too low: next nonce 9, tx nonce 3",
    "replacement transaction underpriced",
    "transaction underpriced: gas tip cap 1, minimum needed 2",
    "insufficient funds for gas * price + value: balance 0",
    "txpool is full",
    "tx fee (1.20 ether) exceeds the configured cap (1.00 ether)",
    "nonce too high",
    "address already reserved",
    "the sequencer is having lunch",
)
REPLIES = (
    Reply(taken=False, words=""),
    Reply(taken=True, words=""),
    Reply(taken=False, words="", pause_s=CUT_OFF_S),
    Reply(taken=True, words="", pause_s=CUT_OFF_S),
    Reply(taken=True, words=None, pause_s=3.0),
    Reply(taken=False, words="", held=True),
    Reply(taken=False, words="", held=True, pause_s=CUT_OFF_S),
    *(Reply(taken, words) for words in _WORDS for taken in (False, True)),
    *[Reply(taken=False, words=FATAL)] * 4,
)


@dataclass(slots=True)
class Lies:
    """Told one by one, to the next questions of their kind; `lag` is how likely the node that lags is asked."""

    reads: dict[str, list[Read]] = field(default_factory=dict)
    replies: list[Reply] = field(default_factory=list)
    signer: list[Read] = field(default_factory=list)
    lag: float = 0.0
    told: int = 0

    def of(self, question: str) -> Read | None:
        waiting = self.reads.get(question)
        if not waiting:
            return None
        self.told += 1
        return waiting.pop()

    def reply(self) -> Reply | None:
        if not self.replies:
            return None
        self.told += 1
        return self.replies.pop()

    def lags(self, chance: Random) -> bool:
        late = self.lag > 0 and chance.random() < self.lag
        self.told += late
        return late

    def forget(self) -> None:
        self.reads.clear()
        self.replies.clear()
        self.signer.clear()
        self.lag = 0.0
