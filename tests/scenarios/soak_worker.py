"""A process that is watched while it pushes N prices, each in a block of its own. Says each hundred on stdout.

`python -m tests.scenarios.soak_worker URLS DIR COUNTER N`
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Sequence

from keeper.domain.time import SECOND, Timestamp
from keeper.domain.transaction import Lane
from keeper.services.outbox import OutcomeBoard
from tests.chain.stage import DEPLOYMENT
from tests.scenarios.worker import done, sending

_KEPT_NS = 2 * SECOND
"""Of settled transactions: a week in two seconds."""
_KEPT_OUTCOMES = 128
"""The board's full size is come to after some thousand transactions; a leak should show before."""


async def main(urls: Sequence[str], directory: str, counter: str, rounds: int) -> None:
    async with sending(urls, directory, counter, OutcomeBoard(_KEPT_OUTCOMES)) as (stage, keeper):
        for number in range(1, rounds + 1):
            price = stage.intent(number, Lane.PRICE)
            keeper.prices.put(DEPLOYMENT, price)
            await done(keeper, price)
            if number % 50 == 0:
                keeper.journal.ledger.reap(Timestamp(keeper.wallet.clock.now() - _KEPT_NS))
                gc.collect()
                sys.stdout.write(f"{number}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1].split(","), sys.argv[2], sys.argv[3], int(sys.argv[4])))
