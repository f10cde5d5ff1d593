"""The reference protocol on a real anvil, driven through the adapter, the signers and our own transport."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import aiohttp

from keeper.adapters.attestor import LocalAttestor
from keeper.adapters.protocols.reference import ReferencePerp
from keeper.adapters.rpc import RpcChain
from keeper.adapters.rpc_http import RpcEndpoint
from keeper.adapters.signers.curve import signing_key
from keeper.adapters.signers.key_signer import KeySigner
from keeper.adapters.signers.policy import PermittedCalls, RisingRounds, SendingRules
from keeper.devnet.artifacts import load
from keeper.devnet.deploy import Deployment, DeployParameters, deploy
from keeper.devnet.jsonrpc import JsonRpc
from keeper.devnet.node import AnvilNode
from keeper.domain.chain import Call, Log, Receipt
from keeper.domain.events import ProtocolEvent
from keeper.domain.exchange import ChainState
from keeper.domain.ids import Address, DeploymentId, Hash, MarketId
from keeper.domain.report import MarketPrice, PriceReport, SignedReport
from keeper.domain.transaction import Expectation
from keeper.ports.signer import UnsignedTransaction

DEVNET = DeploymentId("devnet")
E18 = 10**18
USD = 10**6
CHAIN_ID = 31337
_DEPLOYER_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
GAS_KEY, *REPORT_KEYS = (bytes([7]) * 31 + bytes([n]) for n in range(1, 5))


class NoMeter:
    def count(self, name: str, amount: float = 1, **labels: str) -> None: ...

    def gauge(self, name: str, value: float, **labels: str) -> None: ...

    def observe(self, name: str, value: float, **labels: str) -> None: ...


class NoLog:
    def debug(self, event: str, **keys: Any) -> None: ...

    info = warning = error = exception = critical = debug


def key_signer(scalar: bytes) -> KeySigner:
    key = signing_key(scalar)
    assert key is not None
    return KeySigner(key, CHAIN_ID)


@dataclass
class ChainUnderTest:
    """`traders` are unlocked at the node; `sender` is the keeper's, with its policy in front."""

    node: JsonRpc
    transport: RpcChain
    deployment: Deployment
    perp: ReferencePerp
    reporters: Sequence[KeySigner]
    sender: PermittedCalls
    traders: Sequence[Address]
    state: ChainState | None = None
    gas: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By what was done: gas used, limit."""
    rounds: count[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.attestor = self.attestor_of(self.perp)

    def attestor_of(self, perp: ReferencePerp) -> LocalAttestor:
        """The report keys, each behind a policy of its own, for one deployment."""
        policed = [RisingRounds(signer, {DEVNET: perp.digest}, {}) for signer in self.reporters]
        return LocalAttestor(policed, lambda _report: self.state.oracle.signers if self.state else ())

    async def refresh(self) -> ChainState:
        at = await self.transport.head()
        self.state = await self.transport.ask(self.perp.state(at, self.deployment.market_nos), at)
        return self.state

    async def report(self, prices: Mapping[int, tuple[int, int]], **changes: Any) -> PriceReport:
        """Index and mark in whole USD by market, observed at the head's second."""
        state = await self.refresh()
        now = state.at.timestamp_s
        entries = tuple(
            MarketPrice(MarketId(f"M{no}"), no, index * E18, mark * E18, 0) for no, (index, mark) in prices.items()
        )
        made: dict[str, Any] = {
            "deployment": DEVNET,
            "round_id": now * 1000 + next(self.rounds),
            "observed_at_s": now,
            "valid_until_s": now + 60,
            "signer_epoch": state.oracle.signer_epoch,
            "evidence": b"\xee" * 32,
            "prices": entries,
        }
        return PriceReport(**{**made, **changes})

    async def signed(self, prices: Mapping[int, tuple[int, int]], need: int) -> SignedReport:
        report = await self.report(prices)
        return await self.attestor.collect(report, self.perp.digest(report), need)

    async def publish(self, prices: Mapping[int, tuple[int, int]], need: int = 3, name: str = "publish") -> Receipt:
        return await self.act(name, self.perp.publish(await self.signed(prices, need)))

    async def act(self, name: str, act: tuple[Call, tuple[Expectation, ...]]) -> Receipt:
        """Signs, sends and proves. Fails the test if it reverts, uses up its gas, or leaves no proof."""
        call, proofs = act
        assert call.gas_limit is not None
        nonce = await self.transport.nonce(self.sender.address, "latest")
        unsigned = UnsignedTransaction(CHAIN_ID, nonce, call, call.gas_limit, 10**11, 10**9)
        signed = await self.sender.sign_transaction(unsigned)
        assert await self.transport.broadcast(signed.raw) == signed.hash
        receipt = await self.mined(Hash(signed.hash))
        self.gas[name] = (receipt.gas_used, call.gas_limit)
        assert receipt.status == 1, name
        assert any(proves(proof, log) for proof in proofs for log in receipt.logs), name
        return receipt

    async def refused(self, call: Call) -> bytes:
        """Revert data of a call that must fail."""
        answer = (await self.node.batch([("eth_call", [_tx(self.sender.address, call), "latest"])]))[0]
        assert isinstance(answer, Exception), "it would have succeeded"
        return bytes.fromhex(str(answer.data)[2:])  # type: ignore[attr-defined]

    async def do(self, who: Address, to: Address, artifact: str, function: str, *arguments: Any) -> Receipt:
        """A transaction of somebody whose key the node holds."""
        call = Call(to, load(artifact).call(function, *arguments), gas_limit=3_000_000)
        receipt = await self.mined(Hash(await self.node.call("eth_sendTransaction", _tx(who, call))))
        assert receipt.status == 1, function
        return receipt

    async def view(self, to: Address, artifact: str, function: str, *arguments: Any) -> tuple[Any, ...]:
        """By eth_abi, as a second opinion."""
        call = Call(to, load(artifact).call(function, *arguments))
        answer = await self.node.call("eth_call", _tx(self.sender.address, call), "latest")
        return load(artifact).result(function, bytes.fromhex(answer[2:]))

    async def mined(self, sent: Hash) -> Receipt:
        while (receipt := await self.transport.receipt(sent)) is None:
            continue
        return receipt

    async def warp(self, seconds: int) -> None:
        await self.node.call("evm_increaseTime", seconds)
        await self.node.call("evm_mine")

    async def trade(self, maker: Address, taker: Address, market_no: int, delta_e18: int, price: int) -> None:
        trades = [(maker, taker, market_no, delta_e18, price * E18)]
        await self.do(self.traders[0], self.perp.exchange, "PerpExchange", "settleTrades", trades)

    async def deposit(self, who: Address, units: int) -> None:
        token = self.deployment.token
        await self.do(who, token, "QuoteToken", "mint", who, units)
        await self.do(who, token, "QuoteToken", "approve", self.perp.exchange, units)
        await self.do(who, self.perp.exchange, "PerpExchange", "deposit", who, units)

    async def history(self) -> list[ProtocolEvent]:
        """Every event from the first block on, in order."""
        head = await self.transport.head()
        logs = await self.transport.logs(self.perp.log_filter(), self.perp.from_block, head.number)
        return [event for log in logs for event in self.perp.decode_log(log)]


