"""The contracts on anvil and the integer model side by side: each act goes to both, and both must agree on everything."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
from eth_account import Account as Key
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

from keeper.devnet.deploy import DeployParameters, MarketListing, deploy, market_config
from keeper.devnet.jsonrpc import JsonRpc
from keeper.devnet.node import AnvilNode, NodeOptions
from keeper.domain.exchange import MarketParameters
from keeper.domain.ids import Address, address
from tests.evm.chain import START, Chain, Outcome, batch_tuple, named, typed_data
from tests.evm.comparison import Comparison, market_config_tuple
from tests.evm.model import FREE, ExchangeModel, Trade
from tests.evm.oracle_model import Batch, OracleModel, OracleState, Price, Revert

DEPLOYER_KEY = "0x" + "a1" * 32
SIGNER_KEYS = ["0x" + f"{i:02x}" * 32 for i in range(0x11, 0x16)]
SIGNERS = tuple(address(Key.from_key(key).address) for key in SIGNER_KEYS)


class World(Comparison):
    """`do` performs an act on both sides and compares refusal and logs; `compare` compares everything that can be read."""

    def __init__(self, chain: Chain, oracle: OracleModel, model: ExchangeModel) -> None:
        super().__init__(chain, oracle, model)
        self.logs: list[tuple[Any, ...]] = []
        self.peak_gas: dict[str, int] = {}

    def tick(self, seconds: int) -> None:
        self.chain.now += seconds
        self.oracle.now = self.chain.now

    def until(self, t: int) -> None:
        self.tick(t - self.now)

    async def _both(
        self, sender: str, to: Address, function: str, arguments: tuple[Any, ...], expected: Any
    ) -> Outcome:
        """`expected` performs the model's side."""
        model = self.oracle if to == self.d.oracle else self.model
        before = len(model.log)
        try:
            expected()
            predicted: tuple[str | None, tuple[Any, ...]] = (None, ())
        except Revert as error:
            predicted = (error.name, error.arguments)
        outcome = await self.chain.act(sender, to, function, *arguments)
        assert (outcome.error, outcome.arguments) == predicted, (function, arguments)
        assert outcome.logs == model.log[before:], function
        self.logs += outcome.logs
        self.peak_gas[function] = max(self.peak_gas.get(function, 0), outcome.gas)
        return outcome

    # ---------------------------------------------------------------- oracle

    def batch(self, prices: Iterable[Price], observed_at: int | None = None, **changes: Any) -> Batch:
        seen = self.now if observed_at is None else observed_at
        plain = Batch(seen * 1000 + 1, seen, seen + 30, self.oracle.s.epoch, keccak(text="evidence"), list(prices))
        return replace(plain, **changes)

    async def push_batch(self, batch: Batch, signers: Sequence[int] = (0, 1, 2), submitter: str = "keeper") -> Outcome:
        who = named(submitter)
        signatures = [self.sign(batch, i) for i in signers]
        return await self._both(
            who,
            self.d.oracle,
            "pushPrices",
            (batch_tuple(batch), signatures),
            lambda: self.oracle.push(who, batch, [SIGNERS[i] for i in signers]),
        )

    async def push(self, marks: Mapping[int, Any], signers: int = 3, **changes: Any) -> Outcome:
        """`marks`: market to price, or to (index, mark), or to (index, mark, premium)."""
        prices = [Price(no, *(mark if isinstance(mark, tuple) else (mark, mark))) for no, mark in marks.items()]
        return await self.push_batch(self.batch(prices, **changes), range(signers))

    def digest(self, batch: Batch) -> bytes:
        message = encode_typed_data(full_message=typed_data(batch, self.d))
        return keccak(b"\x19" + message.version + message.header + message.body)

    def sign(self, batch: Batch, signer: int) -> tuple[bytes, bytes]:
        """EIP-712 by eth-account, so that the contract's digest is checked against an implementation of somebody else."""
        signed = Key.from_key(SIGNER_KEYS[signer]).unsafe_sign_hash(self.digest(batch))
        return signed.r.to_bytes(32, "big"), ((signed.v - 27) << 255 | signed.s).to_bytes(32, "big")

    # ---------------------------------------------------------------- exchange

    async def deposit(self, who: str, units: int) -> Outcome:
        """`who` is a name, or the engine's address."""
        account = who if who.startswith("0x") else named(who)
        treasury = named("treasury")
        await self.chain.act(treasury, self.d.token, "mint", treasury, units)
        return await self._both(
            treasury,
            self.d.exchange,
            "deposit",
            (account, units),
            lambda: self.model.deposit(treasury, account, units),
        )

    async def withdraw(self, who: str, units: int) -> Outcome:
        return await self._both(
            named(who),
            self.d.exchange,
            "withdraw",
            (named("sink"), units),
            lambda: self.model.withdraw(named(who), units),
        )

    async def trade(self, *trades: tuple[str, str, int, int, int]) -> Outcome:
        """(maker, taker, market, taker's delta, price) by name; the engine by its address."""
        known = [Trade(self._account(t[0]), self._account(t[1]), *t[2:]) for t in trades]
        return await self._both(
            named("operator"),
            self.d.exchange,
            "settleTrades",
            ([tuple(t) for t in known],),
            lambda: self.model.settle_trades(named("operator"), known),
        )

    async def settle(self, no: int, sender: str = "keeper") -> Outcome:
        return await self._both(
            named(sender),
            self.d.exchange,
            "settleFunding",
            (no,),
            lambda: self.model.settle_funding(named(sender), no),
        )

    async def settle_many(self, nos: Sequence[int], sender: str = "keeper") -> Outcome:
        return await self._both(
            named(sender),
            self.d.exchange,
            "settleFundingMany",
            (list(nos),),
            lambda: self.model.settle_funding_many(named(sender), nos),
        )

    async def liquidate(self, who: str, no: int, max_size: int = FREE, sender: str = "keeper") -> Outcome:
        account = self._account(who)
        return await self._both(
            named(sender),
            self.d.exchange,
            "liquidate",
            (account, no, max_size),
            lambda: self.model.liquidate(named(sender), account, no, max_size),
        )

    async def liquidate_batch(self, requests: Sequence[tuple[str, int, int]], sender: str = "keeper") -> Outcome:
        known = [(self._account(who), no, size) for who, no, size in requests]
        return await self._both(
            named(sender),
            self.d.exchange,
            "liquidateBatch",
            (known,),
            lambda: self.model.liquidate_batch(named(sender), known),
        )

    async def deleverage(self, bankrupt: str, counterparty: str, no: int, size: int) -> Outcome:
        pair = (self._account(bankrupt), self._account(counterparty))
        return await self._both(
            named("deleverager"),
            self.d.exchange,
            "deleverage",
            (*pair, no, size),
            lambda: self.model.deleverage(named("deleverager"), *pair, no, size),
        )

    async def pause(self, actions: int) -> None:
        outcome = await self.chain.act(named("guardian"), self.d.exchange, "pause", actions)
        assert outcome.error is None
        self.model.pause(actions)

    async def unpause(self, actions: int) -> Outcome:
        before = len(self.model.log)
        outcome = await self.chain.act(self.d.deployer, self.d.exchange, "unpause", actions)
        self.model.unpause(self.d.deployer, actions)
        settled = [log for log in outcome.logs if log[0] == "FundingSettled"]
        assert settled == self.model.log[before:]
        self.logs += settled
        return outcome

    async def configure(self, no: int, rules: MarketParameters) -> Outcome:
        before = len(self.model.log)
        outcome = await self.chain.act(self.d.deployer, self.d.exchange, "configureMarket", no, market_config(rules))
        if outcome.error is None:
            self.model.configure_market(self.d.deployer, no, rules)
        *settled, configured = outcome.logs or [()]
        assert settled == self.model.log[before:]
        if outcome.error is None:
            state = self._market_state(no)
            assert configured == ("MarketConfigured", no, market_config_tuple(rules), *state[:5])
        self.logs += outcome.logs
        return outcome

    async def donate(self, units: int) -> None:
        """Tokens sent past `deposit`."""
        outcome = await self.chain.act(named("treasury"), self.d.token, "mint", self.d.exchange, units)
        assert outcome.error is None
        self.stray += units

    async def skim(self) -> Outcome:
        stray, self.stray = self.stray, 0
        return await self._both(named("keeper"), self.d.exchange, "skim", (), lambda: self.model.skim(stray))

    async def collect_fees(self) -> Outcome:
        sink = named("sink")
        return await self._both(
            self.d.deployer, self.d.exchange, "collectFees", (sink,), lambda: self.model.collect_fees(sink)
        )

    async def freeze(self, no: int, frozen: bool = True) -> None:
        sender = named("guardian") if frozen else self.d.deployer
        outcome = await self.chain.act(sender, self.d.oracle, "setFrozen", no, frozen)
        assert outcome.error is None
        self.oracle.s.feeds[no].frozen = frozen


