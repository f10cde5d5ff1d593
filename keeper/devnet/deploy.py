"""Deploys and configures the reference protocol on a chain that answers JSON-RPC."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import aiohttp
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from keeper.devnet.artifacts import Artifact, load
from keeper.devnet.jsonrpc import JsonRpc
from keeper.domain.exchange import MarketParameters, Tier
from keeper.domain.ids import Address, address
from keeper.errors import Reverted

GUARDIAN, OPERATOR, DELEVERAGER = 1, 2, 3
"""Role numbers of `IRoles`."""

_CREATION_GAS = {"QuoteToken": 1_500_000, "PriceOracle": 4_000_000, "PerpExchange": 8_000_000, "PerpLens": 3_000_000}
_CALL_GAS = 1_000_000


@dataclass(frozen=True, slots=True)
class FeedParameters:
    """One feed of the oracle. `interval_s` (10...86400, divides 86400) and `hold_s` are fixed for good."""

    interval_s: int = 3600
    hold_s: int = 120
    max_deviation_bps: int = 500
    max_spread_bps: int = 300
    premium_kind: int = 0


@dataclass(frozen=True, slots=True)
class MarketListing:
    """Market `market_no` (1...32), priced by the feed of the same number."""

    market_no: int
    feed: FeedParameters
    rules: MarketParameters


DEFAULT_TIERS = (Tier(0, 50), Tier(50_000 * 10**6, 100), Tier(250_000 * 10**6, 250), Tier(1_000_000 * 10**6, 500))

BTC_RULES = MarketParameters(
    tiers=DEFAULT_TIERS,
    im_factor_bps=20_000,
    buffer_bps=11_000,
    penalty_bps=40,
    liquidator_bps=5_000,
    lot_e18=10**15,
    min_notional_units=5 * 10**6,
    max_notional_units=10_000_000 * 10**6,
    max_oi_e18=10_000 * 10**18,
    maker_bps=1,
    taker_bps=4,
    band_bps=200,
    max_price_age_s=60,
    funding_kind=0,
    interest_e18=10**14,
    clamp_e18=5 * 10**14,
    cap_e18=75 * 10**14,
)
ETH_RULES = MarketParameters(
    **{**asdict(BTC_RULES), "tiers": DEFAULT_TIERS, "lot_e18": 10**16, "max_oi_e18": 200_000 * 10**18}
)

BTC_USD = MarketListing(1, FeedParameters(), BTC_RULES)
ETH_USD = MarketListing(2, FeedParameters(), ETH_RULES)


@dataclass(frozen=True, slots=True)
class DeployParameters:
    """What to deploy. The deploying key is the owner; with `owner` given, that address can accept the ownership."""

    signers: tuple[Address, ...]
    guardians: tuple[Address, ...] = ()
    operators: tuple[Address, ...] = ()
    deleveragers: tuple[Address, ...] = ()
    owner: Address | None = None
    quorum: int = 2
    super_quorum: int = 3
    max_report_age_s: int = 60
    max_validity_s: int = 120
    insurance_units: int = 100_000 * 10**6
    markets: tuple[MarketListing, ...] = (BTC_USD, ETH_USD)
    quote_contract: str = "QuoteToken"


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where everything is. `block_number` is the first block with a contract of ours: logs begin there."""

    chain_id: int
    block_number: int
    deployer: Address
    token: Address
    oracle: Address
    exchange: Address
    lens: Address
    market_nos: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "market_nos": list(self.market_nos)}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Deployment:
        """What `to_json` gave."""
        return cls(**{**raw, "market_nos": tuple(raw["market_nos"])})


@dataclass(slots=True)
class _Script:
    """The transactions of one deployment, in order. Addresses follow from the nonces, so nothing has to wait."""

    deployer: Address
    nonce: int
    steps: list[tuple[str, str | None, bytes, int]] = field(default_factory=list)

    def create(self, name: str, artifact: str, *arguments: Any) -> Address:
        created = _created_address(self.deployer, self.nonce + len(self.steps))
        self.steps.append((f"create {name}", None, load(artifact).creation(*arguments), _CREATION_GAS[name]))
        return created

    def call(self, to: Address, artifact: Artifact, function: str, *arguments: Any) -> None:
        self.steps.append((f"{artifact.name}.{function}", to, artifact.call(function, *arguments), _CALL_GAS))


async def deploy(url: str, deployer_key: str, parameters: DeployParameters, *, mine: bool = False) -> Deployment:
    """Deploys, configures and funds, then returns the addresses. `mine` asks a chain without mining for its blocks.

    Raises Reverted naming the step that failed, RpcError, and aiohttp's errors when nobody answers.
    """
    account: LocalAccount = Account.from_key(deployer_key)
    deployer = address(account.address)
    async with aiohttp.ClientSession() as session:
        rpc = JsonRpc(session, url)
        chain_id = int(await rpc.call("eth_chainId"), 16)
        script = _Script(deployer, int(await rpc.call("eth_getTransactionCount", deployer, "pending"), 16))
        token, oracle, exchange, lens = _write_script(script, parameters)
        hashes = await _send(rpc, account, chain_id, script)
        block = await _wait(rpc, script, hashes, mine)
    nos = tuple(listing.market_no for listing in parameters.markets)
    return Deployment(chain_id, block, deployer, token, oracle, exchange, lens, nos)


