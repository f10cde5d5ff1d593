"""Which intent goes next: the most urgent lane first, a price only as the newest there is, nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from keeper.domain.ids import DeploymentId
from keeper.domain.transaction import Intent, IntentState, Lane, TxRecord, may_start
from keeper.errors import DataError, Reverted, TransientError, WrongChain
from keeper.runtime.board import Board
from keeper.services.outbox.funds import Funds
from keeper.services.outbox.sender import Sender
from keeper.services.outbox.wallet import Wallet, unwatched

_URGENT = frozenset({Lane.SAFETY, Lane.PRICE})
_LIQUIDATION_WAITS = 3
"""Blocks at most. With the one that cancels and the one that liquidates an account is open for five after an outage."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """`prices` is read when a price is about to be signed, so that a newer one supersedes an older one by itself."""

    wallet: Wallet
    sender: Sender
    funds: Funds
    prices: Board[DeploymentId, Intent]

    def accept(self, intent: Intent) -> bool:
        """Queues an intent; False when it is queued, under way or settled already, here or before a restart.

        What it is then is told to whoever offers it and has heard nothing of it in this life.
        """
        desk = self.wallet.desk
        if desk.is_queued(intent.id) or not self._is_wanted(intent):
            self.wallet.log.debug("intent.repeated", wallet=self.wallet.name, intent_id=intent.id, key=intent.key)
            self.wallet.remind(intent)
            return False
        desk.push(intent)
        return True

    async def pump(self, beat: Callable[[], None] = unwatched) -> None:
        """Starts whatever may start now, one after the other, until the node does not answer: the next head asks again.

        `beat` is called before each: any of them may take as long as signer and node are waited for.
        """
        desk = self.wallet.desk
        while (intent := self._next()) is not None:
            beat()
            if self.wallet.rules.dry_run:
                self._withhold(intent)
                continue
            ready = await self._with_gas(intent)
            if ready is None:
                continue
            async with desk.preparing:
                if not self._next_is(intent):
                    continue
                if (lack := self.funds.lack(ready)) is not None:
                    self.funds.hold_back(ready, lack)
                elif await self.sender.start(ready):
                    desk.remove(intent.id)
                    if desk.unheard:
                        return
                else:
                    desk.deferred.add(intent.id)

    def is_waiting(self, intent: Intent) -> bool:
        """For its first nonce: wanted, not too late, and not overtaken by a newer price."""
        if self.wallet.is_late(intent) or not self._is_wanted(intent):
            return False
        newest = self.prices.get(intent.deployment)
        return self.wallet.desk.is_queued(intent.id) or (newest is not None and newest.id == intent.id)

    def newer_price(self, tx: TxRecord) -> Intent | None:
        """What should take the place of this nonce's price, if it is one and there is a newer one.

        After a reorganisation several prices can be pending: only the last gives way, or the newest would come first.
        """
        intent = tx.intent
        if intent is None or intent.lane is not Lane.PRICE or self._is_followed(tx):
            return None
        newest = self.prices.get(intent.deployment)
        if newest is None or newest.id == intent.id or newest.created_at < intent.created_at:
            return None
        if self.wallet.desk.is_abandoned(intent) or self.wallet.barred(newest):
            return None
        return newest if self._is_wanted(newest) and not self.wallet.is_late(newest) else None

    def _is_followed(self, tx: TxRecord) -> bool:
        prices = (each for each in self.wallet.desk.unmined() if each.lane is Lane.PRICE and each.nonce > tx.nonce)
        return any(_deployment(each) == _deployment(tx) for each in prices)

    def expire(self) -> None:
        """Drops what waited too long. What is being sent stays in the queue until a node answers, and may be done by then."""
        for intent in list(self.wallet.desk.queue.values()):
            if self.wallet.is_late(intent) and self._is_wanted(intent):
                self._expire(intent)

    def _next(self) -> Intent | None:
        desk, wallet = self.wallet.desk, self.wallet
        if desk.draining or desk.stopped:
            return None
        ready = wallet.rules.dry_run or (
            desk.nonces is not None and desk.market is not None and not desk.paused and not wallet.forbidden()
        )
        return next(self._candidates(), None) if ready else None

    def _next_is(self, intent: Intent) -> bool:
        """Whether the intent may still start, now that we hold the pen: another loop may have been quicker."""
        found = self._next()
        return found is not None and found.id == intent.id

    def _candidates(self) -> Iterator[Intent]:
        desk = self.wallet.desk
        newest = sorted(self.prices.snapshot().values(), key=lambda intent: intent.created_at)
        for intent in sorted([*newest, *desk.queue.values()], key=lambda each: each.lane):
            if intent.id in desk.deferred or not self._has_room(intent.lane):
                continue
            if not self._is_wanted(intent):
                continue  # a price that is mined stays on the board and does not expire any more
            if self.wallet.is_late(intent):
                self._expire(intent)
            elif self.wallet.barred(intent):
                continue
            elif intent.id not in desk.short:
                yield intent
            elif desk.short[intent.id][1].passes:
                return  # it fits when something is mined: nothing less urgent takes that place

    def _has_room(self, lane: Lane) -> bool:
        # A nonce that is consumed is in nobody's way, whoever hides its receipt.
        unmined = [tx for tx in self.wallet.desk.unmined() if tx.missing_since is None]
        if lane is Lane.PRICE and any(tx.lane is Lane.PRICE for tx in unmined):
            return False
        rules = self.wallet.rules
        slots = rules.max_in_flight if lane in _URGENT else max(1, rules.max_in_flight - rules.reserved_slots)
        return len(unmined) < slots

    def _is_wanted(self, intent: Intent) -> bool:
        wallet = self.wallet
        if wallet.desk.is_active(intent.id):
            return False
        told = wallet.outcomes.get(intent.id)
        if told is not None and told.state is IntentState.WITHHELD:
            return False
        record = wallet.history(intent.id)
        superseded = record is not None and record.state in (IntentState.SUPERSEDED, IntentState.EXPIRED)
        if superseded and self._may_come_back(intent):
            return False
        return may_start(record, wallet.clock.now(), intent.lane) and not self._is_elsewhere(intent)

    def _may_come_back(self, intent: Intent) -> bool:
        """Whether bytes of it whose nonce went to an empty transfer may be mined after all, beside those of a second nonce.

        Everything waits until that transfer is final, with two exceptions, in which the contract refuses whichever comes
        second. A price does not wait: only newer ones are taken. A liquidation waits for a few blocks: its account stays
        open meanwhile, and finality is minutes; a reorganisation that is deeper costs the gas of a revert.
        """
        if intent.lane is Lane.PRICE:
            return False
        quick = intent.lane is Lane.LIQUIDATION
        blocks = min(self.wallet.rules.confirmations, _LIQUIDATION_WAITS) if quick else None
        return self.wallet.desk.is_displaced(intent.id, blocks)

    def _is_elsewhere(self, intent: Intent) -> bool:
        """Whether a wallet that its lane had before may still have it mined.

        A liquidation waits for that until it is too late there: nobody may look after that wallet any more, and of two
        the contract refuses the second.
        """
        wallet = self.wallet
        if intent.id not in wallet.desk.left:
            return False  # lanes get another wallet at a start alone
        others = wallet.ledger.elsewhere(intent.id, wallet.address)
        return any(intent.lane is not Lane.LIQUIDATION or not wallet.is_late(tx.intent) for tx in others)

    def _expire(self, intent: Intent) -> None:
        self.wallet.desk.remove(intent.id)
        told = self.wallet.outcomes.get(intent.id)
        if told is None or told.state is not IntentState.EXPIRED:
            self.wallet.log.warning("tx.expired", wallet=self.wallet.name, intent_id=intent.id, key=intent.key)
            self.wallet.settle(intent, IntentState.EXPIRED, "not sent in time")

    def _withhold(self, intent: Intent) -> None:
        self.wallet.desk.remove(intent.id)
        self.wallet.log.info(
            "tx.withheld", wallet=self.wallet.name, intent_id=intent.id, lane=intent.lane.name, key=intent.key
        )
        self.wallet.withhold(intent)

    async def _with_gas(self, intent: Intent) -> Intent | None:
        """The intent with a gas limit: its own, or an estimate with a margin. None when it cannot or need not be sent."""
        wallet = self.wallet
        if intent.call.gas_limit is not None:
            return intent
        try:
            estimate = await wallet.ask(wallet.chain.estimate_gas(intent.call, wallet.address))
        except Reverted as error:
            if not self._is_wanted(intent):
                return None  # another loop was quicker, and what is refused now is what we have done
            revert = wallet.explain(intent, error.data)
            wallet.desk.remove(intent.id)
            wallet.settle(intent, IntentState.LOST_RACE if revert.benign else IntentState.REJECTED, revert.name)
            return None
        except WrongChain:
            raise
        except (TransientError, DataError) as error:
            wallet.log.warning("tx.unestimated", wallet=wallet.name, intent_id=intent.id, error=str(error))
            wallet.desk.deferred.add(intent.id)
            return None
        gas_limit = estimate * (100 + wallet.rules.gas_margin_percent) // 100
        return replace(intent, call=replace(intent.call, gas_limit=gas_limit))


def _deployment(tx: TxRecord) -> DeploymentId | None:
    return None if tx.intent is None else tx.intent.deployment
