"""Named retry policies around a single operation, for TransientError only; everything else passes at once.

`async for attempt in RPC_READ: with attempt: head = await chain.head()`
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from tenacity import AsyncRetrying, AttemptManager, RetryCallState, retry_if_exception_type, stop_after_attempt

from keeper.errors import RateLimited, TransientError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`attempts` tries; waits first_s · 2ⁿ, at most `longest_s`, and never less than the other side's Retry-After.

    With `jitter` each wait is drawn from its upper half: an injected generator, so that a replay draws the same.
    """

    attempts: int
    first_s: float
    longest_s: float
    jitter: random.Random | None = None

    def jittered(self, generator: random.Random) -> RetryPolicy:
        return replace(self, jitter=generator)

    def __aiter__(self) -> AsyncIterator[AttemptManager]:
        # Each loop its own object: a tenacity retrier carries the state of one run.
        return AsyncRetrying(
            retry=retry_if_exception_type(TransientError),
            stop=stop_after_attempt(self.attempts),
            wait=self._pause_s,
            reraise=True,
        ).__aiter__()

    def _pause_s(self, state: RetryCallState) -> float:
        pause_s = min(self.first_s * 2.0 ** (state.attempt_number - 1), self.longest_s)
        if self.jitter is not None:
            pause_s *= 0.5 + self.jitter.random() / 2
        error = state.outcome.exception() if state.outcome is not None else None
        asked_s = error.retry_after_s if isinstance(error, RateLimited) else None
        return max(pause_s, asked_s or 0.0)


RPC_READ = RetryPolicy(attempts=5, first_s=0.1, longest_s=2.0)
