"""A whole recorded run in a few seconds: a real chain mined second by second, a keeper's acts played by the script.

The script decides nothing by rules of its own that the verifier also has: prices come from `keeper.domain`, who is
liquidated from the contract's views. What is recorded satisfies every check; the tests then spoil it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from eth_keys.datatypes import PrivateKey
from eth_utils.crypto import keccak

from keeper.devnet.configure import LISTINGS, Listing, address_of, market_documents
from keeper.devnet.demo.wallet import fund
from keeper.devnet.deploy import Deployment, DeployParameters, deploy
from keeper.devnet.jsonrpc import JsonRpc
from keeper.devnet.node import AnvilNode, NodeOptions
from keeper.devnet.recorder import Recorder
from keeper.devnet.verify.abi import contract
from keeper.devnet.verify.recording import Requirements
from keeper.domain.aggregation import clamped_weighted_mean, median
from keeper.domain.evidence import canonical_json, merkle_root
from keeper.domain.ids import address, source_id
from keeper.domain.premium import premium_sample
from keeper.domain.quote import Depth, Level
from keeper.domain.time import Timestamp

START = 1_800_000_000
LENGTH = 50
FALL_AT = 30
NS = 10**9
USD = 10**6
E18 = 10**18
GAS = 20_000_000
REPORT_KEYS = tuple(keccak(text=f"report {n}") for n in range(3))
OPERATOR, SENDER, DEPLOYER = (keccak(text=word) for word in ("operator", "sender", "deployer"))
OFFERED = (
    Listing("kraken", "BTC/USD", "BTC", "USD"),
    Listing("coinbase", "BTC-USD", "BTC", "USD"),
    Listing("binance", "BTCUSDT", "BTC", "USDT"),
    Listing("okx", "BTC-USDT", "BTC", "USDT"),
    Listing("kraken", "ETH/USD", "ETH", "USD"),
    Listing("coinbase", "ETH-USD", "ETH", "USD"),
    Listing("binance", "ETHUSDT", "ETH", "USDT"),
    Listing("kraken", "USDT/USD", "USDT", "USD"),
    Listing("coinbase", "USDT-USD", "USDT", "USD"),
    Listing("bitstamp", "usdtusd", "USDT", "USD"),
)
LEVELS = {"BTC": 60_000.0, "ETH": 3_000.0, "USDT": 0.9998}
ACCOUNTS = {
    name: "0x" + keccak(text=name)[12:].hex() for name in ("maker", "bear", "bankrupt", "partial", "closed", "calm")
}
DEPOSITS = {
    "maker": 20_000_000,
    "bear": 100_000,
    "bankrupt": 25_600,
    "partial": 7_500,
    "closed": 3_300,
    "calm": 50_000,
}
"""After a fall of 6 %: an account with a hole larger than the fund, one below maintenance, one below half of it."""
LONGS = {"bankrupt": 500_000, "partial": 100_000, "closed": 50_000, "calm": 50_000}


class SecondHand:
    """A clock that the script sets."""

    def __init__(self) -> None:
        self.at = START * NS

    def now(self) -> Timestamp:
        return Timestamp(self.at)


@dataclass(frozen=True)
class Tick:
    sent_at: int
    bid: str
    ask: str
    last: str
    via: str = "stream"


@dataclass
class Miniature:
    """Plays and records. `second` counts from START."""

    rpc: JsonRpc
    deployment: Deployment
    recorder: Recorder
    clock: SecondHand
    directory: Path
    documents: Sequence[Mapping[str, Any]]
    falsified: str | None = None
    """A venue whose votes are worth 0.4 % more than what it sent."""
    idle_s: int = 0
    """How long nobody is liquidated after the fall."""
    second: int = 0
    records: list[tuple[str, str, str]] = field(default_factory=list)
    ticks: dict[tuple[str, str], list[Tick]] = field(default_factory=dict)
    books: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def play(self) -> None:
        for second in range(1, LENGTH + 1):
            self.second = second
            self.clock.at = (START + second) * NS
            self.say(second)
            await self.push(second)
            if second == 4:
                await self.trade()
            if (START + second) % 20 == 0:
                await self.act(SENDER, "PerpExchange", "settleFundingMany", [1, 2])
            if second > FALL_AT + self.idle_s:
                await self.liquidate()
            await self.mine()
            self.status()

    # ------------------------------------------------------------------ the world

    def price(self, base: str, at: float) -> float:
        return LEVELS[base] * (0.94 if base != "USDT" and at >= FALL_AT else 1.0) * (1 + 1e-5 * (int(at * 4) % 7))

    def say(self, second: int) -> None:
        """Four ticks a second from every venue, and the own book as often; the last ones a moment before the decision."""
        for quarter in (0.05, 0.3, 0.55, 0.8):
            at = second - 1 + quarter
            for place, offered in enumerate(OFFERED):
                rate = LEVELS["USDT"] if offered.quote == "USDT" else 1.0
                mid = self.price(offered.base, at) / rate * (1 + 2e-5 * (place % 3 - 1))
                tick = Tick((START * NS) + int(at * NS), f"{mid * 0.99995:.8f}", f"{mid * 1.00005:.8f}", f"{mid:.8f}")
                self.ticks.setdefault((offered.venue, offered.symbol), []).append(tick)
            for base in ("BTC", "ETH"):
                mid = round(self.price(base, at) * 1.0001 * 1e6) * 10**12
                sides = {"bids": [[str(mid - 10**15), str(E18)]], "asks": [[str(mid + 10**15), str(E18)]]}
                self.books[f"{base}-USD"] = {
                    **sides,
                    "source": f"perp:{base}-USD",
                    "received": START * NS + int(at * NS),
                }
                self.recorder.write("books", {"t": START * NS + int(at * NS), "symbol": f"{base}-USD", **sides})

    def vote(self, venue: str, symbol: str, weight: int, rate: int | None) -> dict[str, Any]:
        tick = self.ticks[venue, symbol][-1]
        bid, ask, last = (round(float(text) * 1e8) * 10**10 for text in (tick.bid, tick.ask, tick.last))
        stated = (bid + ask) // 2
        price = stated if rate is None else stated * rate // E18
        return {
            "source": f"{venue}:{symbol}", "bid": bid, "ask": ask, "last": last, "received": tick.sent_at + 10**6,
            "changed": tick.sent_at + 10**6, "observed": None, "frame": None, "sequence": None, "weight": weight,
            "rate": rate, "price": price * 1004 // 1000 if venue == self.falsified else price,
        }  # fmt: skip

    def index(self, document: Mapping[str, Any], rates: Mapping[str, int]) -> dict[str, Any]:
        votes = [
            self.vote(
                s["kind"], s["symbol"], s["weight"], rates[s["quote"]] if s["quote"] == "USDT" and rates else None
            )
            for s in document["sources"]
        ]
        pairs = sorted((vote["price"], vote["weight"]) for vote in votes)
        price = median(pairs) if document["index"]["method"] == "median" else clamped_weighted_mean(pairs, 50)
        return {"id": document["market"], "inputs": votes, "price": price, "rejected": [], "withheld": None}

    # ------------------------------------------------------------------ the keeper's acts

    async def push(self, second: int) -> None:
        """Both markets at once, when it is the first time, every five seconds, and after the fall."""
        if second not in (1, FALL_AT + 1) and second % 5:
            return
        trigger = "first" if second == 1 else "deviation" if second == FALL_AT + 1 else "heartbeat"
        peg = self.index(self.documents[2], {})
        now = self.clock.at - NS // 8
        entries, leaves = [], []
        for document in self.documents[:2]:
            index = self.index(document, {"USDT": peg["price"]})
            book = self.books[document["market"]]
            entry = (document["market_no"], index["price"], index["price"], premium(document, book, index["price"]))
            text = canonical_json(
                {
                    "market": document["market"], "now": now, "format": 1, "indices": [index, peg], "notes": {"trigger": trigger},
                    "entry": dict(zip(("no", "index", "mark", "premium"), entry, strict=True)), "mark": {"price": entry[2]}, "book": book,
                    "trade": {"source": f"perp:{document['market']}", "price": 60_000 * E18, "size": E18},
                }
            )  # fmt: skip
            leaf = keccak(text.encode())
            self.records.append(("0x" + leaf.hex(), document["market"], text))
            entries.append(entry)
            leaves.append(leaf)
        round_id = now // 10**6
        batch = (round_id, round_id // 1000, round_id // 1000 + 20, 1, merkle_root(leaves, keccak), entries)
        digest = (await self.view("PriceOracle", "hashBatch", batch)).to_bytes(32, "big")
        await self.act(SENDER, "PriceOracle", "pushPrices", batch, [signature(key, digest) for key in REPORT_KEYS])

    async def trade(self) -> None:
        """Everybody who is long buys from the maker; the bear sells to him."""
        mark = (await self.view("PriceOracle", "priceOf", 1))[1]
        trades = []
        for name, dollars in {**LONGS, "bear": -550_000}.items():
            size = dollars * E18 * E18 // mark // 10**15 * 10**15
            trades.append((ACCOUNTS["maker"], ACCOUNTS[name], 1, size, mark))
        await self.act(OPERATOR, "PerpExchange", "settleTrades", trades)

    async def liquidate(self) -> None:
        """What the contract says can be liquidated, is; a loss that the fund cannot cover goes to the bear."""
        for name in LONGS:
            reason, size, *_ = await self.view("PerpExchange", "previewLiquidation", ACCOUNTS[name], 1)
            if reason == 0:
                await self.act(SENDER, "PerpExchange", "liquidate", ACCOUNTS[name], 1, size)
            elif reason == 6:
                await self.act(SENDER, "PerpExchange", "deleverage", ACCOUNTS[name], ACCOUNTS["bear"], 1, size)

    # ------------------------------------------------------------------ the chain

    def at(self, name: str) -> str:
        places = {"PriceOracle": self.deployment.oracle, "PerpLens": self.deployment.lens}
        return places.get(name, self.deployment.exchange)

    async def view(self, name: str, function: str, *arguments: Any) -> Any:
        """As of the block being built."""
        call = {"to": self.at(name), "data": contract(name).call_data(function, *arguments)}
        raw = await self.rpc.call("eth_call", call, "latest", None, {"time": hex(START + self.second)})
        found = contract(name).result(function, raw)
        return int.from_bytes(found, "big") if isinstance(found, bytes) else found

    async def act(self, key: bytes, name: str, function: str, *arguments: Any) -> None:
        """One transaction in a block of its own, of the same second as the others."""
        sender, to = address_of(key), self.at(name)
        data = contract(name).call_data(function, *arguments)
        transaction = {"from": sender, "to": to, "data": data, "gas": hex(GAS), "gasPrice": hex(2 * 10**9)}
        await self.rpc.call("anvil_impersonateAccount", sender)
        tx = await self.rpc.call("eth_sendTransaction", transaction)
        await self.mine()
        receipt = await self.rpc.call("eth_getTransactionReceipt", tx)
        assert receipt["status"] == "0x1", f"{function} reverted in second {self.second}"

    async def mine(self) -> None:
        await self.rpc.call("evm_mine", hex(START + self.second))
        number = int(await self.rpc.call("eth_blockNumber"), 16)
        self.recorder.seen_ns[number] = self.clock.at

    # ------------------------------------------------------------------ the recording

    def status(self) -> None:
        markets = {document["market"]: {"gate": {"open": True}} for document in self.documents[:2]}
        self.recorder.note("status", status={"markets": markets})

    async def save(self) -> None:
        last = int(await self.rpc.call("eth_blockNumber"), 16)
        places = {name: getattr(self.deployment, name) for name in ("token", "oracle", "exchange", "lens")}
        accounts = await self.recorder.save_chain(self.rpc, places, self.deployment.block_number, last)
        for (venue, symbol), ticks in self.ticks.items():
            self.recorder.save_tape(venue, symbol, ticks)
        for base in ("BTC", "ETH"):
            trade = {"symbol": f"{base}-USD", "price": str(60_000 * E18), "size": str(E18)}
            self.recorder.write("trades", {"t": (START - 300) * NS, **trade})
        self.recorder.close()
        save_journal(self.directory / "journal.sqlite", self.records)
        (self.directory / "keeper.stderr").write_text('{"event":"keeper.ready","level":"info"}\n')
        keeper = {
            "ready_ns": (START + 1) * NS - 1, "stop_ns": (START + LENGTH) * NS + 1, "ended_ns": (START + LENGTH) * NS + 2,
            "exit_code": 0, "ended_early": False, "hanging": 0, "sender": address_of(SENDER), "journal": "journal.sqlite",
            "stderr": "keeper.stderr",
        }  # fmt: skip
        needed = Requirements(pushes=8, boundaries=2, liquidations=2, bankruptcies=1, deleveragings=1)
        run = {**places, "keeper": keeper, "markets": list(self.documents), "accounts": list(accounts)}
        (self.directory / "run.json").write_text(json.dumps({**run, "requirements": asdict(needed)}))


def premium(document: Mapping[str, Any], book: Mapping[str, Any], index: int) -> int:
    """The keeper's own sample, where the market reports one."""
    if document["funding"]["premium"] != "impact":
        return 0
    bids, asks = (tuple(Level(int(p), int(s)) for p, s in book[side]) for side in ("bids", "asks"))
    depth = Depth(source_id("perp", document["market"]), Timestamp(0), None, bids, asks)
    return premium_sample(depth, index, document["funding"]["impact_notional"] * E18) or 0


