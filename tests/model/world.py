"""One wallet's keeper, its chain and what was wanted of it: alive or dead, and watched."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from keeper.adapters.encoding.keccak import keccak
from keeper.adapters.signers.curve import signing_key
from keeper.adapters.signers.key_signer import KeySigner
from keeper.devnet.simulator.envelope import Envelope
from keeper.domain.heads import Head
from keeper.domain.ids import Address, DeploymentId, Hash
from keeper.domain.time import SECOND, Timestamp, nanos
from keeper.domain.transaction import Intent, IntentState, Lane, Outcome
from keeper.errors import TransientError
from keeper.ports.ledger import Ledger
from keeper.runtime.board import Board
from keeper.runtime.mailbox import Mailbox
from keeper.runtime.pulse import Pulse
from keeper.runtime.virtual import VirtualClock
from keeper.services.outbox import Outbox, OutboxRules, Wallet
from tests.model.acts import CHAIN_ID, CONTRACT, Kind, explain, kind_of, meant
from tests.model.laws import Diary, Laws, Unmetered
from tests.model.lies import Lies
from tests.model.memory_ledger import Disk, Killed, MemoryLedger
from tests.model.network import Network
from tests.model.node import Node, Pen

START = Timestamp(1_700_000_000 * 10**9)
_PATIENCE_NS = 120 * SECOND
"""So old the newest block may be when the keeper hears of it."""
_KEY = signing_key(keccak(b"a key that only models use"))
assert _KEY is not None
SIGNER = KeySigner(_KEY, CHAIN_ID)
_MINED_IN_VAIN = (IntentState.REVERTED, IntentState.NO_EFFECT, IntentState.LOST_RACE)
OPEN = (None, IntentState.QUEUED, IntentState.ACTIVE, IntentState.MINED)
ONCE = frozenset({Kind.RECORD, Kind.ONCE})
"""Calls that get no second nonce. A price may, once another has taken its place: its contract takes only newer ones."""
DurableAt = Callable[[Address, int, Hash], bool]


class KeepersClock(VirtualClock):
    """Somebody sets it, and the chain does not notice."""

    ahead_ns = 0

    def now(self) -> Timestamp:
        return Timestamp(super().now() + self.ahead_ns)


@dataclass(slots=True)
class Life:
    """One process of the keeper, from its start to its kill."""

    outbox: Outbox
    node: Node
    inbox: Mailbox[Intent]
    prices: Board[DeploymentId, Intent]
    heads: Board[str, Head]
    task: asyncio.Task[None]


@dataclass
class World:
    chance: Random
    rules: OutboxRules
    ledger: Ledger = field(default_factory=MemoryLedger)
    durable: DurableAt | None = None
    laws: Laws = field(default_factory=Laws)
    diary: Diary = field(default_factory=Diary)
    lies: Lies = field(default_factory=Lies)
    signed: dict[bytes, Envelope] = field(default_factory=dict)
    afforded: dict[str, int] = field(default_factory=dict)
    wanted: dict[str, Intent] = field(default_factory=dict)
    told: dict[str, Outcome] = field(default_factory=dict)
    price: Intent | None = None
    halted: str = ""
    barred: str = ""
    unwritable: int = 0
    die_after: int = -1
    """The process dies around so many more writes to the journal or sends; never, below zero."""
    down: int = 0
    """Steps until the next start."""
    lives: int = 0
    step: int = 0
    last_sent: int = -1
    misfortunes: int = 0
    """Anything that excuses a gap for a while."""
    seeing_until: int = 0
    """Until then nodes find what there is."""
    gap_since: tuple[int, int] = (0, 0)
    life: Life | None = None

    def __post_init__(self) -> None:
        self.busy = self.chance.random() < 0.7
        self.clock = KeepersClock(START)
        self.network = Network(SIGNER.address, self.laws)
        if self.durable is None and isinstance(self.ledger, MemoryLedger):
            ledger = self.ledger
            self.durable = lambda wallet, nonce, own: ledger.has(CHAIN_ID, wallet, nonce, own)

    def start(self) -> None:
        self.lives += 1
        node = Node(self.network, self.lies, self.signed, self._sending, self._sent, self.chance, self.afforded)
        wallet = Wallet(
            name="model",
            chain_id=CHAIN_ID,
            chain=node,
            signer=Pen(SIGNER, self.laws, self.lies, self.signed, self._signed),
            ledger=Disk(self.ledger, self._writing),
            explain=explain,
            clock=self.clock,
            log=self.diary,
            meter=Unmetered(),
            halted=lambda: self.halted,
            barred=lambda _: self.barred,
            rules=self.rules,
        )
        inbox: Mailbox[Intent] = Mailbox("intents", 256)
        prices: Board[DeploymentId, Intent] = Board()
        heads: Board[str, Head] = Board()
        outbox = Outbox(wallet, prices, inbox, heads, Pulse(self.clock))
        wallet.outcomes.follow(self._heard)
        self.life = Life(outbox, node, inbox, prices, heads, asyncio.ensure_future(outbox.run()))
        for each in self.wanted.values():
            self.offer(each)
        self.announce()

    async def kill(self) -> None:
        life, self.life = self.life, None
        self.die_after = -1
        if life is not None:
            life.node.dead = True
            life.task.cancel()
            await asyncio.gather(life.task, return_exceptions=True)

    def offer(self, intent: Intent) -> None:
        """As a strategy does, which after a restart knows nothing of what was sent; only the newest price is."""
        if self.life is None or (intent.lane is Lane.PRICE and intent is not self.price):
            return
        if intent.lane is Lane.PRICE:
            self.life.prices.put(intent.deployment, intent)
        elif self.is_open(intent):
            self.life.inbox.offer(intent)

    def is_open(self, intent: Intent) -> bool:
        record = self.ledger.intent(intent.id)
        return (None if record is None else record.state) in OPEN

    def announce(self) -> None:
        """The newest block, as the head service would publish it."""
        if self.life is not None:
            ref = self.network.blocks.head.ref
            heard_ns = nanos(asyncio.get_running_loop().time())
            self.life.heads.put("head", Head(ref, None, self.clock.now(), heard_ns, self.network.reorgs))

    def outlive(self) -> bool:
        """Whether the keeper lives. It may only have been killed."""
        life = self.life
        if life is None or not life.task.done():
            return life is not None
        error = life.task.exception()
        self.laws.require(isinstance(error, Killed), "RUN", repr(error))
        self.life, self.die_after, life.node.dead = None, -1, True
        self.down = self.chance.randint(0, 4)
        self.diary.note("    killed")
        return False

    def _writing(self, when: str) -> None:
        if self.life is None or self.life.node.dead:
            raise Killed
        if when == "before" and self.unwritable > 0:
            self.unwritable -= 1
            self.misfortunes += 1
            raise TransientError("the disk is full")
        self._live_on()

    def _live_on(self) -> None:
        if self.die_after == 0 and self.life is not None:
            self.life.node.dead = True
            self.network.misled.add(self.last_sent)  # what the node said to it may never be known
            raise Killed
        if self.die_after > 0:
            self.die_after -= 1

    def _signed(self, tx: Envelope) -> None:
        """I3, where the second nonce would begin."""
        self._note_funds(tx)
        own = meant(tx.data) if tx.to == CONTRACT else ""
        if own and (deadline := self.wanted[own].deadline) is not None:
            late_ns = self.network.blocks.now() - deadline
            self.laws.require(late_ns < _PATIENCE_NS, "TIME", f"{own} is signed {late_ns / SECOND} s too late")
        record = self.ledger.intent(own)
        failed = record is not None and record.state in _MINED_IN_VAIN
        begun = any(each.nonce == tx.nonce and each.data == tx.data for each in self.signed.values() if each is not tx)
        if not own or kind_of(tx.data) not in ONCE or failed or begun:
            return  # what was mined and failed is tried again before that is final, and a second form begins nothing
        others = [
            each.nonce
            for each in self.network.seen.values()
            if each.data == tx.data and each.nonce != tx.nonce and self.network.may_win(each.hash)
        ]
        if self.wanted[own].lane is Lane.LIQUIDATION:  # it waits for a few blocks only: the contract refuses the second
            others = [each for each in others if each not in self.network.blocks.displaced]
        self.laws.require(
            not others, "I3", f"intent {own} gets nonce {tx.nonce}, and nonce {others} may still be mined"
        )

    def _note_funds(self, tx: Envelope) -> None:
        """Of what raises the reservation: an empty transfer, or a cheaper form, is offered with any balance."""
        self.afforded.pop(tx.hash, None)  # the same bytes, signed before and thrown away
        desk = None if self.life is None else self.life.outbox.wallet.desk
        if desk is None or desk.head is None or desk.head.reorgs != self.network.reorgs:
            return  # what a reorganisation gave back to the pool is not known yet
        if desk.nonces is not None and desk.nonces.mined > self.network.blocks.nonce:
            return  # nor here: its head has come, and its count of nonces has not
        known = desk.balance
        forms = [each.cost for each in self.signed.values() if each.nonce == tx.nonce and each.hash != tx.hash]
        if (
            known is not None
            and known.wei == self.network.blocks.balance
            and tx.data
            and tx.cost > max(forms, default=0)
        ):
            self.afforded[tx.hash] = known.wei

    def _sending(self, tx: Envelope) -> None:
        assert self.durable is not None
        empty = tx.to == self.network.wallet
        self.laws.require(self.durable(self.network.wallet, tx.nonce, Hash(tx.hash)), "I1", f"nonce {tx.nonce} is sent")
        why = self.halted or ("" if empty else self.barred) or ("dry run" if self.rules.dry_run else "")
        self.laws.require(not why, "I7", f"nonce {tx.nonce} is sent although {why}")
        self._live_on()

    def _sent(self, tx: Envelope) -> None:
        self.last_sent = tx.nonce
        self._live_on()

    def _heard(self, own: str, outcome: Outcome) -> None:
        self.told[own] = outcome
        if outcome.state is IntentState.EXPIRED and (deadline := self.wanted[own].deadline) is not None:
            early_ns = deadline - self.network.blocks.now()
            self.laws.require(early_ns <= 0, "TIME", f"{own} is expired {early_ns / SECOND} s early")
        if outcome.state in (IntentState.MINED, IntentState.CONFIRMED):
            self._require_proven(own, outcome)

    def _require_proven(self, own: str, outcome: Outcome) -> None:
        """I5. A node that lags may show a block that is gone: then it must have been there, with the log."""
        receipt, network = outcome.receipt, self.network
        if receipt is None:  # told in an earlier life, with its proof: only what is journalled is told again
            record = self.ledger.intent(own)
            known = record is not None and record.state is outcome.state
            self.laws.require(known, "I5", f"{own} is told as {outcome.state} and journalled as {record}")
            return
        for line in (network.blocks.line, network.stale):
            block = line[receipt.block_number] if receipt.block_number < len(line) else None
            found = None if block is None else block.receipts.get(receipt.tx_hash)
            if block is not None and block.ref.hash == receipt.block_hash and found is not None:
                shown = bool(found.logs) and meant(self.network_data(receipt.tx_hash)) == own
                self.laws.require(found.status == 1 and shown, "I5", f"{own} is {outcome.state} without its event")
                return
        self.laws.require(False, "I5", f"{own} is {outcome.state} by a block that is not in the chain")

    def network_data(self, tx_hash: str) -> bytes:
        return self.network.seen[tx_hash].data
