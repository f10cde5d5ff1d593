"""Follows the protocol's logs into a mirror of all accounts, through restarts, gaps and reorganisations.

The cursor moves over verified ranges only: a range that cannot be read or does not fit stays to be read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from keeper.domain.account import MirrorBroken
from keeper.domain.chain import BlockRef
from keeper.domain.columns import AccountColumns
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
from keeper.domain.mirror import Cursor, Mirror, sealed
from keeper.domain.numbers import text_of
from keeper.domain.time import SECOND
from keeper.errors import DataError, Reverted, TransientError
from keeper.ports.chain import ChainReader, Pages
from keeper.ports.clock import Clock
from keeper.ports.deployment import Deployment
from keeper.ports.journal import StateStore
from keeper.ports.log import EventLog
from keeper.ports.meter import Meter
from keeper.runtime.board import Board, first_change
from keeper.runtime.pulse import Pulse

_SAVE_EVERY_NS = 30 * SECOND
_CATCH_UP_TIMEOUT_S = 60.0
_LOOK_S = 5.0
"""A chain that stands still has no new head for as long as it likes, and the loop is to be seen turning."""
_REREAD_BLOCKS = 16
_REBUILD_PAUSE_BLOCKS, _LONGEST_PAUSE_BLOCKS = 64, 4096


@dataclass(slots=True)
class Books:
    """The mirror, and its accounts in columns. `reread_at`: the block at which the last blocks were read again.

    `certified_at`: where the chain's sums agreed last, -1 when they are to be asked for at once; `doubted`: they have disagreed since.
    `rebuilt_at`: the head at which it was rebuilt; until it has passed that undoubted, it is rebuilt again only `pause` blocks later.
    """

    mirror: Mirror
    columns: AccountColumns
    reread_at: int = -1
    certified_at: int = -1
    doubted: bool = False
    rebuilt_at: int = -1
    pause: int = 0

    @classmethod
    def of(cls, mirror: Mirror) -> Books:
        columns = AccountColumns(mirror.engine.address)
        columns.put_all(mirror.accounts.values())
        return cls(mirror, columns)

    @property
    def cursor(self) -> Cursor:
        return self.mirror.cursor

    def apply_block(self, block: BlockRef, events: Sequence[ProtocolEvent]) -> None:
        self.columns.sync(self.mirror.accounts, self.mirror.apply_block(block, events))

    def rewind(self, number: int) -> None:
        self.columns.sync(self.mirror.accounts, self.mirror.rewind(number))


@dataclass(frozen=True, slots=True)
class AccountIndexService:
    """One per deployment. `certify_every` so many blocks the mirror is compared with the chain's sums; 0: never."""

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
    certify_every: int = 32

    @property
    def name(self) -> str:
        return f"accounts:{self.deployment.id}"

    @property
    def _snapshot(self) -> str:
        return f"mirror:{self.deployment.id}:{self.deployment.chain_id}:{self.deployment.protocol.exchange}"

    async def run(self) -> None:
        self.pulse.expect(self.name, 2 * _CATCH_UP_TIMEOUT_S)
        books, seen, saved_at = Books.of(self._loaded()), 0, self.clock.now()
        try:
            while True:
                if await first_change((self.heads, seen), timeout_s=_LOOK_S):
                    seen, head = self.heads.version, self.heads.get("head")
                    if head is not None:
                        books = await self._follow(books, head)
                        self._show(books, head)
                    if not 0 <= self.clock.now() - saved_at < _SAVE_EVERY_NS:
                        self._save(books.mirror, await written(books.mirror))
                        saved_at = self.clock.now()
                self.pulse.beat(self.name)
        finally:
            self._save(books.mirror, books.mirror.dump())

    async def _follow(self, books: Books, head: BlockRef) -> Books:
        try:
            async with asyncio.timeout(_CATCH_UP_TIMEOUT_S):
                books = await self._on_this_chain(books, head)
                await self._catch_up(books, head)
                await self._certify(books, head)
        except (TransientError, Reverted, TimeoutError) as error:
            self.log.warning("accounts.unread", deployment=self.deployment.id, block=head.number, error=repr(error))
        except MirrorBroken as error:
            return self._reread(books, head, error)
        except DataError as error:
            self.log.exception(
                "accounts.unreadable",
                deployment=self.deployment.id,
                block=head.number,
                error=repr(error),
                advice="the logs do not decode as the ABI says: compare the addresses and the endpoints with `keeper check`",
            )
        return books

    async def _certify(self, books: Books, head: BlockRef) -> None:
        """The chain keeps sums over all accounts: an account of which every log is missing shows only there.

        Raises MirrorBroken.
        """
        due = self.certify_every and head.number >= books.certified_at + self.certify_every
        if not due or books.cursor.hash != head.hash:
            return
        query = self.deployment.protocol.totals(sorted(books.mirror.markets))
        totals, markets = await self.reader.ask(query, head)
        if found := books.mirror.disagreements(totals, markets):
            if books.doubted:
                books.reread_at = head.number  # the last blocks have been read again: what lacks lies deeper
            books.doubted = True
            raise MirrorBroken("; ".join(found))
        books.certified_at, books.doubted = head.number, False
        self.meter.gauge("keeper_account_index_certified_block", head.number, protocol=self.deployment.id)

    def _reread(self, books: Books, head: BlockRef, error: MirrorBroken) -> Books:
        """A node may show a block before all of its logs: the last blocks are read again, and only then everything."""
        if books.reread_at < books.cursor.number and books.mirror.rewindable:
            books.reread_at = books.cursor.number
            back = [cursor.number for cursor in books.mirror.rewindable[:_REREAD_BLOCKS]]
            books.rewind(back[-1])
            self.log.warning("accounts.reread", deployment=self.deployment.id, block=back[-1], error=repr(error))
            return books
        again = books.rebuilt_at >= 0 and (books.doubted or books.cursor.number < books.rebuilt_at)
        if again and head.number < books.rebuilt_at + books.pause:
            return books  # it broke at the same place: reading everything anew at each head would only load the node
        self.log.error(
            "accounts.broken",
            deployment=self.deployment.id,
            block=head.number,
            error=repr(error),
            advice="the logs contradict the mirror: it is rebuilt from the deployment block; compare the endpoints",
        )
        self.meter.count("keeper_account_index_rebuilds_total", protocol=self.deployment.id)
        fresh = Books.of(self._fresh())
        fresh.rebuilt_at = head.number
        fresh.pause = min(2 * books.pause, _LONGEST_PAUSE_BLOCKS) if again else _REBUILD_PAUSE_BLOCKS
        return fresh

    def _fresh(self) -> Mirror:
        """An empty mirror. Two blocks before the deployment: of its block's parent it would have to know the hash."""
        start = Cursor(self.deployment.protocol.from_block - 2, Hash("0x" + "0" * 64))
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

    def _save(self, mirror: Mirror, text: str) -> None:
        if mirror.cursor.number < self.deployment.protocol.from_block:
            return
        try:
            self.store.save(self._snapshot, text)
        except TransientError as error:  # the next start reads more blocks again
            self.log.warning("state.unsaved", name=self._snapshot, error=str(error))

    async def _on_this_chain(self, books: Books, head: BlockRef) -> Books:
        """The books, rewound to the newest of their blocks that the chain still contains."""
        mirror, first = books.mirror, self.deployment.protocol.from_block
        child = mirror.follows(head) and head.number == mirror.cursor.number + 1
        if child or mirror.cursor.number < first:
            return books
        for cursor in (mirror.cursor, *mirror.rewindable):
            block = head if cursor.number == head.number else await self._block(cursor.number, head)
            same = cursor.number < first or (block is not None and block.hash == cursor.hash)
            if same and cursor != mirror.cursor:
                self.log.info("accounts.rewound", deployment=self.deployment.id, block=cursor.number)
                books.rewind(cursor.number)
                books.certified_at = -1  # the node that is asked for the logs may not have heard of it yet
            if same:
                return books
        self.log.warning("accounts.rebuilt", deployment=self.deployment.id, block=head.number, reason="deep reorg")
        return Books.of(self._fresh())

    async def _block(self, number: int, head: BlockRef) -> BlockRef | None:
        return None if number > head.number else await self.reader.block(number)

    async def _catch_up(self, books: Books, head: BlockRef) -> None:
        first = max(books.cursor.number + 1, self.deployment.protocol.from_block)
        if first > head.number:
            return
        async for page in self.pages(self.deployment.protocol.log_filter(), first, head.number):
            block = head if page.last == head.number else await self._beneath(page.last, head)
            if block is None:
                return
            events = [event for log in page.logs for event in self.deployment.protocol.decode_log(log)]
            books.apply_block(block, events)
            self._announce(events)
            if page.last != head.number:
                self._show(books, head)
                self.pulse.beat(self.name)

    async def _beneath(self, number: int, head: BlockRef) -> BlockRef | None:
        """A block under `head`; None if the chain has left `head` meanwhile, so that logs read before may be another's."""
        block, still = await self.reader.block(number), await self.reader.block(head.number)
        return block if still is not None and still.hash == head.hash else None

    def _show(self, books: Books, head: BlockRef) -> None:
        mirror, engine = books.mirror, self.deployment.protocol.exchange
        behind = max(0, head.number - mirror.cursor.number)
        held = {number: market.holders for number, market in mirror.markets.items()}
        view = Holdings(mirror.cursor, engine, mirror.accounts, books.columns, held, mirror.totals, behind)
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


async def written(mirror: Mirror) -> str:
    """A snapshot. Others have their turn between its pieces: the mirror must not change meanwhile."""
    pieces = []
    for piece in mirror.pieces():
        pieces.append(piece)
        await asyncio.sleep(0)
    return sealed(pieces)