def signature(key: bytes, digest: bytes) -> tuple[bytes, bytes]:
    """EIP-2098 compact form."""
    signed = PrivateKey(key).sign_msg_hash(digest)
    return signed.r.to_bytes(32, "big"), (signed.s | signed.v << 255).to_bytes(32, "big")


def save_journal(path: Path, records: Sequence[tuple[str, str, str]]) -> None:
    """The table that the verifier reads."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE decision(leaf TEXT PRIMARY KEY, kind TEXT, market TEXT, json TEXT)")
        rows = [(leaf, "price", market, text) for leaf, market, text in records]
        connection.executemany("INSERT INTO decision VALUES (?, ?, ?, ?)", rows)


async def record(directory: Path, falsified: str | None = None, idle_s: int = 0) -> None:
    """A recording in `directory` that satisfies every check, unless something is asked to go wrong."""
    clock = SecondHand()
    async with aiohttp.ClientSession() as session, AnvilNode(NodeOptions(mining=False, timestamp_s=START - 60)) as node:
        rpc, recorder = JsonRpc(session, node.url), Recorder(directory, clock)
        for key in (DEPLOYER, OPERATOR, SENDER):
            await fund(rpc, address_of(key))
        parameters = DeployParameters(
            signers=tuple(address(address_of(key)) for key in REPORT_KEYS),
            operators=(address(address_of(OPERATOR)),),
            deleveragers=(address(address_of(SENDER)),),
            insurance_units=2_000 * USD,
            markets=LISTINGS,
        )
        deployment = await deploy(node.url, "0x" + DEPLOYER.hex(), parameters, mine=True)
        miniature = Miniature(
            rpc, deployment, recorder, clock, directory, market_documents(OFFERED, "perp"), falsified, idle_s
        )
        await deposit(miniature)
        await miniature.play()
        await miniature.save()


async def deposit(miniature: Miniature) -> None:
    """By the deployer, who may mint."""
    token, exchange = miniature.deployment.token, miniature.deployment.exchange
    calls = [
        (token, contract("QuoteToken").call_data("mint", address_of(DEPLOYER), 10**14)),
        (token, contract("QuoteToken").call_data("approve", exchange, 10**14)),
    ]
    for name, dollars in DEPOSITS.items():
        calls.append((exchange, contract("PerpExchange").call_data("deposit", ACCOUNTS[name], dollars * USD)))
    sender = address_of(DEPLOYER)
    await miniature.rpc.call("anvil_impersonateAccount", sender)
    for to, data in calls:
        transaction = {"from": sender, "to": to, "data": data, "gas": hex(10**6), "gasPrice": hex(2 * 10**9)}
        await miniature.rpc.call("eth_sendTransaction", transaction)
    await miniature.mine()
