"""The cheap part of `keeper check`, once the chain answers: what is wrong with the configuration ends the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keeper.adapters.rpc import RpcChain
from keeper.app.boards import Boards
from keeper.app.world import Keys
from keeper.domain.chain import BlockRef
from keeper.errors import ConfigError, DataError, TransientError, WrongChain
from keeper.ports.deployment import Deployment
from keeper.ports.log import EventLog


@dataclass(frozen=True, slots=True)
class Preflight:
    """A service that ends when it has seen everything. A start never waits for it."""

    deployments: Sequence[Deployment]
    chain: RpcChain
    boards: Boards
    keys: Keys
    log: EventLog
    name: str = "preflight"

    async def run(self) -> None:
        """Raises ConfigError for an address without code."""
        seen = 0
        while True:
            seen = await self.boards.blocks.changed(seen)
            head = self.boards.blocks.get("head")
            if head is None:
                continue
            try:
                await self._codes(head)
            except WrongChain:
                raise
            except (TransientError, DataError):
                continue
            break
        for deployment in self.deployments:
            await self._signers(deployment)

    async def _codes(self, head: BlockRef) -> None:
        for deployment in self.deployments:
            for what in ("oracle", "exchange"):
                address = getattr(deployment.protocol, what)
                if not await self.chain.code(address, head):
                    raise ConfigError(
                        f"deployments.{deployment.id}.{what}: there is no contract at {address} "
                        f"on chain {deployment.chain_id}"
                    )

    async def _signers(self, deployment: Deployment) -> None:
        """Only told: signers are rotated on chain while keepers run."""
        seen = 0
        while (state := self.boards.states.get(deployment.id)) is None:
            seen = await self.boards.states.changed(seen)
        held = [signer.address for signer in self.keys.reports]
        unknown = [address for address in held if address not in state.oracle.signers]
        if unknown:
            self.log.error(
                "signer.unauthorised",
                deployment=deployment.id,
                signers=unknown,
                authorised=len(held) - len(unknown),
                quorum=state.oracle.quorum,
                advice="the oracle does not accept these keys: have its owner call setSigners, or use other keys",
            )
