"""Keys of the demo's own people: they sign and send, and wait for what became of it."""

from __future__ import annotations

import asyncio
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount

from keeper.devnet.jsonrpc import JsonRpc
from keeper.errors import RpcError

MAX_FEE_WEI = 100 * 10**9
TIP_WEI = 10**8
"""Far below the keeper's tip: in a block, prices and liquidations come before the demo's own traffic."""


class Wallet:
    """One key. Sends one transaction at a time."""

    def __init__(self, rpc: JsonRpc, key: bytes, chain_id: int) -> None:
        self._rpc = rpc
        self._account: LocalAccount = Account.from_key(key)
        self._chain_id = chain_id
        self._turn = asyncio.Lock()

    @property
    def address(self) -> str:
        text: str = self._account.address.lower()
        return text

    async def send(self, to: str, data: str, gas: int, timeout_s: float = 15.0) -> dict[str, Any]:
        """The receipt, whatever its status. Raises RpcError when the node refuses, TimeoutError without a receipt."""
        async with self._turn:
            nonce = int(await self._rpc.call("eth_getTransactionCount", self.address, "pending"), 16)
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
            raw = self._account.sign_transaction(transaction).raw_transaction
            tx = await self._rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
            async with asyncio.timeout(timeout_s):
                return await self._mined(tx)

    async def _mined(self, tx: str) -> dict[str, Any]:
        while True:
            receipt: dict[str, Any] | None = await self._rpc.call("eth_getTransactionReceipt", tx)
            if receipt is not None:
                return receipt
            await asyncio.sleep(0.05)


async def fund(rpc: JsonRpc, address: str, ether: int = 1000) -> None:
    """Gas money out of nothing; only a test chain does this."""
    await rpc.call("anvil_setBalance", address, hex(ether * 10**18))


def revert_data(error: RpcError) -> bytes:
    """What the contract said, empty when the node did not tell."""
    text = error.data if isinstance(error.data, str) else ""
    return bytes.fromhex(text[2:]) if text.startswith("0x") else b""
