"""One wallet: one key, one owner of its nonces, and everything that its outbox needs to act."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from keeper.domain.chain import Receipt
from keeper.domain.heads import chain_time
from keeper.domain.ids import Address, Hash
from keeper.domain.time import nanos
from keeper.domain.transaction import OPEN_INTENTS, Intent, IntentRecord, IntentState, Lane, Outcome, TxRecord
from keeper.errors import RpcUnavailable, TransientError
from keeper.ports.chain import ChainReader, ChainWriter
from keeper.ports.clock import Clock
from keeper.ports.ledger import Ledger
from keeper.ports.log import EventLog
from keeper.ports.meter import Meter
from keeper.ports.protocol import Revert
from keeper.ports.signer import TransactionSigner
from keeper.runtime.board import Board
from keeper.services.outbox.desk import Desk
from keeper.services.outbox.outcomes import OutcomeBoard
from keeper.services.outbox.rules import OutboxRules
from keeper.services.outbox.steps import is_expired

T = TypeVar("T")


class Chain(ChainReader, ChainWriter, Protocol):
    """Both sides of one chain."""


def unwatched() -> None:
    """No watchdog waits for the loop that calls."""


def never_halted() -> str:
    return ""


def never_barred(_intent: Intent) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Wallet:
    """`explain` understands revert data for an intent's protocol. `halted` is the kill switch: the reason, or "".
    `barred` is why the contracts would refuse an intent now, whatever it says: they are paused. `role` is its name in
    the settings, `lanes` what it sends; what it finds under way at the start may be of another lane.
    """

    name: str
    chain_id: int
    chain: Chain
    signer: TransactionSigner
    ledger: Ledger
    explain: Callable[[Intent, bytes], Revert]
    clock: Clock
    log: EventLog
    meter: Meter
    role: str = "sender"
    lanes: frozenset[Lane] = frozenset(Lane)
    halted: Callable[[], str] = never_halted
    barred: Callable[[Intent], str] = never_barred
    rules: OutboxRules = field(default_factory=OutboxRules)
    outcomes: Board[str, Outcome] = field(default_factory=OutcomeBoard)
    desk: Desk = field(default_factory=Desk)

    @property
    def address(self) -> Address:
        return self.signer.address

    def forbidden(self) -> str:
        """Why nothing at all may be sent now."""
        return "dry_run" if self.rules.dry_run else self.halted()

    def forbids(self, intent: Intent | None) -> str:
        """Why this payload may not be sent now; the one gate in front of every broadcast. None is an empty transfer."""
        return self.forbidden() or ("" if intent is None else self.barred(intent))

    def is_late(self, intent: Intent | None) -> bool:
        """Whether the chain has come to the intent's deadline. Before the first head nothing is late, and nothing is sent."""
        head = self.desk.head
        return head is not None and is_expired(intent, chain_time(head, nanos(asyncio.get_running_loop().time())))

    async def ask(self, answer: Awaitable[T]) -> T:
        """A read of the chain that ends. Raises RpcUnavailable also when it takes too long."""
        try:
            async with asyncio.timeout(self.rules.read_timeout_s):
                return await answer
        except TimeoutError:
            raise RpcUnavailable(f"no answer within {self.rules.read_timeout_s:g} s") from None

    def store(self, tx: TxRecord) -> None:
        """On the desk at once and in the journal as soon as that can be written.

        With all outcomes that are not written yet, in one commit: a nonce that the journal knows as mined tells nothing
        after a restart, and an outcome whose receipt came from a branch that is gone is not judged again.
        """
        self.desk.open[tx.nonce] = tx
        try:
            self.ledger.save(tx, tuple(self.desk.unwritten.values()))
        except TransientError as error:
            self.desk.unstored[tx.nonce] = tx
            self.unwritable(error)
        else:
            self.desk.unstored.pop(tx.nonce, None)
            self.desk.unwritten.clear()

    def settle(
        self,
        intent: Intent,
        state: IntentState,
        reason: str = "",
        receipt: Receipt | None = None,
        tx: Hash | None = None,
        *,
        stored_next: bool = False,
    ) -> None:
        """Publishes and journals what became of an intent, and counts it when that is the end of it.

        `stored_next`: the caller stores its nonce next, and both are to be one commit.
        """
        tx_hash = tx if receipt is None else receipt.tx_hash
        outcome = Outcome(intent.id, intent.lane, intent.key, state, self.clock.now(), tx_hash, receipt, reason)
        self.desk.unwritten[intent.id] = outcome
        if not stored_next:
            self.write_outcomes()
        if state not in OPEN_INTENTS:
            self.desk.counts[intent.lane, state] += 1
            self.meter.count("keeper_tx_total", purpose=intent.lane.name.lower(), outcome=state)
        self.outcomes.put(intent.id, outcome)

    def write_outcomes(self) -> bool:
        """Journals what was told, and what nonces came to, where that is not on the disk yet. False when it cannot be
        written now.
        """
        unwritten, unstored = self.desk.unwritten, self.desk.unstored
        try:
            for tx in list(unstored.values()):
                self.ledger.save(tx, tuple(unwritten.values()))
                del unstored[tx.nonce]
                unwritten.clear()
            for outcome in list(unwritten.values()):
                self.ledger.settle(outcome)
                del unwritten[outcome.intent_id]
        except TransientError as error:
            self.unwritable(error)
        return not unwritten

    def history(self, intent_id: str) -> IntentRecord | None:
        """What the ledger knows of an intent, or should: it must not start again because the disk was full."""
        record, told = self.ledger.intent(intent_id), self.desk.unwritten.get(intent_id)
        if told is None:
            return record
        return IntentRecord(told.state, 1 if record is None else record.failures + 1, told.at)

    def announce(self, intent: Intent, tx: Hash) -> None:
        """Told, not journalled: a node has taken it. Whoever acts on its effect may look at the pending block now."""
        self.outcomes.put(
            intent.id, Outcome(intent.id, intent.lane, intent.key, IntentState.ACTIVE, self.clock.now(), tx)
        )

    def remind(self, intent: Intent) -> None:
        """Told, not journalled: what the journal knows of an intent that nothing was told of in this life.

        Only how it ended: what was open may belong to a wallet of which nobody hears any more.
        """
        record = self.history(intent.id)
        if record is not None and record.state not in OPEN_INTENTS and self.outcomes.get(intent.id) is None:
            at, reason = record.changed_at, "known from the journal"
            self.outcomes.put(intent.id, Outcome(intent.id, intent.lane, intent.key, record.state, at, reason=reason))

    def withhold(self, intent: Intent) -> None:
        """Told, not journalled: what a dry run did not send must not keep a live run from sending it."""
        self.desk.counts[intent.lane, IntentState.WITHHELD] += 1
        self.meter.count("keeper_tx_total", purpose=intent.lane.name.lower(), outcome=IntentState.WITHHELD)
        outcome = Outcome(intent.id, intent.lane, intent.key, IntentState.WITHHELD, self.clock.now(), reason="dry_run")
        self.outcomes.put(intent.id, outcome)

    def show_paused(self) -> None:
        desk = self.desk
        self.meter.gauge(
            "keeper_wallet_paused", float(bool(desk.paused or desk.stopped or desk.scarce)), signer=self.name
        )

    def unwritable(self, error: TransientError) -> None:
        self.log.error(
            "journal.unwritable",
            wallet=self.name,
            error=str(error),
            advice="free space on the state directory's disk; nothing new is signed while the journal cannot be written",
        )
