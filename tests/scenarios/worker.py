"""A process to be killed or stopped: rounds 1…N, one after the other. `python -m tests.scenarios.worker URLS DIR COUNTER N`"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from keeper.adapters.encoding.keccak import keccak
from keeper.adapters.signers.curve import signing_key
from keeper.adapters.signers.key_signer import KeySigner
from keeper.app.exitcodes import exit_code
from keeper.devnet.jsonrpc import JsonRpc
from keeper.devnet.node import AnvilNode
from keeper.domain.ids import address
from keeper.domain.transaction import Intent, IntentState
from keeper.errors import KeeperError
from keeper.services.outbox import OutcomeBoard
from tests.chain.stage import CHAIN_ID, KEY_SEED, Log, Stage
from tests.scenarios.stage import RULES, Sender

_DONE = (IntentState.CONFIRMED, IntentState.LOST_RACE)


class Deaf(Log):
    """Keeps nothing: what a process remembers of its own log would look like a leak."""

    def __getattribute__(self, name: str) -> Any:
        return _heard if name in {"debug", "info", "warning", "error", "critical"} else super().__getattribute__(name)


def _heard(_event: str, **_keys: Any) -> None:
    pass


@asynccontextmanager
async def sending(
    urls: Sequence[str], directory: str, counter: str, outcomes: OutcomeBoard | None = None
) -> AsyncIterator[tuple[Stage, Sender]]:
    key = signing_key(keccak(KEY_SEED))
    assert key is not None
    async with aiohttp.ClientSession() as session:
        rpc = JsonRpc(session, urls[0])
        signer = KeySigner(key, CHAIN_ID)
        stage = Stage(AnvilNode(), rpc, address(counter), signer, Path(directory), log=Deaf())
        keeper = Sender(stage, RULES, urls, lambda: "", {}, outcomes)
        await keeper.start()
        try:
            yield stage, keeper
        finally:
            await keeper.stop()


async def done(keeper: Sender, intent: Intent) -> None:
    """In this life or in one before."""
    record = keeper.wallet.ledger.intent(intent.id)
    if record is None or record.state not in _DONE:
        await keeper.outcome(intent, *_DONE, within_s=60)


async def main(urls: Sequence[str], directory: str, counter: str, rounds: int) -> None:
    async with sending(urls, directory, counter) as (stage, keeper):
        for number in range(1, rounds + 1):
            intent = stage.intent(number)
            await keeper.inbox.put(intent)
            await done(keeper, intent)


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1].split(","), sys.argv[2], sys.argv[3], int(sys.argv[4])))
    except KeeperError as error:
        sys.exit(exit_code(error))
