"""What an operator may order about one wallet's pending transactions. The outbox stays the only owner of its nonces."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from keeper.domain.fees import FeeLimit, Fees
from keeper.domain.funds import Shortfall, Unraised
from keeper.domain.ids import Hash
from keeper.domain.transaction import Attempt, IntentState, Purpose, TxRecord
from keeper.domain.txerrors import SendAnswer
from keeper.errors import KeeperError
from keeper.services.outbox.desk import level
from keeper.services.outbox.sender import Sender
from keeper.services.outbox.wallet import Wallet

_BY_OPERATOR = "taken back by the operator"


class Declined(KeeperError):
    """An order about a transaction cannot be carried out now; the sentence says what can."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """One nonce after an order. `limit` or `short`: fee limit or funds forbade it, and nothing was changed."""

    nonce: int
    purpose: Purpose
    before: Fees
    after: Fees | None = None
    tx_hash: Hash | None = None
    answer: SendAnswer | None = None
    limit: FeeLimit | None = None
    short: Shortfall | None = None


@dataclass(frozen=True, slots=True)
class Commands:
    wallet: Wallet
    sender: Sender

    async def bump(self, nonce: int) -> Replaced:
        """One replacement by the pool's rule, whatever its age. Raises Declined."""
        tx = self._pending(nonce)
        self._require_allowed(tx)
        async with self.wallet.desk.preparing:
            tx = self._pending(nonce)  # it may have been mined while somebody else prepared
            self._require_wanted(tx)
            cancelling = tx.last.purpose is Purpose.CANCEL
            purpose, intent = (Purpose.CANCEL, None) if cancelling else (Purpose.BUMP, tx.intent)
            return self._told(tx, purpose, await self.sender.replace(nonce, purpose, intent))

    async def cancel(self, nonce: int) -> Replaced:
        """An empty transfer at the same nonce; the intent is abandoned before it is signed. Raises Declined."""
        self._require_allowed(None)
        async with self.wallet.desk.preparing:
            tx = self._pending(nonce)
            if tx.last.purpose is Purpose.CANCEL:
                raise Declined(f"nonce {nonce} is being cancelled already; `keeper tx bump {nonce}` raises its fees")
            if isinstance(refused := self.sender.raised(nonce, Purpose.CANCEL, None), Unraised):
                return _unchanged(tx, Purpose.CANCEL, refused)
            self._abandon(tx)
            return self._told(tx, Purpose.CANCEL, await self.sender.replace(nonce, Purpose.CANCEL, None))

    async def plunge(self) -> Sequence[Replaced]:
        """Cancels everything that is not mined: signed by rising nonce, then sent together. Raises Declined."""
        self._require_allowed(None)
        desk, nonces = self.wallet.desk, self.wallet.desk.nonces
        async with desk.preparing:
            mined = 0 if nonces is None else nonces.mined
            chosen = [tx for tx in desk.unmined() if tx.nonce >= mined and tx.last.purpose is not Purpose.CANCEL]
            found = [(tx, await self._offer(tx)) for tx in chosen]
            await asyncio.gather(*(self.sender.send(tx.nonce, each) for tx, each in found if isinstance(each, Attempt)))
        return [self._told(tx, Purpose.CANCEL, each) for tx, each in found if each is not None]

    async def _offer(self, tx: TxRecord) -> Attempt | Unraised | None:
        raised = self.sender.raised(tx.nonce, Purpose.CANCEL, None)
        if raised is None or isinstance(raised, Unraised):
            return raised  # None: it was mined while another one was signed
        self._abandon(tx)
        return await self.sender.offer(tx.nonce, Purpose.CANCEL, None)

    def _pending(self, nonce: int) -> TxRecord:
        """Raises Declined with the pending nonces, the nearest first."""
        found = {tx.nonce: tx for tx in self.wallet.desk.unmined()}
        if nonce in found:
            return found[nonce]
        near = ", ".join(map(str, sorted(found, key=lambda each: abs(each - nonce))[:8]))
        raise Declined(f"nonce {nonce} is not pending; {f'pending: {near}' if near else 'nothing is'}")

    def _require_allowed(self, tx: TxRecord | None) -> None:
        """None: for an empty transfer, which no contract refuses."""
        if reason := self.wallet.forbids(None if tx is None else tx.last.intent):
            raise Declined(f"nothing may be sent now: {reason}")
        if self.wallet.desk.market is None:
            raise Declined("the chain has not told its fees yet; try again in a moment")

    def _require_wanted(self, tx: TxRecord) -> None:
        late = self.wallet.is_late(tx.intent) or self.wallet.desk.is_abandoned(tx.intent)
        if late and tx.last.purpose is not Purpose.CANCEL:
            raise Declined(f"nonce {tx.nonce} is too late or taken back: the next block brings its cancellation")

    def _abandon(self, tx: TxRecord) -> None:
        """Durable first: after a crash between this and the signature the outbox cancels by itself."""
        intent = tx.intent
        if intent is not None:
            self.wallet.desk.abandoned.add(intent.id)
            self.wallet.settle(intent, IntentState.ABANDONED, _BY_OPERATOR)

    def _told(self, before: TxRecord, purpose: Purpose, found: Attempt | Unraised | None) -> Replaced:
        """Raises Declined when nothing was signed."""
        if isinstance(found, Unraised):
            return _unchanged(before, purpose, found)
        now = self.wallet.desk.open.get(before.nonce, before)
        if found is None:
            raise Declined(
                f"nonce {before.nonce}: nothing was signed: it was just mined, or signer or journal failed (see the log); "
                "what is taken back is tried again with the next block"
            )
        newest = next((each for each in now.attempts if each.hash == found.hash), found)
        return Replaced(before.nonce, purpose, level(before), newest.fees, newest.hash, newest.answer)


def _unchanged(tx: TxRecord, purpose: Purpose, why: Unraised) -> Replaced:
    if isinstance(why, FeeLimit):
        return Replaced(tx.nonce, purpose, level(tx), limit=why)
    return Replaced(tx.nonce, purpose, level(tx), short=why)
