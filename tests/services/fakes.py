"""What the services ask of the world, behaving: a chain of named blocks, a store, a record of what was said and counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from keeper.adapters.protocols.reference import ReferencePerp
from keeper.domain.chain import At, BlockRef, Call, Log, LogFilter, Query
from keeper.domain.events import ProtocolEvent
from keeper.domain.exchange import ChainState
from keeper.domain.ids import Address, ChainId, DeploymentId, Hash, MarketId
from keeper.domain.mirror import MarketTotals, Totals
from keeper.domain.report import PriceReport, Signature, SignedReport
from keeper.domain.time import SECOND, Timestamp
from keeper.domain.transaction import Intent, IntentState, Outcome
from keeper.errors import SignerUnavailable, TransientError
from keeper.ports.deployment import Deployment
from keeper.ports.journal import DecisionRecord
from keeper.ports.protocol import LiquidationPreview
from keeper.runtime.pulse import Pulse
from keeper.runtime.virtual import run_virtual
from tests.domain.accounts.bridge import ENGINE, block, block_hash, events_of

START_S = 1_700_000_000
BTC, ETH = MarketId("BTC-PERP"), MarketId("ETH-PERP")
SITE = DeploymentId("devnet")
KEYS = tuple(Address(f"0x{n:040x}") for n in (0xA1, 0xA2, 0xA3))


class StepClock:
    """Wall time over the loop's time; `offset_s` is what an operator or NTP did to it."""

    def __init__(self, start_s: int = START_S) -> None:
        self.start_s, self.offset_s = start_s, 0.0

    def now(self) -> Timestamp:
        elapsed_s = asyncio.get_running_loop().time() + self.offset_s
        return Timestamp(self.start_s * SECOND + round(elapsed_s * SECOND))


@dataclass
class RecordingLog:
    lines: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def _say(self, level: str, event: str, keys: dict[str, Any]) -> None:
        self.lines.append((level, event, keys))

    def debug(self, event: str, **keys: Any) -> None:
        self._say("debug", event, keys)

    def info(self, event: str, **keys: Any) -> None:
        self._say("info", event, keys)

    def warning(self, event: str, **keys: Any) -> None:
        self._say("warning", event, keys)

    def error(self, event: str, **keys: Any) -> None:
        self._say("error", event, keys)

    def exception(self, event: str, **keys: Any) -> None:
        self._say("exception", event, keys)

    def critical(self, event: str, **keys: Any) -> None:
        self._say("critical", event, keys)

    def of(self, event: str) -> list[dict[str, Any]]:
        return [keys for _, name, keys in self.lines if name == event]

    def levels(self, event: str) -> list[str]:
        return [level for level, name, _ in self.lines if name == event]


@dataclass
class RecordingMeter:
    counts: Counter[str] = field(default_factory=Counter)
    gauges: dict[str, float] = field(default_factory=dict)
    seen: dict[str, list[float]] = field(default_factory=dict)

    @staticmethod
    def key(name: str, labels: dict[str, str]) -> str:
        return name + "".join(f" {label}={labels[label]}" for label in sorted(labels))

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        self.counts[self.key(name, labels)] += amount

    def gauge(self, name: str, value: float, **labels: str) -> None:
        self.gauges[self.key(name, labels)] = value

    def observe(self, name: str, value: float, **labels: str) -> None:
        self.seen.setdefault(self.key(name, labels), []).append(value)


@dataclass
class MemoryStore:
    documents: dict[str, str] = field(default_factory=dict)
    full: bool = False

    def save(self, name: str, document: str) -> None:
        if self.full:
            raise TransientError("the disk is full")
        self.documents[name] = document

    attach = save

    def load(self, name: str) -> str | None:
        return self.documents.get(name)