@asynccontextmanager
async def world(markets: Sequence[MarketListing], insurance_units: int = 0, **changes: Any) -> AsyncIterator[World]:
    """A fresh chain with everything deployed, funded and configured. Five signers, quorum 3, super-quorum 4."""
    parameters = DeployParameters(
        guardians=(named("guardian"),),
        operators=(named("operator"),),
        deleveragers=(named("deleverager"),),
        insurance_units=insurance_units,
        markets=tuple(markets),
        **{"signers": SIGNERS, "quorum": 3, "super_quorum": 4, "quote_contract": "HostileToken", **changes},
    )
    options = NodeOptions(mining=False, timestamp_s=START - 900, base_fee_wei=0)
    async with AnvilNode(options) as node, aiohttp.ClientSession() as session:
        rpc = JsonRpc(session, node.url)
        await rpc.call("anvil_setBalance", Key.from_key(DEPLOYER_KEY).address, hex(10**20))
        await rpc.call("anvil_autoImpersonateAccount", True)
        deployment = await deploy(node.url, DEPLOYER_KEY, parameters, mine=True)
        chain = Chain(rpc, deployment)
        block = await rpc.call("eth_getBlockByNumber", "latest", False)
        yield await _mirrored(chain, parameters, int(block["timestamp"], 16))


async def _mirrored(chain: Chain, parameters: DeployParameters, deployed_at: int) -> World:
    d = chain.deployment
    state = OracleState(
        list(parameters.signers),
        parameters.quorum,
        parameters.super_quorum,
        parameters.max_report_age_s,
        parameters.max_validity_s,
    )
    oracle = OracleModel(state)
    oracle.now = deployed_at
    model = ExchangeModel(d.exchange, oracle)
    for listing in parameters.markets:
        oracle.configure_feed(listing.market_no, listing.feed)
        model.configure_market(d.deployer, listing.market_no, listing.rules)
    if parameters.insurance_units:
        model.deposit(d.deployer, d.exchange, parameters.insurance_units)
    oracle.now = chain.now
    treasury = named("treasury")
    await chain.act(treasury, d.token, "approve", d.exchange, 2**256 - 1)
    return World(chain, oracle, model)
