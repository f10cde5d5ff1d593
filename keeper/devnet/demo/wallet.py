"""Keys of the demo's own people: they sign and send, and wait for what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount

from keeper.devnet.jsonrpc import JsonRpc
from keeper.errors import RpcError

MAX_FEE_WEI = 40 * 10**9
"""Twice what a storm asks for; with the largest batch of trades still below the one ether that go-ethereum lets pass."""
TIP_WEI = 10**8
"""Far below the keeper's tip: in a block, prices and liquidations come before the demo's own traffic."""

Receipt = dict[str, Any]
Outgoing = tuple[str, str, int]
"""To whom, with which data, for how much gas."""


class Wallet:
    """One key. Sends one group of transactions at a time."""

    def __init__(self, rpc: JsonRpc, key: bytes, chain_id: int) -> None:
        self._rpc = rpc
        self._account: LocalAccount = Account.from_key(key)
        self._chain_id = chain_id
        self._turn = asyncio.Lock()

    @property
    def address(self) -> str:
        text: str = self._account.address.lower()
        return text

    async def send(self, to: str, data: str, gas: int, timeout_s: float = 15.0) -> Receipt:
        """The receipt, whatever its status. Raises RpcError when the node refuses, TimeoutError without a receipt."""
        return (await self.send_all([(to, data, gas)], timeout_s))[0]

    async def send_all(self, outgoing: Sequence[Outgoing], timeout_s: float = 30.0) -> list[Receipt]:
        """All in one go, in order; the receipts, whatever their status. Raises as `send` does."""
        async with self._turn:
            nonce = int(await self._rpc.call("eth_getTransactionCount", self.address, "pending"), 16)
            raws = [self._signed(nonce + place, *each) for place, each in enumerate(outgoing)]
            sent = await self._rpc.batch([("eth_sendRawTransaction", [raw]) for raw in raws])
            refused = next((answer for answer in sent if isinstance(answer, RpcError)), None)
            if refused is not None:
                raise refused
            async with asyncio.timeout(timeout_s):
                return await self._mined([str(tx) for tx in sent])

    def _signed(self, nonce: int, to: str, data: str, gas: int) -> str:
        transaction: dict[str, Any] = {
            "type": 2,
            "chainId": self._chain_id,
            "nonce": nonce,
            "to": bytes.fromhex(to[2:]),
            "data": data,
            "value": 0,
            "gas": gas,
            "maxFeePerGas": MAX_FEE_WEI,
            "maxPriorityFeePerGas": TIP_WEI,
        }
        return "0x" + self._account.sign_transaction(transaction).raw_transaction.hex()

    async def _mined(self, hashes: Sequence[str]) -> list[Receipt]:
        while True:
            receipts = await self._rpc.batch([("eth_getTransactionReceipt", [tx]) for tx in hashes])
            mined = [receipt for receipt in receipts if isinstance(receipt, dict)]
            if len(mined) == len(hashes):
                return mined
            await asyncio.sleep(0.05)


async def fund(rpc: JsonRpc, address: str, ether: int = 1000) -> None:
    """Gas money out of nothing; only a test chain does this."""
    await rpc.call("anvil_setBalance", address, hex(ether * 10**18))


def revert_data(error: RpcError) -> bytes:
    """What the contract said, empty when the node did not tell."""
    text = error.data if isinstance(error.data, str) else ""
    return bytes.fromhex(text[2:]) if text.startswith("0x") else b""
