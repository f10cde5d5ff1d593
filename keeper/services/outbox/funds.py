"""Whether the wallet can pay for what is to be signed next. The node has the last word; this is what it would say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from keeper.domain.fees import TRANSFER_GAS, Fees, opening
from keeper.domain.funds import Balance, Shortfall, Spending, held, most, reserved, shortfall
from keeper.domain.transaction import Intent, Purpose, TxRecord
from keeper.errors import DataError, TransientError, WrongChain
from keeper.services.outbox.wallet import Wallet

_LASTS_BLOCKS = 10
"""So long an old reading counts when there is no newer one; then the balance is unknown, and holds back nothing."""
_FUND = "send funds to the wallet; what is under way frees its share when it is mined; sending goes on by itself"


@dataclass(frozen=True, slots=True)
class Funds:
    wallet: Wallet

    async def look(self) -> None:
        """Reads the balance at the head. What cannot be read is not evidence: raises WrongChain alone."""
        wallet, desk = self.wallet, self.wallet.desk
        if desk.head is None:
            return
        head = desk.head.ref
        try:
            wei = await wallet.ask(wallet.chain.balance(wallet.address, head))
        except WrongChain:
            raise
        except (TransientError, DataError) as error:
            wallet.log.debug("wallet.unread", wallet=wallet.name, error=str(error))
            if desk.balance is not None and abs(head.number - desk.balance.block) > _LASTS_BLOCKS:
                desk.balance = None
            return
        now = wallet.clock.now()
        desk.balance = Balance(wei, head.number)
        desk.spending = (desk.spending or Spending(now, wei)).read(wei, now)

    def reserved(self) -> int:
        """What everything under way may cost, in wei."""
        desk = self.wallet.desk
        return reserved(desk.open.values(), desk.balance)

    def lack(self, intent: Intent) -> Shortfall | None:
        """Why an intent with a gas limit may not get a nonce now."""
        desk = self.wallet.desk
        assert desk.market is not None
        fees = opening(desk.market, self.wallet.rules.fees)
        cost_wei = most(intent.call.gas_limit or 0, fees.max_fee_wei, intent.call.value_wei)
        return shortfall(desk.balance, self.reserved(), cost_wei)

    def lack_raised(self, tx: TxRecord, purpose: Purpose, intent: Intent | None, fees: Fees) -> Shortfall | None:
        """Why a replacement may not be signed now."""
        gas_limit, value_wei = gas_of(tx, purpose, intent), 0
        if purpose is not Purpose.CANCEL and intent is not None:
            value_wei = intent.call.value_wei
        balance = self.wallet.desk.balance
        others = reserved((each for each in self.wallet.desk.open.values() if each.nonce != tx.nonce), balance)
        return shortfall(balance, others, most(gas_limit, fees.max_fee_wei, value_wei), held(tx))

    def hold_back(self, intent: Intent, lack: Shortfall) -> None:
        """Until the next head at least. Told once, until nothing waits for funds any more. The intent has a gas limit."""
        wallet, desk = self.wallet, self.wallet.desk
        desk.short[intent.id] = intent, lack
        if desk.scarce:
            return
        desk.scarce = True
        wallet.log.error(
            "wallet.short",
            wallet=wallet.name,
            intent_id=intent.id,
            lane=intent.lane.name,
            cost_wei=lack.cost_wei,
            reserved_wei=lack.reserved_wei,
            balance_wei=lack.balance_wei,
            advice=_FUND,
        )
        wallet.show_paused()

    def reconsider(self, is_waiting: Callable[[Intent], bool]) -> None:
        """With a new head: what did not fit may fit now, or is not wanted any more."""
        short = self.wallet.desk.short
        for intent, _ in list(short.values()):
            lack = self.lack(intent) if is_waiting(intent) else None
            if lack is None:
                del short[intent.id]
            else:
                short[intent.id] = intent, lack

    def judge(self) -> None:
        """After everything that may start has started."""
        wallet, desk = self.wallet, self.wallet.desk
        if desk.scarce and not desk.short:
            desk.scarce = False
            wallet.log.info("wallet.funded", wallet=wallet.name)
            wallet.show_paused()

    def tell_unraised(self, tx: TxRecord, lack: Shortfall) -> None:
        wallet = self.wallet
        wallet.meter.count("keeper_tx_funds_limit_total", purpose=tx.lane.name.lower())
        if tx.nonce not in wallet.desk.unfunded:
            wallet.desk.unfunded.add(tx.nonce)
            wallet.log.error(
                "tx.funds_limited",
                wallet=wallet.name,
                nonce=tx.nonce,
                cost_wei=lack.cost_wei,
                reserved_wei=lack.reserved_wei,
                balance_wei=lack.balance_wei,
                advice=_FUND,
            )


def gas_of(tx: TxRecord, purpose: Purpose, intent: Intent | None) -> int:
    """Gas limit of the next form for a nonce. It never falls for the same payload."""
    if purpose is Purpose.CANCEL or intent is None:
        return TRANSFER_GAS
    return intent.call.gas_limit or max((each.gas_limit for each in tx.attempts), default=0)
