"""What the chain says about our nonces. Any attempt may have won; a receipt counts only in a canonical block."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from keeper.domain.chain import BlockRef, Receipt
from keeper.domain.ids import Hash
from keeper.domain.nonces import observed
from keeper.domain.time import SECOND, nanos
from keeper.domain.transaction import SETTLED, UNMINED, Attempt, Intent, IntentState, Lane, TxRecord, TxState
from keeper.domain.txsteps import (
    LOOKS,
    confirmed,
    displaced,
    effect,
    final,
    found_again,
    is_elsewhere,
    is_refused,
    mined,
    missed,
    missing,
    orphaned,
    taken_back,
)
from keeper.errors import ChainInconsistent, DataError, Reverted, TransientError
from keeper.ports.protocol import Revert
from keeper.services.outbox.wallet import Wallet, unwatched

_AT_ONCE = 4
"""Forms of one nonce that are asked for together."""
_JUDGED = frozenset(
    {IntentState.MINED, IntentState.CONFIRMED, IntentState.REVERTED, IntentState.NO_EFFECT, IntentState.LOST_RACE}
)
"""What a receipt of the intent's own makes of it."""
_UNEXPLAINED = Revert("unexplained", "the call succeeds when it is replayed", benign=False)
_OUT_OF_GAS = Revert("out_of_gas", "the gas limit was used up", benign=False)


