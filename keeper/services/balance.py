"""What the sending wallet has left."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from keeper.domain.ids import Address
from keeper.errors import DataError, TransientError
from keeper.ports.chain import ChainReader
from keeper.ports.log import EventLog
from keeper.ports.meter import Meter
from keeper.runtime.pulse import Pulse

_EVERY_S = 15.0


@dataclass(frozen=True, slots=True)
class BalanceService:
    """`low_wei`: below it a human is told, once each time."""

    wallet: Address
    reader: ChainReader
    low_wei: int
    pulse: Pulse
    meter: Meter
    log: EventLog

    @property
    def name(self) -> str:
        return f"balance:{self.wallet}"

    async def run(self) -> None:
        self.pulse.expect(self.name, 8 * _EVERY_S)
        low = False
        while True:
            try:
                balance = await self.reader.balance(self.wallet, "latest")
            except (TransientError, DataError) as error:
                self.log.debug("wallet.unread", wallet=self.wallet, error=repr(error))
            else:
                self.meter.gauge("keeper_signer_balance_wei", balance, signer=self.wallet)
                if balance < self.low_wei and not low:
                    self.log.error("wallet.low", wallet=self.wallet, balance_wei=balance, advice="fund this address")
                low = balance < self.low_wei
            self.pulse.beat(self.name)
            await asyncio.sleep(_EVERY_S)
