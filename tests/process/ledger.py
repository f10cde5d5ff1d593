"""What the chain says happened, and the people who make something happen on it."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keeper.adapters.encoding.price_batch import PUSH_SELECTOR
from keeper.devnet.configure import address_of
from keeper.devnet.demo.bank import Bank
from keeper.devnet.demo.wallet import Wallet
from keeper.devnet.scenario import FUNDING_INTERVAL_S
from keeper.devnet.verify.abi import Event, contract
from tests.process.stage import Stage

E18, USD = 10**18, 10**6
BTC = 1
PUSH = "0x" + PUSH_SELECTOR.hex()
SETTLEMENTS = [
    contract("PerpExchange").call_data(name, market)[:10]
    for name, market in (("settleFunding", BTC), ("settleFundingMany", [BTC]))
]


@dataclass(slots=True)
class People:
    """The owner of the contracts, the operator and the funder, each with a key of its own."""

    scene: Stage

    def wallet(self, key: bytes) -> Wallet:
        return Wallet(self.scene.rpc, key, self.scene.deployment.chain_id)

    async def owner(self, to: str, name: str, function: str, *arguments: Any) -> None:
        await self.sent(self.scene.keys.deployer, to, name, function, *arguments)

    async def guardian(self, to: str, name: str, function: str, *arguments: Any) -> None:
        await self.sent(self.scene.keys.operator, to, name, function, *arguments)

    async def sent(self, key: bytes, to: str, name: str, function: str, *arguments: Any) -> None:
        data = contract(name).call_data(function, *arguments)
        receipt = await self.wallet(key).send(to, data, 3_000_000, 40.0)
        assert int(receipt["status"], 16) == 1, f"{function} reverted"

    @property
    def bank(self) -> Bank:
        return Bank(self.scene.rpc, self.wallet(self.scene.keys.funder), self.scene.deployment)

    async def longs(self, *margins_bps: int, size_e18: int = E18, market_no: int = BTC) -> list[str]:
        """Fresh accounts that bought `size_e18` at the price on chain, each with so much margin."""
        price = await self.price_e18(market_no)
        notional = price * size_e18 // 10**30
        maker, *takers = (address_of(secrets.token_bytes(32)) for _ in range(1 + len(margins_bps)))
        deposits = [(taker, notional * bps // 10_000) for taker, bps in zip(takers, margins_bps, strict=True)]
        await self.bank.fund_accounts([(maker, 5_000_000 * USD), *deposits])
        price = await self.price_e18(market_no)
        trades = [(maker, taker, market_no, size_e18, price) for taker in takers]
        await self.sent(
            self.scene.keys.operator, self.scene.deployment.exchange, "PerpExchange", "settleTrades", trades
        )
        return takers

    async def price_e18(self, market_no: int) -> int:
        found = await self.asked(self.scene.deployment.oracle, "PriceOracle", "priceOf", market_no)
        price: int = found[1]
        assert price, "no price on chain"
        return price

    async def asked(self, to: str, name: str, function: str, *arguments: Any) -> Any:
        data = contract(name).call_data(function, *arguments)
        return contract(name).result(
            function, await self.scene.rpc.call("eth_call", {"to": to, "data": data}, "latest")
        )


async def events(scene: Stage, name: str) -> list[Event]:
    """All logs of that name, oldest first."""
    where = {
        "address": [scene.deployment.oracle, scene.deployment.exchange],
        "fromBlock": hex(scene.deployment.block_number),
        "toBlock": "latest",
    }
    found = []
    for log in await scene.rpc.call("eth_getLogs", where):
        kind = "PriceOracle" if log["address"].lower() == scene.deployment.oracle else "PerpExchange"
        raw = {"block": int(log["blockNumber"], 16), "index": int(log["logIndex"], 16), "tx": log["transactionHash"]}
        event = contract(kind).event({**raw, "topics": log["topics"], "data": log["data"]})
        if event is not None and event.name == name:
            found.append(event)
    return found


async def liquidated(scene: Stage) -> list[dict[str, Any]]:
    """Each liquidation with its block; that the account was under water is asserted."""
    found = await events(scene, "Liquidated")
    assert all(event["equity"] < event["maintenance"] for event in found)
    return [{**event.values, "block": event.block} for event in found]


async def sender_receipts(scene: Stage) -> list[dict[str, Any]]:
    """Receipts of everything that the keeper's wallet has had mined, by nonce, with the nonce."""
    sender = address_of(scene.keys.sender)
    last = int(await scene.rpc.call("eth_blockNumber"), 16)
    wanted = [
        ("eth_getBlockByNumber", [hex(number), True]) for number in range(scene.deployment.block_number, last + 1)
    ]
    blocks = await scene.rpc.batch(wanted)
    sent = [tx for block in blocks for tx in block["transactions"] if tx["from"].lower() == sender]
    receipts = await scene.rpc.batch([("eth_getTransactionReceipt", [tx["hash"]]) for tx in sent])
    rows = [
        {**receipt, "nonce": int(tx["nonce"], 16), "called": tx["input"][:10], "gasLimit": int(tx["gas"], 16)}
        for tx, receipt in zip(sent, receipts, strict=True)
    ]
    return sorted(rows, key=lambda row: int(row["nonce"]))


async def assert_nothing_twice(scene: Stage, interval_s: int = FUNDING_INTERVAL_S) -> Mapping[str, int]:
    """Every round, settlement and liquidation once; every nonce used, none in vain. Returns how many of each."""
    rounds = Counter(event["roundId"] for event in await events(scene, "BatchPushed"))
    settled = await events(scene, "FundingSettled")
    boundaries = Counter((event["marketId"], event["boundary"]) for event in settled)
    closed = Counter((event["account"], event["marketId"], event["block"]) for event in await liquidated(scene))
    for counted in (rounds, boundaries, closed):
        assert [key for key, count in counted.items() if count > 1] == []
    assert_no_boundary_missed(settled, interval_s)
    receipts = await sender_receipts(scene)
    assert [row["nonce"] for row in receipts] == list(range(len(receipts)))
    assert_none_reverted(receipts, settled, [event.block for event in await events(scene, "SignersSet")])
    return {"rounds": len(rounds), "settlements": len(boundaries), "liquidations": len(closed), "sent": len(receipts)}


def assert_none_reverted(
    receipts: Sequence[Mapping[str, Any]], settled: Sequence[Event], rotations: Sequence[int]
) -> None:
    """None, but for a settlement that a trade or a liquidation of the same block made first (they settle what is due), and
    for a push that was on its way while the signers changed.
    """
    ours = {row["transactionHash"] for row in receipts if row["called"] in SETTLEMENTS}
    raced = {event.block for event in settled if event.tx not in ours}
    rotated = {block + later for block in rotations for later in (0, 1)}
    told = ("nonce", "called", "blockNumber", "gasUsed", "gasLimit", "transactionHash")
    excused = {PUSH: rotated, **dict.fromkeys(SETTLEMENTS, raced)}
    reverted = [
        {key: row[key] for key in told}
        for row in receipts
        if int(row["status"], 16) != 1 and int(row["blockNumber"], 16) not in excused.get(row["called"], set())
    ]
    assert not reverted, f"reverted: {reverted}"


def assert_no_boundary_missed(settled: Sequence[Event], interval_s: int) -> None:
    """Each settlement begins where the one before it ended."""
    ends: dict[int, int] = {}
    for event in settled:
        market = event["marketId"]
        if market in ends:
            assert event["boundary"] - event["intervals"] * interval_s == ends[market]
        ends[market] = event["boundary"]