@dataclass(frozen=True, slots=True)
class Receipts:
    """Each step first asks, then changes the record as it is after the answer. Raises what the chain's reads raise.

    `beat` is called before each nonce is asked about: nodes that are slow, and answer, are no standstill.
    """

    wallet: Wallet
    beat: Callable[[], None] = unwatched

    async def count(self) -> int:
        """The chain's nonce count. More than we ever signed for is believed when most endpoints tell it in several looks.

        By one wrong count alone the next transaction would get a nonce that is never reached.
        """
        wallet, desk = self.wallet, self.wallet.desk
        told = await wallet.ask(wallet.chain.nonce(wallet.address, "latest"))
        if desk.nonces is None or told <= desk.nonces.next:
            desk.beyond = 0
            return told
        most = await self._count_of_most()
        desk.beyond = desk.beyond + 1 if most > desk.nonces.next else 0
        if desk.beyond >= LOOKS:
            return most
        wallet.log.warning("wallet.count_doubted", wallet=wallet.name, nonce=told, next=desk.nonces.next)
        return min(most, desk.nonces.next)

    async def _count_of_most(self) -> int:
        wallet = self.wallet
        assert wallet.desk.nonces is not None
        with suppress(TransientError):
            return await wallet.ask(wallet.chain.count_of_most(wallet.address))
        return wallet.desk.nonces.mined

    def observe(self, mined_count: int) -> None:
        """The chain's nonce count; more than we ever signed for means that the key is used elsewhere."""
        wallet, desk = self.wallet, self.wallet.desk
        assert desk.nonces is not None
        desk.nonces, foreign = observed(desk.nonces, mined_count)
        if foreign:
            self._alarm(f"{foreign} nonces below {mined_count} were used by somebody else", mined_count - 1)
        wallet.meter.gauge("keeper_tx_nonce", mined_count, signer=wallet.name, kind="mined")
        wallet.meter.gauge("keeper_tx_nonce", desk.nonces.next, signer=wallet.name, kind="next")

    async def recheck(self) -> None:
        """After a reorganisation, or a restart: whether what was mined still is. Once more where that stays open."""
        desk = self.wallet.desk
        desk.recheck = True
        known = True
        for tx in desk.included():
            self.beat()
            known = await self._recheck(tx) and known
        desk.recheck = not known

    async def find(self, mined_count: int) -> None:
        """Receipts of all nonces that the chain has consumed."""
        desk = self.wallet.desk
        for tx in [*desk.unmined(), *desk.vacant()]:
            self.beat()
            if tx.nonce >= mined_count:
                desk.missed.pop(tx.nonce, None)
                if tx.missing_since is not None:
                    self.wallet.store(found_again(desk.open[tx.nonce]))
                continue
            try:
                receipt = await self._canonical_receipt(tx)
            except ChainInconsistent as error:
                self._dispute(tx, error)
                continue
            if receipt is not None:
                await self._include(tx.nonce, receipt)
            elif desk.open[tx.nonce].state in UNMINED or tx.state is TxState.VACANT:
                self._miss(desk.open[tx.nonce])

    async def confirm(self) -> None:
        """Promotes what is deep enough, after one more look at its block."""
        rules, desk = self.wallet.rules, self.wallet.desk
        for tx in desk.included():
            if tx.receipt is None:
                continue
            depth = desk.block - tx.receipt.block_number + 1
            wanted = rules.confirmations if tx.state is TxState.MINED else rules.finality_blocks
            if depth < wanted:
                continue
            self.beat()
            block = await self._block(tx.receipt.block_number)
            if block is None or block.hash != tx.receipt.block_hash:
                desk.recheck = True
            elif desk.open.get(tx.nonce) == tx:
                self._promote(tx)

    async def _recheck(self, tx: TxRecord) -> bool:
        """False while nobody can tell."""
        desk, old = self.wallet.desk, tx.receipt
        try:
            receipt = await self._canonical_receipt(tx)
        except ChainInconsistent as error:
            self._dispute(tx, error)
            return False
        if receipt is not None:
            if old is None or receipt.block_hash != old.block_hash or self._is_unjudged(tx):
                await self._include(tx.nonce, receipt)
            else:
                self._note_effect(replace(tx, receipt=receipt))
                desk.forget(tx.nonce)
            return True
        block = None if old is None else await self._block(old.block_number)
        if desk.open.get(tx.nonce) != tx:
            return True
        shorter = block is None and old is not None and desk.block < old.block_number
        if shorter or (block is not None and old is not None and block.hash != old.block_hash):
            self._take_back(tx)
            return True
        return False  # the node knows the block and not the receipt, or not yet the block: no evidence

    def _is_unjudged(self, tx: TxRecord) -> bool:
        """A crash came between the receipt and its judgement, or between another judgement and its receipt."""
        intent = None if tx.winner is None else tx.winner.intent
        record = None if intent is None else self.wallet.history(intent.id)
        return intent is not None and (record is None or record.state not in _JUDGED)

    async def _canonical_receipt(self, tx: TxRecord) -> Receipt | None:
        """The newest forms first, a few at a time: a plan of so many requests a second must do for forty of them too.

        Raises, when none is found, what kept it from asking for one: what could not be asked is not missing.
        """
        untold: list[BaseException] = []
        newest = tx.attempts[::-1]
        for start in range(0, len(newest), _AT_ONCE):
            asked = [self._ask_receipt(each.hash) for each in newest[start : start + _AT_ONCE]]
            told = await asyncio.gather(*asked, return_exceptions=True)
            untold += [each for each in told if isinstance(each, BaseException)]
            for each in told:
                if isinstance(each, Receipt):
                    try:
                        if await self._is_proven(tx, each):
                            return each
                    except ChainInconsistent as error:
                        untold.append(error)
        if untold:
            raise next((each for each in untold if not isinstance(each, ChainInconsistent)), untold[0])
        return None

    async def _ask_receipt(self, tx_hash: Hash) -> Receipt | None:
        return await self.wallet.ask(self.wallet.chain.receipt(tx_hash))

    async def _is_proven(self, tx: TxRecord, found: Receipt) -> bool:
        """Whether its block is there, as the last that is asked. A failure has the intent done again: not on one endpoint's word."""
        wallet = self.wallet
        fails = effect(replace(tx, receipt=found)) is not IntentState.MINED
        if fails and not await wallet.ask(wallet.chain.is_seconded(found)):
            raise ChainInconsistent(f"one endpoint alone tells that {found.tx_hash} failed")
        block = await self._block(found.block_number)
        return block is not None and block.hash == found.block_hash

    def _dispute(self, tx: TxRecord, error: ChainInconsistent) -> None:
        """Consumed, so that it is in nobody's way, and neither found nor given up until the endpoints agree.

        Told once, and once more when that lasts: one of them is then wrong for good.
        """
        wallet, desk = self.wallet, self.wallet.desk
        desk.missed.pop(tx.nonce, None)
        if desk.open[tx.nonce].state in UNMINED:
            wallet.store(missing(desk.open[tx.nonce], desk.block))
        now_ns = nanos(asyncio.get_running_loop().time())
        if tx.nonce not in desk.disputed:
            desk.disputed[tx.nonce] = now_ns
            wallet.log.warning("tx.disputed", wallet=wallet.name, nonce=tx.nonce, error=str(error))
        lasts = now_ns - desk.disputed[tx.nonce] >= nanos(wallet.rules.orphan_after_s)
        if lasts and tx.nonce not in desk.undecided:
            desk.undecided.add(tx.nonce)
            wallet.log.error(
                "tx.undecided",
                wallet=wallet.name,
                nonce=tx.nonce,
                error=str(error),
                advice="the endpoints contradict one another about what was mined: find out which is wrong and remove it",
            )

    async def _block(self, number: int) -> BlockRef | None:
        return await self.wallet.ask(self.wallet.chain.block(number))

    async def _include(self, nonce: int, receipt: Receipt) -> None:
        desk = self.wallet.desk
        winner = next(each for each in desk.open[nonce].attempts if each.hash == receipt.tx_hash)
        revert = await self._explain(winner, receipt) if receipt.status != 1 else None
        tx = desk.open[nonce]
        if tx.state in SETTLED:
            return
        again = tx.winner is not None and _intent_id(tx.winner) == _intent_id(winner)
        tx = mined(tx, receipt)
        self._note_effect(tx)
        self._account(winner, receipt)
        # The intent before the nonce: after a crash in between, the nonce still holds the intent and tells all again.
        self._settle(tx, winner, receipt, revert)
        # Those that lost it to the same intent before were told then, and may have been done with another nonce since.
        for other in () if again else displaced(tx):
            if not desk.has_won(other.id, beside=nonce):
                self._settle_displaced(tx, other, receipt, cancelled=winner.intent is None)
        self.wallet.store(tx)
        desk.forget(nonce)

    def _note_effect(self, tx: TxRecord) -> None:
        vain = self.wallet.desk.vain
        if effect(tx) is IntentState.NO_EFFECT:
            vain.add(tx.nonce)
        else:
            vain.discard(tx.nonce)

    def _settle(self, tx: TxRecord, winner: Attempt, receipt: Receipt, revert: Revert | None) -> None:
        wallet, intent = self.wallet, winner.intent
        state = effect(tx)
        if state is IntentState.REVERTED and revert is not None and revert.benign:
            state = IntentState.LOST_RACE
        ours = None if intent is None else wallet.desk.done_by(intent.id, beside=tx.nonce)
        if ours is not None and state is not IntentState.MINED:
            # In vain because of ourselves: see `Dispatch._may_come_back`.
            state, receipt, revert = IntentState.MINED, ours, None
        keys = {"wallet": wallet.name, "nonce": tx.nonce, "tx_hash": receipt.tx_hash, "block": receipt.block_number}
        if intent is None:
            wallet.log.warning("tx.cancelled", **keys)
        elif state in (IntentState.MINED, IntentState.LOST_RACE):
            wallet.log.info("tx.mined", **keys, intent_id=intent.id, lane=intent.lane.name, outcome=str(state))
        else:
            wallet.log.error(
                "tx.reverted",
                **keys,
                intent_id=intent.id,
                lane=intent.lane.name,
                reason=str(state) if revert is None else f"{revert.name}: {revert.detail}",
                advice="the contract refused what the keeper expected to work; see the reason and the market's status",
            )
        if intent is not None:
            wallet.settle(intent, state, "" if revert is None else revert.name, receipt, stored_next=True)

    def _settle_displaced(self, tx: TxRecord, other: Intent, receipt: Receipt, *, cancelled: bool) -> None:
        wallet, record = self.wallet, self.wallet.history(other.id)
        refused = is_refused(tx, other.id) and record is not None and record.state is IntentState.EXPIRED
        if refused or (record is not None and record.state is IntentState.REJECTED):
            return  # every node refused it for good, so that the nonce was free for the other: nothing of it can come back
        late = cancelled and wallet.is_late(other)
        ended = IntentState.EXPIRED if late else IntentState.SUPERSEDED
        if wallet.desk.is_abandoned(other):
            ended = IntentState.ABANDONED
            if record is not None and record.state is ended:
                return  # told when the operator took it back
        reason = f"nonce {tx.nonce} went to another attempt"
        wallet.settle(other, ended, reason, tx=receipt.tx_hash, stored_next=True)

    async def _explain(self, winner: Attempt, receipt: Receipt) -> Revert:
        """Replays the call on the state after its block, then before it: a lost race shows only after."""
        wallet = self.wallet
        if winner.intent is None:
            return _UNEXPLAINED
        if receipt.gas_used >= winner.gas_limit:
            return _OUT_OF_GAS
        for number in (receipt.block_number, receipt.block_number - 1):
            try:
                block = await self._block(number)
                if block is not None:
                    await wallet.ask(wallet.chain.simulate(winner.intent.call, wallet.address, block))
            except Reverted as error:
                return wallet.explain(winner.intent, error.data)
            except (TransientError, DataError):
                continue
        return _UNEXPLAINED

    def _promote(self, tx: TxRecord) -> None:
        """The intent before the nonce, as in `_include`."""
        wallet = self.wallet
        receipt, winner = tx.receipt, tx.winner
        intent = None if winner is None else winner.intent
        record = None if intent is None else wallet.history(intent.id)
        told = record is not None and record.state is IntentState.MINED
        if (
            intent is not None and receipt is not None and told and wallet.desk.has_effect(tx)
        ):  # not where another nonce did it
            wallet.log.info(
                "tx.confirmed", wallet=wallet.name, nonce=tx.nonce, tx_hash=receipt.tx_hash, intent_id=intent.id
            )
            wallet.settle(intent, IntentState.CONFIRMED, "", receipt, stored_next=True)
        if tx.state is TxState.CONFIRMED or wallet.rules.finality_blocks <= wallet.rules.confirmations:
            wallet.store(final(tx))
            wallet.desk.close(tx.nonce)
        else:
            wallet.store(confirmed(tx))

    def _take_back(self, tx: TxRecord) -> None:
        wallet = self.wallet
        receipt, winner = tx.receipt, tx.winner
        intent = None if winner is None else winner.intent
        if intent is not None and wallet.desk.done_by(intent.id, beside=tx.nonce) is None:
            ended = IntentState.ABANDONED if wallet.desk.is_abandoned(intent) else IntentState.ACTIVE
            wallet.settle(intent, ended, "reorged", stored_next=True)  # before the nonce, as in `_include`
        wallet.store(taken_back(tx))
        wallet.desk.resend.add(tx.nonce)
        wallet.meter.count("keeper_tx_reorged_total", signer=wallet.name)
        wallet.log.warning(
            "tx.reorged", wallet=wallet.name, nonce=tx.nonce, tx_hash=None if receipt is None else receipt.tx_hash
        )

    def _miss(self, tx: TxRecord) -> None:
        """The nonce is consumed, and no attempt of ours has a receipt: later that means somebody else's.

        Not at once, whatever a node said when it was sent: a node that lags has no receipt, and calls a nonce too low
        whose bytes another one has mined. An intent with two nonces could take effect twice.
        """
        desk, rules = self.wallet.desk, self.wallet.rules
        tx = missing(tx, desk.block)
        self.wallet.store(tx)
        now_ns = nanos(asyncio.get_running_loop().time())
        desk.missed[tx.nonce] = seen = missed(desk.missed.get(tx.nonce), now_ns)
        blocks, wait_ns = rules.orphan_after_blocks, nanos(rules.orphan_after_s)
        if is_elsewhere(tx, seen, desk.block, now_ns, blocks=blocks, wait_ns=wait_ns):
            self._orphan(tx)

    def _orphan(self, tx: TxRecord) -> None:
        wallet, intent = self.wallet, tx.intent
        late = wallet.is_late(intent)
        record = None if intent is None else wallet.history(intent.id)
        done = record is not None and record.state in (IntentState.MINED, IntentState.CONFIRMED)  # by another nonce
        wanted = tx.state is not TxState.VACANT and not wallet.desk.is_abandoned(intent) and not done
        if intent is not None and wanted:
            ended = IntentState.EXPIRED if late else IntentState.QUEUED
            wallet.settle(intent, ended, "nonce used elsewhere", stored_next=True)
        # The alarm before the journal: after a crash in between, it is raised twice rather than never.
        self._alarm("a transaction that is not ours consumed the nonce", tx.nonce)
        wallet.store(orphaned(tx))
        wallet.desk.close(tx.nonce)
        # A lane that has got another wallet since: whoever wants the intent asks that one, and two must not start it.
        if intent is not None and wanted and not late and intent.lane in wallet.lanes - {Lane.PRICE}:
            wallet.desk.push(intent)

    def _account(self, winner: Attempt, receipt: Receipt) -> None:
        wallet = self.wallet
        lane = "safety" if winner.intent is None else winner.intent.lane.name.lower()
        wallet.meter.count(
            "keeper_tx_fee_wei_total", float(receipt.gas_used * receipt.effective_gas_price_wei), purpose=lane
        )
        wallet.meter.observe("keeper_tx_mined_seconds", (wallet.clock.now() - winner.signed_at) / SECOND, purpose=lane)

    def _alarm(self, reason: str, nonce: int) -> None:
        wallet = self.wallet
        wallet.meter.count("keeper_tx_nonce_used_elsewhere_total", signer=wallet.name)
        wallet.log.critical(
            "wallet.used_elsewhere",
            wallet=wallet.name,
            nonce=nonce,
            reason=reason,
            advice="another program signs with this wallet's key: stop it, or give the keeper a key of its own",
        )


def _intent_id(attempt: Attempt) -> str:
    return "" if attempt.intent is None else attempt.intent.id
