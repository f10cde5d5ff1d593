"""Follows the protocol's logs into a mirror of all accounts, through restarts, gaps and reorganisations.

The cursor moves over verified ranges only: a range that cannot be read or does not fit stays to be read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from keeper.domain.account import MirrorBroken
from keeper.domain.chain import BlockRef
from keeper.domain.events import (
    Deleveraged,
    FundingSettled,
    Liquidated,
    LiquidationSkipped,
    PriceSkipped,
    ProtocolEvent,
)
from keeper.domain.holdings import Holdings
from keeper.domain.ids import DeploymentId, Hash
from keeper.domain.mirror import Cursor, Mirror
from keeper.domain.numbers import text_of
from keeper.domain.time import SECOND
from keeper.errors import DataError, TransientError
from keeper.ports.chain import ChainReader, Pages
from keeper.ports.clock import Clock
from keeper.ports.deployment import Deployment
from keeper.ports.journal import StateStore
from keeper.ports.log import EventLog
from keeper.ports.meter import Meter
from keeper.runtime.board import Board
from keeper.runtime.pulse import Pulse

_SAVE_EVERY_NS = 30 * SECOND
_CATCH_UP_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class AccountIndexService:
    """One per deployment."""

    deployment: Deployment
    reader: ChainReader
    pages: Pages
    heads: Board[str, BlockRef]
    views: Board[DeploymentId, Holdings]
    settlements: Board[int, FundingSettled]
    store: StateStore
    clock: Clock
    pulse: Pulse
    meter: Meter
    log: EventLog

    @property
    def name(self) -> str:
        return f"accounts:{self.deployment.id}"

    @property
    def _snapshot(self) -> str:
        return f"mirror:{self.deployment.id}:{self.deployment.chain_id}:{self.deployment.protocol.exchange}"

    async def run(self) -> None:
        self.pulse.expect(self.name, 2 * _CATCH_UP_TIMEOUT_S)
        mirror, seen, saved_at = self._loaded(), 0, self.clock.now()
        try:
            while True:
                seen = await self.heads.changed(seen)
                head = self.heads.get("head")
                if head is not None:
                    mirror = await self._follow(mirror, head)
                    self._show(mirror, head)
                if self.clock.now() - saved_at >= _SAVE_EVERY_NS:
                    self._save(mirror)
                    saved_at = self.clock.now()
                self.pulse.beat(self.name)
        finally:
            self._save(mirror)

    async def _follow(self, mirror: Mirror, head: BlockRef) -> Mirror:
        try:
            async with asyncio.timeout(_CATCH_UP_TIMEOUT_S):
                mirror = await self._on_this_chain(mirror, head)
                await self._catch_up(mirror, head)
        except (TransientError, TimeoutError) as error:
            self.log.warning("accounts.unread", deployment=self.deployment.id, block=head.number, error=repr(error))
        except (MirrorBroken, DataError) as error:
            self.log.exception(
                "accounts.broken",
                deployment=self.deployment.id,
                block=head.number,
                error=repr(error),
                advice="the logs contradict the mirror: it is rebuilt from the deployment block; compare the endpoints",
            )
            self.meter.count("keeper_account_index_rebuilds_total", protocol=self.deployment.id)
            return self._fresh()
        return mirror

    def _fresh(self) -> Mirror:
        """An empty mirror: the block before the deployment, whose hash nobody needs to know."""
        start = Cursor(self.deployment.protocol.from_block - 1, Hash("0x" + "0" * 64))
        return Mirror(start, self.deployment.protocol.exchange)

    def _loaded(self) -> Mirror:
        text = self.store.load(self._snapshot)
        if text is None:
            return self._fresh()
        try:
            mirror = Mirror.load(text)
        except MirrorBroken as error:
            self.log.warning("accounts.snapshot_refused", deployment=self.deployment.id, error=repr(error))
            return self._fresh()
        self.log.info("accounts.loaded", deployment=self.deployment.id, block=mirror.cursor.number)
        return mirror

    def _save(self, mirror: Mirror) -> None:
        if mirror.cursor.number >= self.deployment.protocol.from_block:
            self.store.save(self._snapshot, mirror.dump())

    async def _on_this_chain(self, mirror: Mirror, head: BlockRef) -> Mirror:
        """The mirror, rewound to the newest of its blocks that the chain still contains."""
        known = (mirror.cursor, *mirror.rewindable)
        if mirror.cursor.number < self.deployment.protocol.from_block or (
            mirror.follows(head) and head.number == mirror.cursor.number + 1
        ):
            return mirror
        for cursor in known:
            if cursor.number < self.deployment.protocol.from_block:
                return self._fresh() if cursor is mirror.cursor else self._rewound(mirror, cursor)
            block = head if cursor.number == head.number else await self._block(cursor.number, head)
            if block is not None and block.hash == cursor.hash:
                return mirror if cursor is mirror.cursor else self._rewound(mirror, cursor)
        self.log.warning("accounts.rebuilt", deployment=self.deployment.id, block=head.number, reason="deep reorg")
        return self._fresh()

    async def _block(self, number: int, head: BlockRef) -> BlockRef | None:
        return None if number > head.number else await self.reader.block(number)

    def _rewound(self, mirror: Mirror, cursor: Cursor) -> Mirror:
        self.log.info("accounts.rewound", deployment=self.deployment.id, block=cursor.number, was=mirror.cursor.number)
        mirror.rewind(cursor.number)
        return mirror

    async def _catch_up(self, mirror: Mirror, head: BlockRef) -> None:
        first = mirror.cursor.number + 1
        if first > head.number:
            return
        async for page in self.pages(self.deployment.protocol.log_filter(), first, head.number):
            block = head if page.last == head.number else await self.reader.block(page.last)
            if block is None:
                return
            events = [event for log in page.logs for event in self.deployment.protocol.decode_log(log)]
            mirror.apply_block(block, events)
            self._announce(events)
            if page.last != head.number:
                self._show(mirror, head)
                self.pulse.beat(self.name)

    def _show(self, mirror: Mirror, head: BlockRef) -> None:
        behind = max(0, head.number - mirror.cursor.number)
        protocol = self.deployment.protocol
        view = Holdings(mirror.cursor, protocol.exchange, mirror.accounts, mirror.totals, behind)
        self.views.put(self.deployment.id, view)
        self.meter.gauge("keeper_accounts_indexed", mirror.totals.accounts, protocol=self.deployment.id)
        self.meter.gauge("keeper_account_index_lag_blocks", behind, protocol=self.deployment.id)

    def _announce(self, events: Sequence[ProtocolEvent]) -> None:
        """What the chain did, whoever caused it."""
        for event in events:
            if isinstance(event, FundingSettled):
                self.settlements.put(event.market_no, event)
            elif isinstance(event, Liquidated):
                self._liquidated(event)
            elif isinstance(event, LiquidationSkipped):
                self.log.info("liquidation.skipped", account=event.account, reason=event.reason)
            elif isinstance(event, Deleveraged):
                self.log.warning("account.deleveraged", account=event.bankrupt, counterparty=event.counterparty)
            elif isinstance(event, PriceSkipped):
                self.log.warning("price.skipped", market_no=event.market_no, reason=event.reason, tx=event.ref.tx_hash)

    def _liquidated(self, event: Liquidated) -> None:
        market = self.deployment.markets.get(event.market_no, str(event.market_no))
        self.meter.count("keeper_liquidations_total", market=market, outcome="loss" if event.loss_units else "done")
        self.log.info(
            "liquidation.done",
            market=market,
            account=event.account,
            size=text_of(event.size_e18),
            loss_units=event.loss_units,
            liquidator=event.liquidator,
            block=event.ref.block_number,
            tx_hash=event.ref.tx_hash,
        )
