"""What the chain enforces, read anew at each head: a changed rule is followed within a block."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from keeper.domain.chain import BlockRef
from keeper.domain.exchange import ChainState
from keeper.domain.ids import DeploymentId
from keeper.errors import DataError, TransientError, TxError
from keeper.ports.chain import ChainReader
from keeper.ports.log import EventLog
from keeper.ports.meter import Meter
from keeper.ports.protocol import PerpProtocol
from keeper.runtime.board import Board, first_change
from keeper.runtime.pulse import Pulse

_READ_TIMEOUT_S = 5.0
_LOOK_S = 5.0
"""A chain that stands still has no new head for as long as it likes, and the loop is to be seen turning."""


@dataclass(frozen=True, slots=True)
class ChainStateService:
    """Asks once per head and puts the answer on `states`; a failed read leaves the old answer, which ages.

    `market_nos`: those that we serve, and those that an account holds, whose prices its health depends on.
    """

    deployment: DeploymentId
    protocol: PerpProtocol
    market_nos: Callable[[], Sequence[int]]
    reader: ChainReader
    heads: Board[str, BlockRef]
    states: Board[DeploymentId, ChainState]
    pulse: Pulse
    meter: Meter
    log: EventLog

    @property
    def name(self) -> str:
        return f"chainstate:{self.deployment}"

    async def run(self) -> None:
        self.pulse.expect(self.name, 60)
        seen = 0
        while True:
            if await first_change((self.heads, seen), timeout_s=_LOOK_S):
                seen, head = self.heads.version, self.heads.get("head")
                if head is not None:
                    await self._follow(head)
            self.pulse.beat(self.name)

    async def _follow(self, head: BlockRef) -> None:
        try:
            async with asyncio.timeout(_READ_TIMEOUT_S):
                state = await self.reader.ask(self.protocol.state(head, self.market_nos()), head)
        except (TransientError, TxError, TimeoutError) as error:
            self.log.warning("chainstate.unread", deployment=self.deployment, block=head.number, error=repr(error))
            return
        except DataError as error:
            self.log.error(
                "chainstate.unreadable",
                deployment=self.deployment,
                block=head.number,
                error=repr(error),
                advice="the contracts do not answer as their ABI says: compare the addresses with `keeper check`",
            )
            return
        before = self.states.get(self.deployment)
        self.states.put(self.deployment, state)
        if before is not None:
            for what, (old, new) in changed_rules(before, state).items():
                self.log.info(
                    "rules.changed", deployment=self.deployment, block=head.number, rule=what, old=old, new=new
                )


def changed_rules(before: ChainState, after: ChainState) -> Mapping[str, tuple[str, str]]:
    """What the chain enforces differently now: name of the rule → (old, new), for the log."""
    changes: dict[str, tuple[str, str]] = {}
    if before.oracle != after.oracle:
        changes["oracle"] = (str(before.oracle), str(after.oracle))
    if before.pause_mask != after.pause_mask:
        changes["pauses"] = (str(before.pause_mask), str(after.pause_mask))
    for no, market in after.markets.items():
        old = before.markets.get(no)
        if old is not None and old.parameters != market.parameters:
            changes[f"market {no}"] = (str(old.parameters), str(market.parameters))
    for no, feed in after.feeds.items():
        was = before.feeds.get(no)
        if was is not None and _feed_rules(was) != _feed_rules(feed):
            changes[f"feed {no}"] = (str(_feed_rules(was)), str(_feed_rules(feed)))
    return changes


def _feed_rules(feed: object) -> tuple[object, ...]:
    names = ("interval_s", "hold_s", "max_deviation_bps", "max_spread_bps", "premium_kind", "frozen")
    return tuple(getattr(feed, name) for name in names)