@dataclass
class MemoryDecisions:
    told: Callable[[str], None] = lambda _: None
    records: dict[str, DecisionRecord] = field(default_factory=dict)
    roots: dict[str, str] = field(default_factory=dict)

    def attach(self, records: Sequence[DecisionRecord], root: str) -> None:
        for each in records:
            self.roots[each.leaf] = root
            self.records.setdefault(each.leaf, each)
            self.told("evidence")

    def find(self, leaf: str) -> str | None:
        found = self.records.get(leaf)
        return found.canonical_json if found else None

    def forget(self, leaves: Sequence[str]) -> None:
        for leaf in leaves:
            self.records.pop(leaf, None)


@dataclass
class Lease:
    """A Coordinator that holds the lease until a test takes it away."""

    leads: bool = True

    def is_leader(self, shard: str) -> bool:
        return self.leads

    def fence(self) -> int:
        return 1


@dataclass
class KeyRing:
    """An Attestor over `held` keys, of which `authorised` says which the chain accepts now."""

    held: Collection[Address]
    authorised: Callable[[], Collection[Address]]
    asked: list[PriceReport] = field(default_factory=list)

    async def collect(self, report: PriceReport, digest: bytes, need: int) -> SignedReport:
        self.asked.append(report)
        await asyncio.sleep(0)
        mine = sorted(set(self.held) & set(self.authorised()))
        if len(mine) < need:
            raise SignerUnavailable(f"{len(mine)} of {need} keys")
        return SignedReport(report, tuple(Signature(key, digest, digest) for key in mine[:need]))


@dataclass(frozen=True)
class Page:
    last: int
    logs: tuple[Log, ...]


class ScriptedChain:
    """A node. `hidden` logs are not indexed yet; `faults` are raised by a verb, one at each call, before it answers."""

    def __init__(self, first: int = 100, page: int = 4) -> None:
        self.blocks = {first - 1: block(first - 1)}
        self.told: dict[Hash, list[ProtocolEvent]] = {}
        self.hidden: set[tuple[Hash, int]] = set()
        self.faults: dict[str, list[Exception]] = {}
        self.asked: list[tuple[str, Any]] = []
        self.page, self.wei = page, 10**18
        self.states: dict[Hash, ChainState] = {}

    @property
    def tip(self) -> BlockRef:
        return self.blocks[max(self.blocks)]

    def mine(self, *log: tuple[Any, ...], fork: str = "a", at_s: int = START_S) -> BlockRef:
        parent = self.tip
        number = parent.number + 1
        new = BlockRef(number, block_hash(number, fork), parent.hash, at_s)
        self.blocks[number], self.told[new.hash] = new, events_of(list(log), new)
        return new

    def reorganise(self, last: int) -> None:
        """Forgets the blocks after `last`."""
        self.blocks = {number: at for number, at in self.blocks.items() if number <= last}

    def fails(self, verb: str, *errors: Exception) -> None:
        self.faults.setdefault(verb, []).extend(errors)

    def _asked(self, verb: str, about: Any) -> None:
        self.asked.append((verb, about))
        if self.faults.get(verb):
            raise self.faults[verb].pop(0)

    async def block(self, number: int) -> BlockRef | None:
        self._asked("block", number)
        return self.blocks.get(number)

    async def ask(self, query: Query[Any], at: At) -> Any:
        self._asked("ask", at)
        return query.decode(())

    async def logs(self, where: LogFilter, first: int, last: int) -> tuple[Log, ...]:
        self._asked("logs", (first, last))
        refs = [
            event.ref
            for number in range(first, last + 1)
            for event in self.told.get(self.blocks[number].hash, ())
            if (event.ref.block_hash, event.ref.log_index) not in self.hidden
        ]
        return tuple(
            Log(ENGINE, (), b"", ref.block_number, Hash(ref.block_hash), Hash(ref.tx_hash), ref.log_index)
            for ref in refs
        )

    async def pages(self, where: LogFilter, first: int, last: int) -> AsyncIterator[Page]:
        for start in range(first, last + 1, self.page):
            stop = min(start + self.page - 1, last)
            yield Page(stop, await self.logs(where, start, stop))

    async def simulate(self, call: Call, sender: Address, at: At) -> bytes:
        self._asked("simulate", (call, at))
        return b""

    async def balance(self, account: Address, at: At) -> int:
        self._asked("balance", account)
        return self.wei

    def decoded(self, log: Log) -> tuple[ProtocolEvent, ...]:
        return (self.told[log.block_hash][log.log_index],)


