"""Reads and transactions on anvil, at a second of our choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eth_utils.crypto import keccak

from keeper.devnet.artifacts import load
from keeper.devnet.deploy import Deployment
from keeper.devnet.jsonrpc import JsonRpc
from keeper.domain.ids import Address, address
from keeper.errors import RpcError
from tests.evm.oracle_model import Batch

START = 1_800_001_000
"""1,000 seconds after a boundary of every interval that the tests use."""
GAS = 29_000_000
ORACLE, EXCHANGE, LENS = load("PriceOracle"), load("PerpExchange"), load("PerpLens")


def named(name: str) -> Address:
    """The address of somebody in a test."""
    return address("0x" + keccak(text=name)[12:].hex())


@dataclass(frozen=True, slots=True)
class Outcome:
    """`error` is the custom error's name, None after success; `logs` are (event, *fields)."""

    error: str | None
    arguments: tuple[Any, ...] = ()
    logs: list[tuple[Any, ...]] = field(default_factory=list)
    gas: int = 0
    result: bytes = b""


class Chain:
    """Reads and transactions at the second `now`, mined one by one on a chain that mines only when told."""

    def __init__(self, rpc: JsonRpc, deployment: Deployment) -> None:
        self.rpc = rpc
        self.deployment = deployment
        self.now = START
        self.abi = {deployment.oracle: ORACLE, deployment.exchange: EXCHANGE, deployment.lens: LENS}
        self.abi[deployment.token] = load("HostileToken")

    async def read(self, calls: Sequence[tuple[Address, str, tuple[Any, ...]]]) -> list[tuple[Any, ...]]:
        """The answers to (contract, function, arguments) as of `now`. Raises RpcError for a refusal."""
        requests = []
        for to, function, arguments in calls:
            data = "0x" + self.abi[to].call(function, *arguments).hex()
            requests.append(("eth_call", [{"to": to, "data": data, "gas": hex(10**9)}, "latest", None, self._time()]))
        answers = await self.rpc.batch(requests)
        return [
            self.abi[to].result(function, bytes.fromhex(_no_error(answer)[2:]))
            for (to, function, _), answer in zip(calls, answers, strict=True)
        ]

    async def act(self, sender: str, to: Address, function: str, *arguments: Any) -> Outcome:
        """Tries it at `now`; what would revert is not sent."""
        data = "0x" + self.abi[to].call(function, *arguments).hex()
        transaction = {"from": sender, "to": to, "data": data, "gas": hex(GAS), "gasPrice": "0x0"}
        try:
            result = await self.rpc.call("eth_call", transaction, "latest", None, self._time())
        except RpcError as error:
            name, values = self.abi[to].error(bytes.fromhex((error.data or "0x")[2:]))
            return Outcome(name, values)
        sent = await self.rpc.call("eth_sendTransaction", transaction)
        await self.rpc.call("evm_mine", hex(self.now))
        receipt = await self.rpc.call("eth_getTransactionReceipt", sent)
        assert receipt["status"] == "0x1", (function, arguments)
        logs = [self._decode(log) for log in receipt["logs"] if log["address"] in self.protocol]
        return Outcome(None, (), logs, int(receipt["gasUsed"], 16), bytes.fromhex(result[2:]))

    @property
    def protocol(self) -> set[str]:
        return {self.deployment.oracle, self.deployment.exchange}

    async def logs_since(self, block: int) -> tuple[list[tuple[Any, ...]], int]:
        """Every log of the protocol from `block` on, and the block to go on from."""
        head = int(await self.rpc.call("eth_blockNumber"), 16)
        if block > head:
            return [], block
        asked = {"fromBlock": hex(block), "toBlock": hex(head), "address": sorted(self.protocol)}
        return [self._decode(log) for log in await self.rpc.call("eth_getLogs", asked)], head + 1

    def _time(self) -> dict[str, str]:
        return {"time": hex(self.now)}

    def _decode(self, log: Mapping[str, Any]) -> tuple[Any, ...]:
        topics = [bytes.fromhex(topic[2:]) for topic in log["topics"]]
        decoded = self.abi[address(log["address"])].event(topics, bytes.fromhex(log["data"][2:]))
        assert decoded is not None, log
        return decoded[0], *decoded[1].values()


def batch_tuple(batch: Batch) -> tuple[Any, ...]:
    prices = [(p.market_no, p.index, p.mark, p.premium) for p in batch.prices]
    return (batch.round_id, batch.observed_at, batch.valid_until, batch.epoch, batch.evidence, prices)


def typed_data(batch: Batch, d: Deployment) -> dict[str, Any]:
    def fields(text: str) -> list[dict[str, str]]:
        return [dict(zip(("type", "name"), word.split(), strict=True)) for word in text.split(",")]

    names = ("roundId", "observedAt", "validUntil", "signerEpoch", "evidence")
    message = dict(zip(names, batch_tuple(batch)[:5], strict=True))
    message["prices"] = [
        {"marketId": p.market_no, "index": p.index, "mark": p.mark, "premium": p.premium} for p in batch.prices
    ]
    return {
        "domain": {
            "name": "PerpPriceOracle",
            "version": "1",
            "chainId": d.chain_id,
            "verifyingContract": d.oracle,
        },
        "primaryType": "PriceBatch",
        "types": {
            "EIP712Domain": fields("string name,string version,uint256 chainId,address verifyingContract"),
            "MarketPrice": fields("uint32 marketId,uint96 index,uint96 mark,int64 premium"),
            "PriceBatch": fields(
                "uint64 roundId,uint40 observedAt,uint40 validUntil,uint32 signerEpoch,bytes32 evidence,MarketPrice[] prices"
            ),
        },
        "message": message,
    }


def _no_error(answer: Any) -> str:
    if isinstance(answer, RpcError):
        raise answer
    return str(answer)
