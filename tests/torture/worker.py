"""One life of the sending side, to be killed at a place of its own: `python -m tests.torture.worker SCENE PLACE N`."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from keeper.adapters.encoding.keccak import keccak
from keeper.adapters.signers.curve import signing_key
from keeper.adapters.signers.key_signer import KeySigner
from keeper.devnet.jsonrpc import JsonRpc
from keeper.devnet.node import AnvilNode
from keeper.domain.ids import Address
from keeper.domain.time import Timestamp, nanos
from keeper.domain.transaction import IntentState, TxState, may_start
from keeper.services.outbox import OutboxRules
from tests.chain.stage import CHAIN_ID, DEPLOYMENT, Keeper, Log, Stage
from tests.torture.failpoints import Places
from tests.torture.scene import Scene
from tests.torture.trap import Trap

RULES = OutboxRules(
    confirmations=2,
    finality_blocks=6,
    orphan_after_blocks=200,
    orphan_after_s=0.0,
    tick_s=0.2,
    resend_after_s=0.4,
    send_timeout_s=0.3,
    read_timeout_s=1.0,
)
"""Blocks come every few hundredths of a second: what waits for time waits less, what waits for blocks waits for more."""
_GOOD = frozenset({IntentState.CONFIRMED, IntentState.LOST_RACE})
_LOOK_S = 0.02


@dataclass
class Written(Log):
    """Each event at once in a file, where it outlives the process."""

    path: Path = Path("events.log")

    def __post_init__(self) -> None:
        self._file = self.path.open("a", buffering=1)

    def _note(self, level: str, event: str, keys: dict[str, Any]) -> None:
        self._file.write(f"{time.time():.3f} {level} {event} {keys}\n")

    def info(self, event: str, **keys: Any) -> None:
        self._note("info", event, keys)

    def warning(self, event: str, **keys: Any) -> None:
        self._note("warning", event, keys)

    def error(self, event: str, **keys: Any) -> None:
        self._note("error", event, keys)

    def critical(self, event: str, **keys: Any) -> None:
        self._note("critical", event, keys)


@dataclass
class Life:
    scene: Scene
    keeper: Keeper

    async def run(self) -> int:
        """Until everything is too deep to come back. The last round that was wanted."""
        wanted = asyncio.create_task(self._want_keys())
        last = await self._want_prices()
        while not self._is_done(last):
            await asyncio.sleep(_LOOK_S)
            self.keeper._raise_if_ended()
        wanted.cancel()
        return last

    async def _want_keys(self) -> None:
        """Level-triggered, as the services are: what is not done is wanted again."""
        wallet = self.keeper.wallet
        await self.keeper.until(lambda: bool(wallet.desk.open))  # the first price has the lowest nonce
        while True:
            for intent in self.scene.acts(wallet.clock.now()):
                if may_start(wallet.ledger.intent(intent.id), wallet.clock.now()):
                    await self.keeper.inbox.put(intent)
            await asyncio.sleep(0.1)

    async def _want_prices(self) -> int:
        """Rounds rise over all lives, because the time does. The last one has no deadline."""
        scene, clock = self.scene, self.keeper.wallet.clock
        for left in reversed(range(scene.prices)):
            now = clock.now()
            hurry = left > 0 and scene.price_deadline_s is not None
            deadline = Timestamp(now + nanos(scene.price_deadline_s or 0.0)) if hurry else None
            self.keeper.prices.put(DEPLOYMENT, scene.round(now, now, deadline))
            await self.keeper.until(lambda: self.keeper.wallet.desk.market is not None)
            if left:
                await asyncio.sleep(scene.price_every_s)
        return int(now)

    def _is_done(self, last: int) -> bool:
        wallet = self.keeper.wallet
        if any(tx.state is not TxState.VACANT for tx in wallet.desk.open.values()):
            return False
        wanted = [*self.scene.acts(Timestamp(0)), self.scene.round(last, Timestamp(0), None)]
        records = [wallet.ledger.intent(intent.id) for intent in wanted]
        return all(record is not None and record.state in _GOOD for record in records)


async def main(scene: Scene, trap: Trap) -> None:
    Places(trap, scene.direct_url).install()
    key = signing_key(keccak(scene.secret.encode()))
    assert key is not None
    directory = Path(scene.directory)
    async with aiohttp.ClientSession() as session:
        stage = Stage(
            AnvilNode(),
            JsonRpc(session, scene.url),
            Address(scene.price),
            KeySigner(key, CHAIN_ID),
            directory / "state",
            log=Written(path=directory / "events.log"),
        )
        keeper = await stage.keeper(RULES, url=scene.url)
        print(await Life(scene, keeper).run())
        await keeper.stop()


if __name__ == "__main__":
    asyncio.run(main(Scene.read(sys.argv[1]), Trap(sys.argv[2], int(sys.argv[3]))))
