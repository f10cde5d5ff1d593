"""Nonce → fees → signature → journal → broadcast. The journal has the bytes before any node does."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from keeper.domain.chain import Call
from keeper.domain.fees import TRANSFER_GAS, FeeLimit, Fees, bump, opening
from keeper.domain.funds import Shortfall, Unraised
from keeper.domain.ids import Hash
from keeper.domain.nonces import given_back, taken
from keeper.domain.transaction import UNMINED, Attempt, Intent, IntentState, Purpose, TxRecord, TxState
from keeper.domain.txerrors import SendAnswer, classify, is_taken
from keeper.domain.txsteps import sent, signed
from keeper.errors import RpcError, SignerRefused, SignerUnavailable, TransientError
from keeper.ports.signer import UnsignedTransaction
from keeper.services.outbox.desk import level
from keeper.services.outbox.funds import Funds, gas_of
from keeper.services.outbox.steps import is_unpaid
from keeper.services.outbox.wallet import Wallet


@dataclass(frozen=True, slots=True)
class Sender:
    """`start`, `replace` and `fill` are called under `desk.preparing`: one preparer per wallet."""

    wallet: Wallet
    funds: Funds

    async def start(self, intent: Intent) -> bool:
        """A new nonce for an intent. False when nothing was signed: it may be tried again."""
        desk, wallet = self.wallet.desk, self.wallet
        assert desk.nonces is not None
        assert desk.market is not None
        nonce = desk.nonces.first_free
        tx = desk.open.get(nonce) or TxRecord(wallet.chain_id, wallet.address, nonce)
        attempt = await self._prepare(tx, Purpose.CALL, intent, opening(desk.market, wallet.rules.fees))
        if attempt is None:
            return False
        desk.nonces = taken(desk.nonces, nonce)
        await self.send(nonce, attempt)
        return True

    async def fill(self, nonce: int) -> None:
        """Closes a gap, for which everything above it waits."""
        desk = self.wallet.desk
        assert desk.nonces is not None
        assert desk.market is not None
        fees = opening(desk.market, self.wallet.rules.fees)
        attempt = await self._prepare(desk.open[nonce], Purpose.CANCEL, None, fees)
        if attempt is not None:
            desk.nonces = taken(desk.nonces, nonce)
            await self.send(nonce, attempt)

    async def replace(self, nonce: int, purpose: Purpose, intent: Intent | None) -> Attempt | Unraised | None:
        """Another attempt at the same nonce; the same bytes again when limit or funds forbid it. None: nothing was signed."""
        newest: Attempt | None = None
        for _ in range(2):  # a pool may hold a dearer one than we know of: once more at once, then with the next head
            found = await self.offer(nonce, purpose, intent)
            if isinstance(found, Unraised):
                await self.send(nonce, self.wallet.desk.open[nonce].best)
            if not isinstance(found, Attempt):
                return newest or found
            newest = found
            if await self.send(nonce, newest) is not SendAnswer.REPLACEMENT_UNDERPRICED:
                break
        return newest

    async def offer(self, nonce: int, purpose: Purpose, intent: Intent | None) -> Attempt | Unraised | None:
        """Signs and journals a replacement for at least the pool's threshold. Sends nothing."""
        wallet, desk = self.wallet, self.wallet.desk
        tx = desk.open.get(nonce)
        fees = self.raised(nonce, purpose, intent)
        if tx is None or fees is None:
            return None
        if isinstance(fees, FeeLimit):
            self._tell_limit(tx, fees)
            return fees
        if isinstance(fees, Shortfall):
            self.funds.tell_unraised(tx, fees)
            return fees
        attempt = await self._prepare(tx, purpose, intent, fees)
        if attempt is not None:
            wallet.meter.count("keeper_tx_bumps_total", purpose=tx.lane.name.lower())
            wallet.log.info("tx.bumped", wallet=wallet.name, nonce=nonce, purpose=str(purpose), tx_hash=attempt.hash)
        return attempt

    def raised(self, nonce: int, purpose: Purpose, intent: Intent | None) -> Fees | Unraised | None:
        """What a replacement at this nonce would offer now. None: it is not pending, or the market is not known yet."""
        desk = self.wallet.desk
        tx = desk.open.get(nonce)
        if tx is None or tx.state not in UNMINED or desk.market is None:
            return None
        fees = bump(level(tx), desk.market, self.wallet.rules.fees)
        return fees if isinstance(fees, FeeLimit) else self.funds.lack_raised(tx, purpose, intent, fees) or fees

    async def send(self, nonce: int, attempt: Attempt) -> SendAnswer | None:
        """Hands signed bytes to the node, once. None when sending is forbidden now, or these are on their way."""
        wallet, under_way = self.wallet, self.wallet.desk.sending
        if wallet.forbids(attempt.intent) or attempt.hash in under_way:
            return None
        under_way.add(attempt.hash)
        try:
            answer, words = await self._broadcast(attempt)
        finally:
            under_way.discard(attempt.hash)
        wallet.meter.count("keeper_tx_attempts_total", purpose=_lane(attempt), answer=answer)
        tx = wallet.desk.open.get(nonce)
        if tx is not None and tx.state in UNMINED:
            tx = sent(tx, attempt.hash, answer, wallet.clock.now())
            wallet.store(tx)
            if is_taken(answer) and attempt.intent is not None:
                wallet.announce(attempt.intent, attempt.hash)
            self._tell(tx, attempt, answer, words)
            self._act(tx, answer, words)
        return answer

    async def _prepare(self, tx: TxRecord, purpose: Purpose, intent: Intent | None, fees: Fees) -> Attempt | None:
        """Signed and durable, or None when it is neither."""
        wallet, desk = self.wallet, self.wallet.desk
        call, gas_limit = self._payload(tx, purpose, intent)
        offer = (gas_limit, fees.max_fee_wei, fees.tip_wei)
        unsigned = UnsignedTransaction(wallet.chain_id, tx.nonce, call, *offer, legacy=wallet.rules.legacy_fees)
        try:
            async with asyncio.timeout(wallet.rules.send_timeout_s):
                done = await wallet.signer.sign_transaction(unsigned)
        except SignerRefused as error:
            self._stop(str(error), intent)
            return None
        except (SignerUnavailable, TimeoutError) as error:
            wallet.log.warning("signer.unavailable", wallet=wallet.name, error=str(error) or "timed out")
            return None
        attempt = Attempt(
            hash=Hash(done.hash.lower()),
            raw=done.raw,
            purpose=purpose,
            intent=intent,
            fees=fees,
            gas_limit=gas_limit,
            signed_at=wallet.clock.now(),
            signed_block=desk.block,
        )
        tx = desk.open.get(tx.nonce, tx)
        if purpose is not Purpose.CANCEL and self.funds.lack_raised(tx, purpose, intent, fees) is not None:
            return None  # the balance fell while the signer took its time; nobody has these bytes
        return self._journal(tx, attempt)

    def _journal(self, tx: TxRecord, attempt: Attempt) -> Attempt | None:
        """`tx` as it is after the signer's answer: it may have been mined meanwhile."""
        wallet = self.wallet
        others = tuple(each for each in tx.attempts if each.hash != attempt.hash)
        if tx.state is TxState.VACANT:
            tx = replace(tx, attempts=others)  # refused bytes may be tried again, and then count as new
        elif tx.state not in UNMINED:
            return None
        elif len(others) < len(tx.attempts):
            return attempt
        tx = signed(tx, attempt)
        try:  # with what was told meanwhile, in one commit: a cancellation never without that its intent was taken back
            wallet.ledger.save(tx, tuple(wallet.desk.unwritten.values()))
        except TransientError as error:
            wallet.unwritable(error)
            return None
        wallet.desk.open[tx.nonce] = tx
        wallet.desk.unstored.pop(tx.nonce, None)
        wallet.desk.unwritten.clear()
        wallet.log.info(
            "tx.signed",
            wallet=wallet.name,
            nonce=tx.nonce,
            purpose=str(attempt.purpose),
            attempt=len(tx.attempts),
            tx_hash=attempt.hash,
            intent_id=None if attempt.intent is None else attempt.intent.id,
            max_fee_wei=attempt.fees.max_fee_wei,
            tip_wei=attempt.fees.tip_wei,
        )
        return attempt

    def _payload(self, tx: TxRecord, purpose: Purpose, intent: Intent | None) -> tuple[Call, int]:
        empty = purpose is Purpose.CANCEL or intent is None
        call = Call(self.wallet.address, b"", 0, TRANSFER_GAS) if empty or intent is None else intent.call
        return call, gas_of(tx, purpose, intent)

    async def _broadcast(self, attempt: Attempt) -> tuple[SendAnswer, str]:
        self.wallet.desk.unheard = False
        try:
            async with asyncio.timeout(self.wallet.rules.send_timeout_s):
                answered = await self.wallet.chain.broadcast(attempt.raw)
        except RpcError as error:
            return classify(str(error)), str(error)
        except (TransientError, TimeoutError) as error:
            self.wallet.desk.unheard = True
            return SendAnswer.UNKNOWN, str(error) or "timed out"
        if answered != attempt.hash:
            return SendAnswer.UNKNOWN, f"the node names another hash: {answered}"
        return SendAnswer.ACCEPTED, ""

    def _tell(self, tx: TxRecord, attempt: Attempt, answer: SendAnswer, words: str) -> None:
        wallet = self.wallet
        keys = {"wallet": wallet.name, "nonce": tx.nonce, "tx_hash": attempt.hash, "answer": str(answer)}
        if is_taken(answer):
            wallet.log.info("tx.broadcast", **keys, duration_ms=(wallet.clock.now() - attempt.signed_at) // 10**6)
        else:
            wallet.log.warning("tx.refused", **keys, error=words)

    def _act(self, tx: TxRecord, answer: SendAnswer, words: str) -> None:
        desk = self.wallet.desk
        if tx.state is TxState.VACANT:
            self._give_up(tx, words)
        if answer is SendAnswer.NONCE_TOO_LOW:
            desk.nudges.put("nonce", tx.nonce)
        self.judge_pause()

    def _give_up(self, tx: TxRecord, words: str) -> None:
        """No node will ever take what was signed for this nonce: the nonce is free, the intent is rejected, or too late if
        that is why the newest form is an empty transfer.
        """
        desk, wallet, intent = self.wallet.desk, self.wallet, tx.intent
        assert desk.nonces is not None
        desk.nonces = given_back(desk.nonces, tx.nonce)
        record = None if intent is None else wallet.history(intent.id)
        if intent is None or (record is not None and record.state in _KEPT):
            return
        late = tx.last.intent is None and wallet.is_late(intent)
        wallet.settle(intent, IntentState.EXPIRED if late else IntentState.REJECTED, words)

    def judge_pause(self) -> None:
        """Why nothing new may start, if anything; the wallet resumes by itself when the reason is gone."""
        wallet, desk = self.wallet, self.wallet.desk
        self._judge_halt()
        unpaid = next((tx for tx in desk.unmined() if is_unpaid(tx)), None)
        reason = _BEHIND if desk.is_behind() else "" if unpaid is None else str(unpaid.last.answer)
        if reason and reason != desk.paused:
            wallet.log.error("wallet.paused", wallet=wallet.name, reason=reason, advice=_ADVICE.get(reason, _FUND))
        elif desk.paused and not reason:
            wallet.log.info("wallet.resumed", wallet=wallet.name, reason=desk.paused)
        desk.paused = reason
        wallet.show_paused()

    def _judge_halt(self) -> None:
        """Tells when the kill switch is seen on, and when off. A dry run has told so at its start."""
        wallet, desk = self.wallet, self.wallet.desk
        reason = wallet.halted()
        if reason and not desk.halted:
            wallet.log.warning("wallet.halted", wallet=wallet.name, reason=reason, pending=len(desk.unmined()))
        elif desk.halted and not reason:
            wallet.log.info("wallet.unhalted", wallet=wallet.name)
        desk.halted = reason

    def _stop(self, reason: str, intent: Intent | None) -> None:
        wallet = self.wallet
        wallet.desk.stopped = "signer_refused"
        wallet.log.critical(
            "signer.refused",
            wallet=wallet.name,
            error=reason,
            intent_id=None if intent is None else intent.id,
            advice="the signing policy does not allow what the keeper wanted; the wallet is stopped until a restart",
        )
        if intent is not None:
            wallet.settle(intent, IntentState.REJECTED, "signer_refused")

    def _tell_limit(self, tx: TxRecord, limit: FeeLimit) -> None:
        wallet = self.wallet
        wallet.meter.count("keeper_tx_fee_limit_total", purpose=tx.lane.name.lower())
        if tx.nonce not in wallet.desk.limited:
            wallet.desk.limited.add(tx.nonce)
            wallet.log.error(
                "tx.fee_limited",
                wallet=wallet.name,
                nonce=tx.nonce,
                wanted_wei=limit.wanted_wei,
                limit_wei=limit.limit_wei,
                advice="the fee ceiling keeps this transaction from being replaced; raise it or wait for a cheaper market",
            )


_KEPT = frozenset({IntentState.MINED, IntentState.CONFIRMED, IntentState.ABANDONED})
"""Of an intent that another nonce has done, or that the operator took back: what becomes of this nonce changes nothing."""
_BEHIND = "chain_behind_journal"
_FUND = "send funds to the wallet; sending goes on by itself"
_ADVICE = {
    _BEHIND: "the chain has consumed fewer nonces than the wallet used: the node lags, transactions of another program are"
    " pending, or the chain was set up anew; in the last case move the state directory away",
    SendAnswer.ALREADY_RESERVED: "the wallet has transactions of another kind (blobs, EIP-7702): give the keeper its own key",
}


def _lane(attempt: Attempt) -> str:
    return "safety" if attempt.intent is None else attempt.intent.lane.name.lower()
