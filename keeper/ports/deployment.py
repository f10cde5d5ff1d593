"""One protocol's contracts on one chain, with the markets that this keeper serves there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keeper.domain.chain import Call
from keeper.domain.ids import ChainId, DeploymentId, MarketId
from keeper.domain.time import Timestamp
from keeper.domain.transaction import Expectation, Intent, Lane, intent_id
from keeper.ports.protocol import PerpProtocol


@dataclass(frozen=True, slots=True)
class Deployment:
    id: DeploymentId
    chain_id: ChainId
    protocol: PerpProtocol
    markets: Mapping[int, MarketId]
    """By the market's number on chain."""

    def intent(
        self,
        lane: Lane,
        key: str,
        act: tuple[Call, tuple[Expectation, ...]],
        now: Timestamp,
        deadline: Timestamp | None = None,
    ) -> Intent:
        """What the outbox is asked for; the same (lane, key) is the same intent for ever. `now` is our own, `deadline`
        the chain's.
        """
        call, expects = act
        identity = intent_id(self.chain_id, call.to, lane, f"{self.id}|{key}")
        return Intent(identity, self.id, lane, key, call, now, deadline, expects)
