"""A process to be killed: the sending side on the journal DIR, wanting rounds 1…N. `python -m tests.chain.worker …`"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiohttp

from keeper.adapters.encoding.keccak import keccak
from keeper.adapters.signers.curve import signing_key
from keeper.adapters.signers.key_signer import KeySigner
from keeper.devnet.jsonrpc import JsonRpc
from keeper.devnet.node import AnvilNode
from keeper.domain.ids import address
from keeper.domain.transaction import IntentState
from tests.chain.stage import CHAIN_ID, KEY_SEED, Stage


async def main(url: str, directory: str, counter: str, rounds: int) -> None:
    key = signing_key(keccak(KEY_SEED))
    assert key is not None
    async with aiohttp.ClientSession() as session:
        stage = Stage(AnvilNode(), JsonRpc(session, url), address(counter), KeySigner(key, CHAIN_ID), Path(directory))
        keeper = await stage.keeper(url=url)
        for number in range(1, rounds + 1):
            intent = stage.intent(number)
            await keeper.inbox.put(intent)
            if keeper.wallet.ledger.intent(intent.id) is None:
                await keeper.outcome(intent, IntentState.CONFIRMED, IntentState.LOST_RACE, within_s=30)
        await keeper.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
