"""The scenario, played: market moves, venue faults, withdrawals, a refill of the fund, and sales of what the fund took over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import aiohttp

from keeper.devnet.demo.process import KeeperProcess
from keeper.devnet.demo.world import World
from keeper.devnet.recorder import Recorder
from keeper.devnet.scenario import Move, Timeline
from keeper.devnet.storm import Trouble, VenueFault
from keeper.devnet.traders import PlannedWithdrawal, Trader
from keeper.errors import RpcError

REFILL_UNITS = 50_000 * 10**6
DESK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Play:
    """One run's events. `run` begins with the opening of trading and never ends by itself."""

    world: World
    recorder: Recorder
    timeline: Timeline
    moves: Sequence[Move]
    faults: Sequence[VenueFault]
    troubles: Sequence[Trouble]
    keeper: KeeperProcess

    async def run(self) -> None:
        await self._wait_priced()
        self.recorder.note("phases", phase="trading")
        self.world.floor.opened_ns = self.world.market.clock.now()
        self.world.floor.opened.set()
        async with asyncio.TaskGroup() as group:
            for move in self.moves:
                group.create_task(self._move(move))
            for fault in self.faults:
                group.create_task(self._fault(fault))
            for trouble in self.troubles:
                group.create_task(self._trouble(trouble))
            for trader in self.world.floor.traders:
                for withdrawal in trader.withdrawals:
                    group.create_task(self._withdraw(trader, withdrawal))
            group.create_task(self._refill())
            group.create_task(self._sell_inventory())

    async def _wait_priced(self) -> None:
        """Nobody can trade before the keeper has published every market."""
        while True:
            with suppress(aiohttp.ClientError, TimeoutError, RpcError):
                if await self.world.bank.priced(self.world.deployment.market_nos):
                    return
            await asyncio.sleep(0.2)

    async def _move(self, move: Move) -> None:
        await asyncio.sleep(move.at_s)
        self.recorder.note("phases", phase=f"{move.base} {move.change_bps:+} bps in {move.over_s} s")
        self.world.market.jump(move.base, move.change_bps / 10_000, move.over_s)

    async def _fault(self, fault: VenueFault) -> None:
        board = self.world.venues[fault.venue].faults
        await asyncio.sleep(fault.at_s)
        self.recorder.note("phases", phase=f"{fault.venue} {fault.fault} for {fault.for_s} s")
        board.switch(fault.fault, True)
        await asyncio.sleep(fault.for_s)
        board.switch(fault.fault, False)

    async def _trouble(self, trouble: Trouble) -> None:
        await asyncio.sleep(trouble.at_s)
        if self.world.weather is not None:
            await self.world.weather.carry_out(trouble, self.keeper)

    async def _withdraw(self, trader: Trader, withdrawal: PlannedWithdrawal) -> None:
        await asyncio.sleep(withdrawal.at_s)
        await self.world.bank.withdraw(trader, withdrawal.amount_units)

    async def _refill(self) -> None:
        """Somebody fills the insurance fund again after the fall: withdrawals reopen."""
        await asyncio.sleep(self.timeline.refill_s)
        if self.timeline.crash_s is not None:
            self.recorder.note("phases", phase="insurance fund refilled")
            await self.world.bank.fund_accounts([(self.world.deployment.exchange, REFILL_UNITS)])

    async def _sell_inventory(self) -> None:
        engine = self.world.deployment.exchange
        while True:
            view = None
            with suppress(aiohttp.ClientError, TimeoutError, RpcError):
                view = (await self.world.bank.accounts([engine]))[engine]
            self.world.desk.quote(view)
            await asyncio.sleep(DESK_EVERY_S)