def market_config(rules: MarketParameters) -> tuple[Any, ...]:
    """`IPerpExchange.MarketConfig` in the order of its ABI."""
    return (
        rules.lot_e18,
        rules.max_oi_e18,
        rules.min_notional_units,
        rules.max_notional_units,
        rules.max_price_age_s,
        rules.maker_bps,
        rules.taker_bps,
        rules.band_bps,
        rules.im_factor_bps,
        rules.buffer_bps,
        rules.penalty_bps,
        rules.liquidator_bps,
        rules.funding_kind,
        rules.interest_e18,
        rules.clamp_e18,
        rules.cap_e18,
        [(tier.floor_units, tier.mmr_bps) for tier in rules.tiers],
    )


def feed_config(feed: FeedParameters) -> tuple[int, int, int, int, int]:
    """`IPriceOracle.FeedConfig` in the order of its ABI."""
    return feed.interval_s, feed.hold_s, feed.max_deviation_bps, feed.max_spread_bps, feed.premium_kind


def _write_script(script: _Script, p: DeployParameters) -> tuple[Address, Address, Address, Address]:
    token = script.create("QuoteToken", p.quote_contract)
    oracle = script.create(
        "PriceOracle",
        "PriceOracle",
        script.deployer,
        p.signers,
        p.quorum,
        p.super_quorum,
        p.max_report_age_s,
        p.max_validity_s,
    )
    exchange = script.create("PerpExchange", "PerpExchange", script.deployer, token, oracle)
    lens = script.create("PerpLens", "PerpLens", exchange)
    _configure(script, p, oracle, exchange)
    _fund(script, token, exchange, p.insurance_units)
    return token, oracle, exchange, lens


def _configure(script: _Script, p: DeployParameters, oracle: Address, exchange: Address) -> None:
    oracle_abi, exchange_abi = load("PriceOracle"), load("PerpExchange")
    for listing in p.markets:
        script.call(oracle, oracle_abi, "configureFeed", listing.market_no, feed_config(listing.feed))
        script.call(exchange, exchange_abi, "configureMarket", listing.market_no, market_config(listing.rules))
    for guardian in p.guardians:
        script.call(oracle, oracle_abi, "setRole", GUARDIAN, guardian, True)
        script.call(exchange, exchange_abi, "setRole", GUARDIAN, guardian, True)
    for operator in p.operators:
        script.call(exchange, exchange_abi, "setRole", OPERATOR, operator, True)
    for deleverager in p.deleveragers:
        script.call(exchange, exchange_abi, "setRole", DELEVERAGER, deleverager, True)
    if p.owner is not None and p.owner != script.deployer:
        script.call(oracle, oracle_abi, "transferOwnership", p.owner)
        script.call(exchange, exchange_abi, "transferOwnership", p.owner)


def _fund(script: _Script, token: Address, exchange: Address, units: int) -> None:
    """The exchange's own address is the ENGINE account, whose margin is the insurance fund."""
    if units:
        token_abi = load("QuoteToken")
        script.call(token, token_abi, "mint", script.deployer, units)
        script.call(token, token_abi, "approve", exchange, units)
        script.call(exchange, load("PerpExchange"), "deposit", exchange, units)


async def _send(rpc: JsonRpc, account: LocalAccount, chain_id: int, script: _Script) -> list[str]:
    priority_wei = 10**9
    ceiling_wei = 2 * int(await rpc.call("eth_gasPrice"), 16) + priority_wei
    hashes = []
    for nonce, (_, to, data, gas) in enumerate(script.steps, script.nonce):
        transaction: dict[str, Any] = {
            "type": 2,
            "chainId": chain_id,
            "nonce": nonce,
            "gas": gas,
            "maxFeePerGas": ceiling_wei,
            "maxPriorityFeePerGas": priority_wei,
            "value": 0,
            "data": data,
        }
        if to is not None:
            transaction["to"] = bytes.fromhex(to[2:])
        signed = account.sign_transaction(transaction)
        # One by one: of a batch one may come before its predecessor, and a node that mines each transaction leaves it lying.
        hashes.append(str(await rpc.call("eth_sendRawTransaction", "0x" + signed.raw_transaction.hex())))
    return hashes


async def _wait(rpc: JsonRpc, script: _Script, hashes: Sequence[str], mine: bool) -> int:
    """The first block. Raises Reverted at the first step that failed."""
    while True:
        if mine:
            await rpc.call("evm_mine")
        receipts = await rpc.batch([("eth_getTransactionReceipt", [sent]) for sent in hashes])
        mined: list[dict[str, Any]] = [receipt for receipt in receipts if isinstance(receipt, dict)]
        for (step, *_), receipt in zip(script.steps, mined, strict=False):
            if int(receipt["status"], 16) != 1:
                raise Reverted(f"{step} reverted")
        if len(mined) == len(hashes):
            return min(int(receipt["blockNumber"], 16) for receipt in mined)
        await asyncio.sleep(0.02)


def _created_address(sender: Address, nonce: int) -> Address:
    """https://ethereum.org/en/developers/docs/accounts/#contract-accounts: keccak of the RLP of sender and nonce."""
    number = nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
    item = number if len(number) == 1 and nonce < 0x80 else bytes([0x80 + len(number)]) + number
    body = b"\x94" + bytes.fromhex(sender[2:]) + item
    return address("0x" + keccak(bytes([0xC0 + len(body)]) + body)[12:].hex())