def proves(proof: Expectation, log: Log) -> bool:
    first = log.topics[1] if len(log.topics) > 1 else None
    return (log.address, log.topics[0]) == (proof.address, proof.topic0) and proof.topic1 in (None, first)


def _tx(sender: Address, call: Call) -> dict[str, str]:
    return {"from": sender, "to": call.to, "data": "0x" + call.data.hex(), "gas": hex(call.gas_limit or 30_000_000)}


@asynccontextmanager
async def chain_under_test(insurance_units: int = 10 * USD, **parameters: Any) -> AsyncIterator[ChainUnderTest]:
    """Quorum 2 and super-quorum 3 of three report keys; the first trader is owner, operator and guardian."""
    async with AnvilNode() as anvil, aiohttp.ClientSession() as session:
        node = JsonRpc(session, anvil.url)
        traders = [Address(account.lower()) for account in await node.call("eth_accounts")]
        reporters = [key_signer(key) for key in REPORT_KEYS]
        gas = key_signer(GAS_KEY)
        await node.call("anvil_setBalance", gas.address, hex(10**21))
        rules = DeployParameters(
            signers=tuple(signer.address for signer in reporters),
            operators=(traders[0],),
            deleveragers=(gas.address,),
            insurance_units=insurance_units,
            **parameters,
        )
        made = await deploy(anvil.url, _DEPLOYER_KEY, rules)
        perp = ReferencePerp(made.oracle, made.exchange, made.lens, CHAIN_ID, made.block_number)
        async with RpcChain([RpcEndpoint(anvil.url)], CHAIN_ID, meter=NoMeter(), log=NoLog()) as transport:
            yield ChainUnderTest(node, transport, made, perp, reporters, _policed(perp, gas), traders)


def _policed(perp: ReferencePerp, gas: KeySigner) -> PermittedCalls:
    return PermittedCalls(gas, SendingRules(perp.permitted(), max_fee_wei=10**12))
