"""What the chain and the contracts say in the end. Nothing here is taken from the sender's own books."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from keeper.devnet.jsonrpc import JsonRpc
from keeper.domain.ids import Address
from keeper.errors import RpcError
from tests.chain.stage import selector
from tests.torture.scene import Scene


@dataclass
class Verdict:
    """Each entry is one violation in words."""

    doubles: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)

    @property
    def violations(self) -> list[str]:
        return [*self.doubles, *self.losses, *self.gaps]


@dataclass(frozen=True, slots=True)
class Audit:
    rpc: JsonRpc
    scene: Scene
    wallet: Address
    first: int

    async def judge(self, last_round: int | None) -> Verdict:
        """`last_round`: the newest price that was wanted; None when the sender never came to an end."""
        verdict = Verdict()
        mined = await self._mined()
        await self._judge_nonces(mined, verdict)
        calls = [each for each in mined if each["to"] != self.wallet]
        await self._judge_reverts(calls, verdict)
        names = [self.scene.named(each["to"], bytes.fromhex(each["input"][2:])) for each in calls]
        self._judge_names(names, last_round, verdict)
        await self._judge_contract(verdict)
        return verdict

    async def _mined(self) -> list[dict[str, Any]]:
        """The wallet's transactions in canonical blocks, in the order of the chain."""
        head = int(await self.rpc.call("eth_blockNumber"), 16)
        asked = [("eth_getBlockByNumber", (hex(number), True)) for number in range(self.first + 1, head + 1)]
        blocks: list[Any] = await self.rpc.batch(asked)
        return [each for block in blocks for each in block["transactions"] if each["from"] == self.wallet]

    async def _judge_nonces(self, mined: list[dict[str, Any]], verdict: Verdict) -> None:
        nonces = [int(each["nonce"], 16) for each in mined]
        if nonces != list(range(len(nonces))):
            verdict.gaps.append(f"nonces mined: {nonces}")
        content = await self.rpc.call("txpool_content")
        for part, senders in content.items():
            for left in [found for sender, found in senders.items() if sender.lower() == self.wallet]:
                verdict.gaps.append(f"{part} in the pool: nonces {sorted(left)}")

    async def _judge_reverts(self, calls: list[dict[str, Any]], verdict: Verdict) -> None:
        receipts: list[Any] = await self.rpc.batch([("eth_getTransactionReceipt", (each["hash"],)) for each in calls])
        for call, receipt in zip(calls, receipts, strict=True):
            if int(receipt["status"], 16) != 1:
                name = self.scene.named(call["to"], bytes.fromhex(call["input"][2:]))
                verdict.doubles.append(f"{name} reverted at nonce {int(call['nonce'], 16)}")

    def _judge_names(self, names: list[str], last_round: int | None, verdict: Verdict) -> None:
        for name, count in Counter(names).items():
            if count > 1:
                verdict.doubles.append(f"{name} mined {count} times")
        verdict.losses.extend(f"{key} never mined" for key in self.scene.keys if key not in names)
        rounds = [int(name.split(":")[1]) for name in names if name.startswith("price:")]
        if rounds != sorted(rounds):
            verdict.losses.append("an older price was mined after a newer one")
        if last_round is None:
            verdict.losses.append("the sender never came to an end")
        elif not rounds or rounds[-1] != last_round:
            verdict.losses.append(f"the newest price {last_round} is not the last one mined")

    async def _judge_contract(self, verdict: Verdict) -> None:
        """The same once more by what the contracts hold."""
        for key, target in self.scene.keys.items():
            try:
                counted = await acted(self.rpc, self.scene, target, self.scene.word(key))
            except RpcError as error:
                verdict.losses.append(f"{key}: the contract cannot be asked: {error}")
                continue
            if counted > 1:
                verdict.doubles.append(f"{key} counted {counted} times by the contract")
            elif counted == 0:
                verdict.losses.append(f"{key} unknown to the contract")


async def acted(rpc: JsonRpc, scene: Scene, target: Address, word: bytes) -> int:
    """How often the contract was acted on for a key, as far as it would let itself. Raises RpcError."""
    data = selector("count()") if scene.contract == "counter" else selector("counts(bytes32)") + word
    return int(await rpc.call("eth_call", {"to": target, "data": "0x" + data.hex()}, "latest"), 16)
