"""What one wallet's outbox has on its desk. Changed only between awaits, so that each step sees the newest state."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from keeper.domain.chain import FeeMarket, Receipt
from keeper.domain.fees import Fees, highest
from keeper.domain.funds import Balance, Shortfall, Spending
from keeper.domain.heads import Head
from keeper.domain.ids import Hash
from keeper.domain.nonces import Nonces
from keeper.domain.transaction import INCLUDED, UNMINED, Intent, IntentState, Lane, Outcome, Purpose, TxRecord, TxState
from keeper.domain.txsteps import Missed, displaced
from keeper.runtime.board import Board

NO_FEES = Fees(0, 0)


@dataclass(slots=True)
class Desk:
    """`open`: every nonce that is not settled. `queue`: intents that wait for one, by id in the order they came.

    `paused`: why the wallet starts nothing new until it can again; `stopped`: why it never will in this process.
    `deferred`: intents that wait for the next head. `resend`: nonces to send again at once. `recheck`: receipts that
    we hold may be void. `nudges`: something to look at before the next head. `abandoned`: intents that the operator
    took back; `halted`: the kill switch's reason, as last told. `unwritten`: outcomes that the journal could not take yet;
    `unstored`: nonces of which it knows less than the desk.
    `unheard`: that the last send got no answer at all. `missed`: consumed nonces without a receipt of ours; `disputed`: since
    when, in ns of the loop, endpoints contradict one another about those; `undecided`: that somebody was called for it;
    `vain`: mined nonces whose receipt shows no effect although its status is 1: the journal keeps receipts without logs;
    `left`: intents that other wallets had under way at the start;
    `beyond`: how often in a row the chain's count was beyond all that we signed. `forgotten`: nonces that a node's pool lacks.
    `balance`: as last read, None while it is not known. `short`: intents that wait because it does not do for them;
    `scarce`: that this is told. `spent`: nonces of which is told that no other form is signed; `unfunded`: that a
    replacement does not fit.
    """

    open: dict[int, TxRecord] = field(default_factory=dict)
    nonces: Nonces | None = None
    market: FeeMarket | None = None
    head: Head | None = None
    queue: dict[str, Intent] = field(default_factory=dict)
    deferred: set[str] = field(default_factory=set)
    resend: set[int] = field(default_factory=set)
    sending: set[Hash] = field(default_factory=set)
    unheard: bool = False
    limited: set[int] = field(default_factory=set)
    spent: set[int] = field(default_factory=set)
    missed: dict[int, Missed] = field(default_factory=dict)
    disputed: dict[int, int] = field(default_factory=dict)
    undecided: set[int] = field(default_factory=set)
    vain: set[int] = field(default_factory=set)
    left: frozenset[str] = frozenset()
    beyond: int = 0
    forgotten: set[int] = field(default_factory=set)
    abandoned: set[str] = field(default_factory=set)
    unwritten: dict[str, Outcome] = field(default_factory=dict)
    unstored: dict[int, TxRecord] = field(default_factory=dict)
    balance: Balance | None = None
    spending: Spending | None = None
    short: dict[str, tuple[Intent, Shortfall]] = field(default_factory=dict)
    scarce: bool = False
    unfunded: set[int] = field(default_factory=set)
    paused: str = ""
    halted: str = ""
    stopped: str = ""
    draining: bool = False
    recheck: bool = True
    nudges: Board[str, int] = field(default_factory=Board)
    counts: Counter[tuple[Lane, IntentState]] = field(default_factory=Counter)
    preparing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def block(self) -> int:
        return 0 if self.head is None else self.head.ref.number

    def unmined(self) -> list[TxRecord]:
        """By rising nonce."""
        return [tx for _, tx in sorted(self.open.items()) if tx.state in UNMINED]

    def included(self) -> list[TxRecord]:
        return [tx for _, tx in sorted(self.open.items()) if tx.state in INCLUDED]

    def vacant(self) -> list[TxRecord]:
        return [tx for _, tx in sorted(self.open.items()) if tx.state is TxState.VACANT]

    def is_followed(self, tx: TxRecord) -> bool:
        """Whether nonces above it wait until it is mined. The newest first: with a thousand pending, that is where they are."""
        return any(nonce > tx.nonce and each.state in UNMINED for nonce, each in reversed(self.open.items()))

    def is_active(self, intent_id: str) -> bool:
        """Whether the intent is what some nonce that is not mined is wanted for."""
        return any(tx.intent is not None and tx.intent.id == intent_id for tx in self.unmined())

    def is_displaced(self, intent_id: str, blocks: int | None = None) -> bool:
        """Whether a nonce of the intent was taken by another attempt, but not finally: a reorganisation can undo that.

        With `blocks` those that are so deep do not count: who asks leaves the rest to the contract.
        """
        near = [tx for tx in self.included() if blocks is None or self.depth(tx) < blocks]
        return any(other.id == intent_id for tx in near for other in displaced(tx))

    def depth(self, tx: TxRecord) -> int:
        """Blocks from the one that it was mined in to the head, both counted; 0 while it is not mined."""
        return 0 if tx.receipt is None else self.block - tx.receipt.block_number + 1

    def has_won(self, intent_id: str, beside: int) -> bool:
        """Whether it was mined with another nonce, that it got after a node had refused this one for good."""
        winners = [tx.winner for tx in self.included() if tx.nonce != beside]
        return any(each is not None and each.intent is not None and each.intent.id == intent_id for each in winners)

    def has_effect(self, tx: TxRecord) -> bool:
        """Whether its receipt tells of success; by the status alone from a start until the chain is asked: see `vain`."""
        return tx.receipt is not None and tx.receipt.status == 1 and tx.nonce not in self.vain

    def owners(self) -> dict[str, int]:
        """By intents, the nonces that are to do them: one that has, and can still be taken back, else the highest that waits.

        A reorganisation can bring a lower one back beside it: mined as well, it would be done twice.
        """
        waiting = {
            tx.intent.id: tx.nonce for tx in self.unmined() if tx.intent and tx.last.purpose is not Purpose.CANCEL
        }
        winners = ((tx.winner, tx.nonce) for tx in self.included() if self.has_effect(tx))
        return waiting | {
            each.intent.id: nonce for each, nonce in winners if each is not None and each.intent is not None
        }

    def done_by(self, intent_id: str, beside: int) -> Receipt | None:
        """That of another nonce of ours with which the intent succeeded, and which can still be taken back."""
        others = [tx for tx in self.included() if tx.nonce != beside and self.has_effect(tx)]
        found = (tx.receipt for tx in others if tx.winner and tx.winner.intent and tx.winner.intent.id == intent_id)
        return next(found, None)

    def is_behind(self) -> bool:
        """Whether the next nonce that the chain waits for is neither ours to send nor free."""
        nonces = self.nonces
        return nonces is not None and nonces.mined < nonces.next and nonces.mined not in self.open

    def push(self, intent: Intent) -> None:
        self.queue.setdefault(intent.id, intent)

    def remove(self, intent_id: str) -> None:
        self.queue.pop(intent_id, None)
        self.deferred.discard(intent_id)

    def forget(self, nonce: int) -> None:
        """What was noted while it was not mined: should it be pending once more, that is told anew."""
        for noted in (self.missed, self.disputed):
            noted.pop(nonce, None)
        for told in (self.undecided, self.limited, self.spent, self.unfunded, self.resend):
            told.discard(nonce)

    def close(self, nonce: int) -> None:
        """It is settled for good."""
        del self.open[nonce]
        self.forget(nonce)
        self.vain.discard(nonce)

    def is_abandoned(self, intent: Intent | None) -> bool:
        return intent is not None and intent.id in self.abandoned

    def is_queued(self, intent_id: str) -> bool:
        return intent_id in self.queue


def level(tx: TxRecord) -> Fees:
    """What a replacement at this nonce has to exceed."""
    return highest(tx.levels) if tx.levels else NO_FEES