class ScriptedPerp:
    """The reference protocol's acts, and reads that the scripted chain answers without an ABI."""

    def __init__(self, chain: ScriptedChain, from_block: int = 100) -> None:
        self.chain, self.from_block = chain, from_block
        self.real = ReferencePerp(Address("0x" + "a" * 40), ENGINE, Address("0x" + "b" * 40), 31_337, from_block)
        self.oracle, self.exchange = self.real.oracle, self.real.exchange
        self.published: list[SignedReport] = []
        self.liquidations: list[Any] = []
        self.deleverages: list[tuple[Any, ...]] = []
        self.sums: tuple[Totals, dict[int, MarketTotals]] = (Totals(), {})
        self.preview: Callable[[Address, int], LiquidationPreview] | None = None

    def log_filter(self) -> LogFilter:
        return self.real.log_filter()

    def decode_log(self, log: Log) -> Sequence[ProtocolEvent]:
        return self.chain.decoded(log)

    def state(self, at: BlockRef, market_nos: Sequence[int]) -> Query[ChainState]:
        return Query((), lambda _: self.chain.states[at.hash])

    def totals(self, market_nos: Sequence[int]) -> Query[Any]:
        return Query((), lambda _: self.sums)

    def previews(self, requests: Sequence[tuple[Address, int]]) -> Query[tuple[LiquidationPreview, ...]]:
        assert self.preview is not None
        preview = self.preview
        return Query((), lambda _: tuple(preview(*request) for request in requests))

    def digest(self, report: PriceReport) -> bytes:
        return self.real.digest(report)

    def publish(self, signed: SignedReport) -> Any:
        self.published.append(signed)
        return self.real.publish(signed)

    def settle_funding(self, market_nos: Sequence[int]) -> Any:
        return self.real.settle_funding(market_nos)

    def liquidate(self, requests: Sequence[Any]) -> Any:
        self.liquidations.append(tuple(requests))
        return self.real.liquidate(requests)

    def deleverage(self, *step: Any) -> Any:
        self.deleverages.append(step)
        return self.real.deleverage(*step)

    def explain_revert(self, data: bytes) -> Any:
        return self.real.explain_revert(data)


@dataclass
class Desk:
    """The ports that every service has."""

    chain: ScriptedChain = field(default_factory=ScriptedChain)
    clock: StepClock = field(default_factory=StepClock)
    log: RecordingLog = field(default_factory=RecordingLog)
    meter: RecordingMeter = field(default_factory=RecordingMeter)
    store: MemoryStore = field(default_factory=MemoryStore)
    lease: Lease = field(default_factory=Lease)

    def __post_init__(self) -> None:
        self.pulse = Pulse(self.clock)
        self.perp = ScriptedPerp(self.chain)
        self.deployment = Deployment(SITE, ChainId(31_337), self.perp, {1: BTC, 2: ETH})  # type: ignore[arg-type]


def outcome(intent: Intent, state: IntentState, at_s: int = START_S) -> Outcome:
    return Outcome(intent.id, intent.lane, intent.key, state, Timestamp(at_s * SECOND))


async def settled(seconds: float = 0.001) -> None:
    """Virtual time moves only when nobody can go on: what was to happen has happened."""
    await asyncio.sleep(seconds)


@asynccontextmanager
async def running(*services: Any) -> AsyncIterator[None]:
    """The services as tasks; whatever one of them raises fails the test."""
    tasks = [asyncio.create_task(service.run()) for service in services]
    await settled()
    try:
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


def play(scenario: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return run_virtual(scenario)
