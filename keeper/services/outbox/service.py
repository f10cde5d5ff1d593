"""Everything between an intent and a mined transaction, for one wallet."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from keeper.domain.chain import FeeMarket
from keeper.domain.funds import Shortfall
from keeper.domain.heads import Head
from keeper.domain.ids import DeploymentId
from keeper.domain.nonces import opening
from keeper.domain.transaction import UNMINED, Intent, IntentState, Purpose, TxRecord, TxState
from keeper.errors import DataError, TransientError, WrongChain
from keeper.runtime.board import Board, first_change
from keeper.runtime.mailbox import Mailbox
from keeper.runtime.pulse import Pulse
from keeper.services.outbox.dispatch import Dispatch
from keeper.services.outbox.funds import Funds
from keeper.services.outbox.receipts import Receipts
from keeper.services.outbox.rules import SCARCE, PendingTx, WalletStatus
from keeper.services.outbox.sender import Sender
from keeper.services.outbox.steps import Step, is_due, is_older, is_spent, is_unpaid, next_step, restrained
from keeper.services.outbox.wallet import Wallet

_HEAD = "head"
_REPLACING = frozenset({Step.BUMP, Step.SUPERSEDE, Step.CANCEL})
_FIRST_READ_PAUSE_S = 1.0
_DRAIN_LOOK_S = 0.25


@dataclass(frozen=True, slots=True)
class Outbox:
    """One worker per wallet: three loops (prices, other intents, heads) that never prepare two transactions at once.

    Prices come from `prices`, which holds the newest per deployment; everything else from `inbox`. Results are on
    `wallet.outcomes`.
    """

    wallet: Wallet
    prices: Board[DeploymentId, Intent]
    inbox: Mailbox[Intent]
    heads: Board[str, Head]
    pulse: Pulse
    funds: Funds = field(init=False)
    sender: Sender = field(init=False)
    dispatch: Dispatch = field(init=False)
    receipts: Receipts = field(init=False)

    def __post_init__(self) -> None:
        funds = Funds(self.wallet)
        sender = Sender(self.wallet, funds)
        object.__setattr__(self, "funds", funds)
        object.__setattr__(self, "sender", sender)
        object.__setattr__(self, "dispatch", Dispatch(self.wallet, sender, funds, self.prices))
        object.__setattr__(self, "receipts", Receipts(self.wallet, self._beat))

    @property
    def name(self) -> str:
        return f"outbox:{self.wallet.name}"

    async def run(self) -> None:
        """Heals whatever nodes and signers do; ends with WrongChain, StateCorrupt and defects of its own."""
        self.pulse.expect(self.name, 6 * self.wallet.rules.tick_s)
        await self._reconcile()
        await _together(self._follow_heads(), self._follow_prices(), self._follow_inbox())

    async def drain(self, grace_s: float) -> tuple[TxRecord, ...]:
        """Takes on nothing new and waits until what was sent is mined. Returns what is not, after `grace_s`."""
        desk, outcomes = self.wallet.desk, self.wallet.outcomes
        desk.draining = True
        try:
            async with asyncio.timeout(grace_s):
                while desk.unmined():
                    await first_change((outcomes, outcomes.version), timeout_s=_DRAIN_LOOK_S)
        except TimeoutError:
            left = tuple(desk.unmined())
            self.wallet.log.critical(
                "outbox.undrained",
                wallet=self.wallet.name,
                intents=[tx.intent.id for tx in left if tx.intent is not None],
                advice="these are still pending; the next start finds them in the journal and follows them up",
            )
            return left
        return ()

    def status(self) -> WalletStatus:
        desk = self.wallet.desk
        return WalletStatus(
            name=self.wallet.name,
            role=self.wallet.role,
            lanes=self.wallet.lanes,
            address=self.wallet.address,
            mined_nonce=0 if desk.nonces is None else desk.nonces.mined,
            next_nonce=0 if desk.nonces is None else desk.nonces.next,
            in_flight=len(desk.unmined()),
            queued=len(desk.queue) + self.inbox.depth,
            paused=desk.stopped or desk.paused or self.wallet.forbidden() or (SCARCE if desk.scarce else ""),
            balance_wei=None if desk.balance is None else desk.balance.wei,
            reserved_wei=self.funds.reserved(),
            runway_s=None if desk.spending is None else desk.spending.runway_s(self.wallet.clock.now()),
            pending=tuple(_pending(tx) for _, tx in sorted(desk.open.items()) if tx.state is not TxState.CONFIRMED),
            counts=dict(desk.counts),
        )

    async def _reconcile(self) -> None:
        """The journal's unfinished nonces and the chain's count. Waits for a node as long as it takes."""
        wallet, desk = self.wallet, self.wallet.desk
        desk.open.update({tx.nonce: tx for tx in wallet.ledger.unfinished(wallet.chain_id, wallet.address)})
        desk.abandoned.update(self._abandoned())
        desk.left = wallet.ledger.under_way_elsewhere(wallet.address)
        journal_next = wallet.ledger.next_nonce(wallet.chain_id, wallet.address)
        while True:
            try:
                mined = await self._first_count(journal_next)
                pending = await wallet.ask(wallet.chain.nonce(wallet.address, "pending"))
                break
            except WrongChain:
                raise
            except (TransientError, DataError) as error:
                wallet.log.warning("outbox.waiting", wallet=wallet.name, error=str(error))
                self._beat()
                await asyncio.sleep(_FIRST_READ_PAUSE_S)
        desk.nonces = opening(mined, pending, journal_next, tuple(tx.nonce for tx in desk.vacant()))
        desk.resend.update(tx.nonce for tx in desk.unmined())
        self.receipts.observe(min(mined, desk.nonces.next))  # what is beyond takes more than one look
        self.sender.judge_pause()
        wallet.log.info("outbox.reconciled", wallet=wallet.name, nonce=desk.nonces.next, open=len(desk.open))

    async def _first_count(self, journal_next: int | None) -> int:
        """Without a journal the count is where the wallet's nonces go on: not by one endpoint's word, where others answer."""
        wallet = self.wallet
        if journal_next is None:
            with suppress(TransientError):
                return await wallet.ask(wallet.chain.count_of_most(wallet.address))
        return await wallet.ask(wallet.chain.nonce(wallet.address, "latest"))

    def _abandoned(self) -> set[str]:
        """Intents of open nonces that the operator took back before the restart."""
        wanted = {tx.intent.id for tx in self.wallet.desk.open.values() if tx.intent is not None}
        found = {intent_id: self.wallet.ledger.intent(intent_id) for intent_id in wanted}
        return {key for key, record in found.items() if record and record.state is IntentState.ABANDONED}

    async def _follow_prices(self) -> None:
        seen = 0
        while True:
            seen = await self.prices.changed(seen)
            await self.dispatch.pump()

    async def _follow_inbox(self) -> None:
        outcomes = self.wallet.outcomes
        while True:
            if len(self.wallet.desk.queue) >= self.wallet.rules.queue_limit:
                await first_change((outcomes, outcomes.version), timeout_s=self.wallet.rules.tick_s)
                continue
            self.dispatch.accept(await self.inbox.get())
            self._take_in()
            await self.dispatch.pump(self._take_in)

    def _take_in(self) -> None:
        """All that has come in is on the desk before the next is begun: there the most urgent is the first."""
        desk = self.wallet.desk
        while len(desk.queue) < self.wallet.rules.queue_limit and (letter := self.inbox.take()) is not None:
            self.dispatch.accept(letter)

    async def _follow_heads(self) -> None:
        wallet, desk = self.wallet, self.wallet.desk
        seen = nudged = 0
        while True:
            await first_change((self.heads, seen), (desk.nudges, nudged), timeout_s=wallet.rules.tick_s)
            seen, nudged = self.heads.version, desk.nudges.version
            head = self.heads.get(_HEAD)
            if head is not None:
                await self._tick(head)
            self._beat()

    def _beat(self) -> None:
        """Also between sends: one that hangs costs its time-out, and many of them are still no standstill."""
        self.pulse.beat(self.name)

    async def _tick(self, head: Head) -> None:
        """Receipts before rebroadcasts: a transaction that was just mined must not be sent again."""
        wallet, desk = self.wallet, self.wallet.desk
        if desk.head is not None and head.reorgs != desk.head.reorgs:
            desk.recheck = True
        desk.head = head
        desk.unheard = False
        desk.deferred.clear()
        try:
            await self._learn()
        except WrongChain:
            raise
        except TransientError as error:
            desk.missed.clear()  # looks on both sides of a silence are not in a row
            wallet.log.warning("outbox.unread", wallet=wallet.name, error=str(error))
        except DataError as error:
            desk.missed.clear()
            self._unreadable(error)
        else:
            await self._push()
        wallet.write_outcomes()
        self.sender.judge_pause()
        self.dispatch.expire()
        self.funds.reconsider(self.dispatch.is_waiting)
        await self.dispatch.pump(self._beat)
        self.funds.judge()
        await self._close_gaps()
        wallet.meter.gauge("keeper_tx_pending", len(desk.unmined()), signer=wallet.name)

    def _unreadable(self, error: DataError) -> None:
        self.wallet.log.error(
            "outbox.unreadable",
            wallet=self.wallet.name,
            error=str(error),
            advice="the node answers what cannot be used; try another endpoint",
        )

    async def _learn(self) -> None:
        desk = self.wallet.desk
        mined, market, *_ = await asyncio.gather(
            self.receipts.count(),
            self._ask_market(),
            self._ask_pool(),
            self.funds.look(),
        )
        desk.market = market
        self.receipts.observe(mined)
        if desk.recheck or any(tx.nonce >= mined for tx in desk.included()):
            await self.receipts.recheck()
        await self.receipts.find(mined)
        await self.receipts.confirm()

    async def _ask_market(self) -> FeeMarket:
        """Its question is made by the task that asks it: one that is cancelled before leaves none behind."""
        return await self.wallet.ask(self.wallet.chain.fees())

    async def _ask_pool(self) -> None:
        """Which of those that a block has passed by are no longer waiting: a hint, and enough to send the same bytes again."""
        wallet, desk = self.wallet, self.wallet.desk
        desk.forgotten.clear()
        passed_by = [tx.nonce for tx in desk.unmined() if desk.head is not None and is_older(tx, desk.head)]
        if not passed_by:
            return
        try:
            waiting = await wallet.ask(wallet.chain.nonce(wallet.address, "pending"))
        except WrongChain:
            raise
        except (TransientError, DataError) as error:
            wallet.log.debug("wallet.unread", wallet=wallet.name, error=str(error))
            return
        desk.forgotten.update(nonce for nonce in passed_by if nonce >= waiting)

    async def _push(self) -> None:
        """Moves the nonces that are not mined, the lowest first: a higher one cannot be mined before it."""
        wallet, desk = self.wallet, self.wallet.desk
        assert desk.nonces is not None
        replaced, owners = False, desk.owners()
        for tx in desk.unmined():
            if tx.nonce < desk.nonces.mined or wallet.forbidden():
                continue
            self._beat()
            step, newer = self.decide(tx, owners)
            if step in _REPLACING:
                if replaced and step is not Step.CANCEL:
                    continue
                replaced = True
                async with desk.preparing:
                    await self._replace(tx.nonce, step, newer)
                if desk.unheard:
                    return  # the node does not answer: the rest waits for the next head
                continue
            self._tell_spent(tx)
            if step is Step.RESEND:
                desk.resend.discard(tx.nonce)
                await self.sender.send(tx.nonce, tx.last if is_unpaid(tx) else tx.best)
                if desk.unheard:
                    return

    def _tell_spent(self, tx: TxRecord) -> None:
        """Once: that a fee is not raised again although it is time to."""
        wallet, desk = self.wallet, self.wallet.desk
        spent = is_spent(tx, wallet.rules, followed=desk.is_followed(tx)) and is_due(tx, desk.block, wallet.rules)
        if spent and tx.nonce not in desk.spent:
            desk.spent.add(tx.nonce)
            wallet.log.error(
                "tx.spent",
                wallet=wallet.name,
                nonce=tx.nonce,
                attempts=len(tx.attempts),
                advice="raised so often and still not mined: `keeper tx bump` raises it once more, `keeper tx cancel` ends it",
            )

    def decide(self, tx: TxRecord, owners: Mapping[str, int] | None = None) -> tuple[Step, Intent | None]:
        """What the next head will bring to a nonce that is not mined, and the newer price that takes its place, if any.

        `owners`: `desk.owners()`, where many nonces are decided on at once.
        """
        wallet, desk = self.wallet, self.wallet.desk
        newer = self.dispatch.newer_price(tx)
        owners = desk.owners() if owners is None else owners
        elsewhere = tx.intent is not None and owners.get(tx.intent.id, tx.nonce) != tx.nonce
        late = desk.is_abandoned(tx.intent) or wallet.is_late(tx.intent) or elsewhere
        if newer is not None and isinstance(self.sender.raised(tx.nonce, Purpose.SUPERSEDE, newer), Shortfall):
            newer = None  # what cannot be paid takes nobody's place
        followed = desk.is_followed(tx)
        step = next_step(tx, newer, wallet.clock.now(), desk.block, wallet.rules, late=late, followed=followed)
        payload = tx.last.intent
        if newer is None and payload is not None and wallet.barred(payload):
            return restrained(step, followed=followed), None
        if step in (Step.BUMP, Step.WAIT) and tx.nonce in desk.resend:
            step = Step.RESEND  # what a crash or a reorganisation interrupted goes out as it was first
        if step is Step.WAIT and tx.nonce in desk.forgotten:
            step = Step.RESEND  # nothing above it is mined before it; a bump that is due does the same
        return step, newer

    async def _replace(self, nonce: int, step: Step, newer: Intent | None) -> None:
        """Under `desk.preparing`: the operator may have ordered the same meanwhile."""
        tx = self.wallet.desk.open.get(nonce)
        if tx is None or tx.state not in UNMINED:
            return
        if step is Step.CANCEL and tx.last.purpose is Purpose.CANCEL:
            return
        if step is Step.SUPERSEDE:
            await self.sender.replace(nonce, Purpose.SUPERSEDE, newer)
        elif step is Step.CANCEL or tx.last.purpose is Purpose.CANCEL:
            await self.sender.replace(nonce, Purpose.CANCEL, None)
        else:
            await self.sender.replace(nonce, Purpose.BUMP, tx.intent)

    async def _close_gaps(self) -> None:
        wallet, desk = self.wallet, self.wallet.desk
        highest = max((tx.nonce for tx in desk.unmined()), default=-1)
        if wallet.forbidden() or desk.market is None or desk.nonces is None:
            return
        for tx in desk.vacant():
            if desk.nonces.mined <= tx.nonce < highest:
                self._beat()
                async with desk.preparing:
                    await self._fill(tx.nonce)

    async def _fill(self, nonce: int) -> None:
        """Under `desk.preparing`: an intent may have got the nonce meanwhile."""
        wallet = self.wallet
        if wallet.desk.open[nonce].state is TxState.VACANT:
            wallet.log.warning("wallet.gap_filled", wallet=wallet.name, nonce=nonce)
            await self.sender.fill(nonce)


async def _together(*loops: Coroutine[Any, Any, None]) -> None:
    """Runs the loops of one service until the first of them fails, and raises what it raised."""
    tasks = [asyncio.ensure_future(loop) for loop in loops]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _pending(tx: TxRecord) -> PendingTx:
    intent, winner = tx.intent, tx.winner
    shown = winner or (tx.attempts[-1] if tx.attempts else None)
    return PendingTx(
        nonce=tx.nonce,
        lane=tx.lane,
        key="" if intent is None else intent.key,
        intent_id="" if intent is None else intent.id,
        state=tx.state,
        attempts=len(tx.attempts),
        tx_hash=None if shown is None else shown.hash,
        max_fee_wei=0 if shown is None else shown.fees.max_fee_wei,
        tip_wei=0 if shown is None else shown.fees.tip_wei,
        signed_at=tx.attempts[0].signed_at if tx.attempts else None,
    )
