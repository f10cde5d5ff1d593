"""A sender as one writes it in an afternoon: the nonce from the node, no journal, and after a timeout once more.

It does look at the chain before it acts, and at the receipt afterwards. `python -m tests.torture.naive SCENE PLACE N`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass

import aiohttp

from keeper.adapters.clock import SystemClock
from keeper.adapters.encoding.keccak import keccak
from keeper.adapters.signers.curve import signing_key
from keeper.adapters.signers.key_signer import KeySigner
from keeper.devnet.jsonrpc import JsonRpc
from keeper.domain.transaction import Intent
from keeper.errors import RpcError
from keeper.ports.signer import UnsignedTransaction
from tests.chain.stage import CHAIN_ID
from tests.torture.audit import acted
from tests.torture.scene import Scene
from tests.torture.trap import Trap

_RECEIPT_TIMEOUT_S = 0.4
_POLL_S = 0.02
_GIVE_UP_S = 8.0
INSTEAD = {
    "before_migration": "start",
    "during_reconcile": "start",
    "at_first_head": "start",
    "before_commit": "after_sign",
    "after_commit": "after_sign",
    "before_answer_saved": "after_reply",
    "after_answer_saved": "after_reply",
    "before_receipt_saved": "receipt",
    "after_receipt_saved": "receipt",
    "before_settle": "receipt",
    "after_settle": "receipt",
    "before_confirm": "receipt",
    "after_confirm": "receipt",
    "at_bump_signed": "retry",
    "at_bump_saved": "retry",
    "at_supersede_saved": "retry",
    "at_cancel_saved": "retry",
    "at_resend": "retry",
    "at_taken_back": "receipt",
}
"""Where it dies for a place that it does not have."""


@dataclass
class Naive:
    scene: Scene
    rpc: JsonRpc
    signer: KeySigner
    trap: Trap

    async def run(self) -> int:
        self.trap.passed("start")
        for intent in self.scene.acts(SystemClock().now()):
            if not await self._is_done(intent):
                await self._do(intent)
        for _ in range(self.scene.prices):
            now = SystemClock().now()
            await self._do(self.scene.round(now, now, None))
        return int(now)

    async def _is_done(self, intent: Intent) -> bool:
        try:
            return await acted(self.rpc, self.scene, intent.call.to, self.scene.word(intent.key)) > 0
        except RpcError:
            return False

    async def _do(self, intent: Intent) -> None:
        end = time.monotonic() + _GIVE_UP_S
        while time.monotonic() < end:
            try:
                tx_hash = await self._send(intent)
            except (RpcError, aiohttp.ClientError):
                await asyncio.sleep(_POLL_S)
            else:
                if await self._is_mined(tx_hash):
                    return
            self.trap.passed("retry")

    async def _send(self, intent: Intent) -> str:
        nonce = int(await self.rpc.call("eth_getTransactionCount", self.signer.address, "pending"), 16)
        fee_wei = 2 * int(await self.rpc.call("eth_gasPrice"), 16)
        gas = intent.call.gas_limit or 0
        self.trap.passed("before_sign")
        signed = await self.signer.sign_transaction(
            UnsignedTransaction(CHAIN_ID, nonce, intent.call, gas, fee_wei, min(10**9, fee_wei))
        )
        self.trap.passed("after_sign")
        self.trap.passed("before_broadcast")
        await self.rpc.call("eth_sendRawTransaction", "0x" + signed.raw.hex())
        self.trap.passed("after_broadcast_before_reply", "after_reply")
        return signed.hash

    async def _is_mined(self, tx_hash: str) -> bool:
        end = time.monotonic() + _RECEIPT_TIMEOUT_S
        while time.monotonic() < end:
            if await self.rpc.call("eth_getTransactionReceipt", tx_hash) is not None:
                self.trap.passed("receipt")
                return True
            await asyncio.sleep(_POLL_S)
        return False


async def main(scene: Scene, trap: Trap) -> None:
    key = signing_key(keccak(scene.secret.encode()))
    assert key is not None
    async with aiohttp.ClientSession() as session:
        print(await Naive(scene, JsonRpc(session, scene.url), KeySigner(key, CHAIN_ID), trap).run())


if __name__ == "__main__":
    asyncio.run(main(Scene.read(sys.argv[1]), Trap(sys.argv[2], int(sys.argv[3]), INSTEAD)))
