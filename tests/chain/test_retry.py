"""Retries: of what may pass by itself, for as long as the policy says, and never sooner than asked."""

from __future__ import annotations

import asyncio
import random

import pytest

from keeper.errors import KeeperError, RateLimited, RpcError, RpcUnavailable
from keeper.runtime.retry import RPC_READ, RetryPolicy
from keeper.runtime.virtual import run_virtual

POLICY = RetryPolicy(attempts=4, first_s=1.0, longest_s=3.0)


def attempted(policy: RetryPolicy, *failures: KeeperError) -> tuple[int, float, KeeperError | None]:
    """How often an operation that fails like this is tried, how long that takes, and how it ends."""

    async def main() -> tuple[int, float, KeeperError | None]:
        loop = asyncio.get_running_loop()
        tries, started = 0, loop.time()
        try:
            async for attempt in policy:
                with attempt:
                    tries += 1
                    if tries <= len(failures):
                        raise failures[tries - 1]
        except KeeperError as error:
            return tries, loop.time() - started, error
        return tries, loop.time() - started, None

    return run_virtual(main)


def test_transient__passes__after_growing_pauses() -> None:
    assert attempted(POLICY, *[RpcUnavailable("away")] * 3) == (4, 1 + 2 + 3, None)


def test_transient__stays__is_raised_as_it_is() -> None:
    last = RpcUnavailable("away")
    assert attempted(POLICY, *[last] * 9) == (4, 6.0, last)


def test_refusal__is_never_retried() -> None:
    refused = RpcError("no")
    assert attempted(POLICY, refused) == (1, 0.0, refused)


def test_rate_limit__waits_as_long_as_asked() -> None:
    assert attempted(POLICY, RateLimited("slow down", retry_after_s=20.0)) == (2, 20.0, None)


def test_jitter__from_the_same_generator__is_the_same_and_only_shortens() -> None:
    jittered = [attempted(POLICY.jittered(random.Random(7)), *[RpcUnavailable("away")] * 3)[1] for _ in range(2)]
    assert jittered[0] == jittered[1]
    assert 3.0 <= jittered[0] < 6.0


def test_policy__two_operations_at_once__do_not_share_their_count() -> None:
    async def main() -> list[int]:
        async def operation() -> int:
            tries = 0
            async for attempt in RPC_READ:
                with attempt:
                    tries += 1
                    if tries < 3:
                        raise RpcUnavailable("away")
            return tries

        return list(await asyncio.gather(*(operation() for _ in range(5))))

    assert run_virtual(main) == [3] * 5


@pytest.mark.parametrize("failures", [0, 1])
def test_success__needs_no_pause_after_it(failures: int) -> None:
    tries, waited_s, error = attempted(POLICY, *[RpcUnavailable("away")] * failures)
    assert (tries, waited_s, error) == (failures + 1, float(failures), None)
