"""What the simulator's tests hold: senders that sign with eth-account, and a client for its endpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from eth_account import Account

from keeper.devnet.jsonrpc import JsonRpc
from keeper.devnet.simulator import Simulator
from keeper.devnet.simulator.envelope import Envelope
from keeper.devnet.simulator.faults import Fault, Switch
from keeper.errors import RpcError

GWEI = 10**9
CHAIN_ID = 31337
SEND = "eth_sendRawTransaction"
NOBODY = "0x" + "45" * 20


class Signer:
    def __init__(self, number: int) -> None:
        self.account = Account.from_key(number.to_bytes(32, "big"))
        self.address = self.account.address.lower()

    def raw(self, nonce: int, tip: int = 2 * GWEI, cap: int = 100 * GWEI, **fields: Any) -> str:
        """A transfer of nothing unless told otherwise."""
        common = {"chainId": CHAIN_ID, "to": NOBODY, "value": 0, "gas": 21_000, "data": "0x"}
        fees = {"type": 2, "maxPriorityFeePerGas": tip, "maxFeePerGas": cap}
        return self._signed({**common, **fees, "nonce": nonce, **fields})

    def legacy(self, nonce: int, price: int, **fields: Any) -> str:
        common = {"chainId": CHAIN_ID, "to": NOBODY, "value": 0, "gas": 21_000, "data": "0x"}
        return self._signed({**common, "gasPrice": price, "nonce": nonce, **fields})

    def listed(self, nonce: int, price: int) -> str:
        """Type 1, with an access list."""
        entry = {"address": NOBODY, "storageKeys": ["0x" + "01" * 32]}
        return self.legacy(nonce, price, type=1, gas=30_000, accessList=[entry])

    def _signed(self, fields: dict[str, Any]) -> str:
        return "0x" + self.account.sign_transaction(fields).raw_transaction.hex().removeprefix("0x")


@dataclass
class Bench:
    sim: Simulator
    session: aiohttp.ClientSession
    alice: Signer
    bob: Signer

    def rpc(self, place: int = 0) -> JsonRpc:
        return JsonRpc(self.session, self.sim.endpoints[place].url)

    async def ask(self, method: str, *params: Any, place: int = 0) -> Any:
        return await self.rpc(place).call(method, *params)

    async def send(self, raw: str, place: int = 0) -> str:
        sent: str = await self.ask(SEND, raw, place=place)
        return sent

    async def refusal(self, raw: str, place: int = 0) -> str:
        """What the node says no with; its code is always that of a plain Go error."""
        with pytest.raises(RpcError) as caught:
            await self.send(raw, place)
        assert caught.value.code == -32000
        return str(caught.value).removeprefix(f"{SEND}: ")

    async def nonce(self, signer: Signer, tag: str = "latest", place: int = 0) -> int:
        return int(await self.ask("eth_getTransactionCount", signer.address, tag, place=place), 16)

    async def receipt(self, tx_hash: str, place: int = 0) -> Any:
        return await self.ask("eth_getTransactionReceipt", tx_hash, place=place)

    async def sizes(self) -> tuple[int, int]:
        status = await self.ask("txpool_status")
        return int(status["pending"], 16), int(status["queued"], 16)

    async def post(self, body: Any, place: int = 0) -> tuple[int, Any, str]:
        """Status, headers and text of a raw exchange; redirects are not followed."""
        url = self.sim.endpoints[place].url
        async with self.session.post(url, json=body, allow_redirects=False) as answer:
            return answer.status, answer.headers, await answer.text()

    def fault(self, fault: Fault, place: int = 0, **limits: Any) -> Switch:
        return self.sim.endpoints[place].faults.add(fault, **limits)


def plain(nonce: int, tip: int = 2 * GWEI, cap: int = 100 * GWEI, sender: str = "0xa", **fields: Any) -> Envelope:
    """A transaction for the pool alone: no signature, a hash made of what differs."""
    name = f"{sender}:{nonce}:{tip}:{cap}:{fields}"
    return Envelope(hash=name, sender=sender, nonce=nonce, tip=tip, cap=cap, to=NOBODY, **fields)
