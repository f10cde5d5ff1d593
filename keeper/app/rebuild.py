"""`keeper journal rebuild`: a new journal in place of one that cannot be trusted, with what the chain and its remains tell.

Nothing is sent here: what has to go out is signed, journalled, and left to the next run, which asks the kill switch first.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from keeper.adapters import journal_files as files
from keeper.adapters.journal_database import Database
from keeper.adapters.journal_ledger import SqliteLedger
from keeper.adapters.journal_salvage import Salvage, salvage
from keeper.adapters.lock import StateLock
from keeper.adapters.rpc import RpcChain
from keeper.adapters.signers.key_signer import KeySigner
from keeper.app.build import meter_of, open_chain, open_keys, system_clock
from keeper.app.places import require_state
from keeper.app.quiet import Quiet
from keeper.app.world import Keys
from keeper.domain.adoption import Adoption, adopted
from keeper.domain.chain import Call, FeeMarket
from keeper.domain.fees import TRANSFER_GAS, FeeRules, Fees, bump, opening
from keeper.domain.ids import Hash
from keeper.domain.transaction import Attempt, Purpose, TxRecord
from keeper.domain.txsteps import signed
from keeper.errors import ConfigError, KeeperError, StateCorrupt, StateTooNew
from keeper.ports.clock import Clock
from keeper.ports.signer import UnsignedTransaction
from keeper.settings.models import Settings

_LOOK_S = 1.0
_OVER_PERCENT = 100
"""So much above what the market asks an unknown transaction is outbid: a base fee halves in six empty blocks."""
_MOST_NAMED = 8


class NotRebuilt(KeeperError):
    """Nothing was changed; the sentence says why, and what can be done."""


def rebuild(settings: Settings, *, wait_s: float, plunge: bool) -> None:
    """Prints what it did. Raises AlreadyRunning beside a running keeper, NotRebuilt, and what keys and chain raise."""
    require_state(settings)
    keys, clock, directory = open_keys(settings, os.environ), system_clock(), settings.state_dir
    wallets = sending(keys)
    if not wallets:
        raise ConfigError("signers.sender is not set: without a sending key there is nothing to adopt")
    if not directory.exists():
        raise NotRebuilt(f"{directory} does not exist: no keeper ever ran by this configuration")
    lock = StateLock(directory / files.LOCK)
    lock.acquire()
    try:
        _require_lost(directory, clock)
        new = files.fresh(directory, clock.now())
        try:
            _say(_salvaged(directory, new))
            asyncio.run(_adopt(settings, wallets, new, clock, wait_s, plunge))
            _exchange(directory, new)
        finally:
            files.forget(new)
    finally:
        lock.release()


def sending(keys: Keys) -> Sequence[KeySigner]:
    """The wallets whose nonces the journal keeps."""
    return tuple(keys.wallets.values())


def _require_lost(directory: Path, clock: Clock) -> None:
    """Raises NotRebuilt for a journal that is sound, or that nobody ever made. Looks at a copy: looking repairs."""
    path, copy = directory / files.JOURNAL, None
    try:
        files.require_present(directory)
        if not path.exists():
            raise NotRebuilt(f"there is no journal in {directory}, and never was: `keeper run` begins one")
        with tempfile.TemporaryDirectory(dir=directory) as place:
            copy = files.copied(path, Path(place))
            Database(copy, clock).close()
    except StateTooNew:
        raise
    except StateCorrupt as error:
        said = str(error) if copy is None else str(error).replace(str(copy), str(path))
        sys.stdout.write(f"{said.partition('. ')[0].replace(files.ADVICE, '')}\n")
        return
    raise NotRebuilt(f"{path} is sound: there is nothing to rebuild")


def _salvaged(directory: Path, new: Path) -> Salvage:
    """From the journal itself, or from what an interrupted rebuild has moved aside."""
    path = directory / files.JOURNAL
    source = path if path.exists() else files.newest_aside(directory)
    with tempfile.TemporaryDirectory(dir=directory) as place, closing(sqlite3.connect(new)) as target:
        found = Salvage() if source is None else salvage(files.copied(source, Path(place)), target)
        target.commit()
    return found


def _exchange(directory: Path, new: Path) -> None:
    if (directory / files.JOURNAL).exists():
        sys.stdout.write(f"the damaged journal is kept as {files.move_aside(directory)}\n")
    files.put_in_place(new, directory)
    sys.stdout.write(f"{directory / files.JOURNAL} is new; the keeper can be started\n")


def _say(found: Salvage) -> None:
    sys.stdout.write(
        f"saved {found.transactions} transactions with {found.attempts} signed attempts and {found.outcomes} outcomes\n"
    )
    if found.unread:
        sys.stdout.write(f"not all could be read of: {', '.join(found.unread)}\n")
    if "snapshot" in found.unread:
        sys.stdout.write(
            "whether the keeper was halted, and which markets were paused, is not known any more: if nothing may be sent,"
            " make the halt file before you start it\n"
        )


async def _adopt(
    settings: Settings, wallets: Sequence[KeySigner], new: Path, clock: Clock, wait_s: float, plunge: bool
) -> None:
    with closing(Database(new, clock)) as database:
        ledger = SqliteLedger(database, clock)
        async with open_chain(settings, os.environ, meter_of(settings), Quiet()) as chain:
            await chain.verify()
            await chain.compare()
            for wallet in wallets:
                adopter = _Adopter(settings, wallet, ledger, chain, clock)
                await adopter.adopt(wait_s, plunge)


@dataclass(frozen=True, slots=True)
class _Adopter:
    settings: Settings
    wallet: KeySigner
    ledger: SqliteLedger
    chain: RpcChain
    clock: Clock

    async def adopt(self, wait_s: float, plunge: bool) -> None:
        """Writes where the wallet's nonces go on, and what closes its gaps. Raises NotRebuilt."""
        known = {tx.nonce for tx in self.ledger.unfinished(self.settings.chain.id, self.wallet.address)}
        found = await self._settled(known, 0.0 if plunge else wait_s)
        if found.unknown and not plunge:
            raise NotRebuilt(self._refusal(found.unknown))
        for nonce in found.vacant:
            self.ledger.save(self._nothing(nonce))
        for nonce in found.unknown:
            self.ledger.save(await self._cancellation(nonce))
        self.ledger.adopt(self.settings.chain.id, self.wallet.address, found.next)
        sys.stdout.write(
            f"{self.wallet.address}: {found.mined} nonces are mined, it goes on with {found.next};"
            f" {len([nonce for nonce in known if nonce >= found.mined])} pending are known, {len(found.unknown)} are to be"
            f" cancelled, {len(found.vacant)} are to be filled\n"
        )

    async def _settled(self, known: Collection[int], wait_s: float) -> Adoption:
        """As it is when nothing unknown is pending any more, or the wait is over."""
        found = adopted(await self._counts(), known)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while found.unknown:
                    await asyncio.sleep(_LOOK_S)
                    found = adopted(await self._counts(), known)
        return found

    async def _counts(self) -> Mapping[str, tuple[int, int]]:
        return await self.chain.nonces(self.wallet.address)

    def _refusal(self, unknown: Sequence[int]) -> str:
        named = ", ".join(map(str, unknown[:_MOST_NAMED])) + (" …" if len(unknown) > _MOST_NAMED else "")
        return (
            f"{self.wallet.address} has {len(unknown)} pending transactions of which nothing is known (nonce {named}). They"
            " can still be mined, and the contracts take each round and boundary only once. Wait for them (--wait 5m), or"
            " have them cancelled (--plunge); nothing was changed"
        )

    def _nothing(self, nonce: int) -> TxRecord:
        return TxRecord(self.settings.chain.id, self.wallet.address, nonce)

    async def _cancellation(self, nonce: int) -> TxRecord:
        """An empty transfer in the place of something unknown, which may have been offered at a dearer market."""
        chain, call = self.settings.chain, Call(self.wallet.address, b"", 0, TRANSFER_GAS)
        fees = _outbidding(await self.chain.fees(), chain.bump_percent, chain.max_fee_wei)
        unsigned = UnsignedTransaction(
            chain.id, nonce, call, TRANSFER_GAS, fees.max_fee_wei, fees.tip_wei, legacy=chain.legacy_fees
        )
        done = await self.wallet.sign_transaction(unsigned)
        attempt = Attempt(
            hash=Hash(done.hash.lower()),
            raw=done.raw,
            purpose=Purpose.CANCEL,
            intent=None,
            fees=fees,
            gas_limit=TRANSFER_GAS,
            signed_at=self.clock.now(),
            signed_block=(await self.chain.head()).number,
        )
        return signed(self._nothing(nonce), attempt)


def _outbidding(market: FeeMarket, bump_percent: int, ceiling_wei: int) -> Fees:
    """As much above the market as the ceiling leaves room for."""
    first = opening(market, FeeRules(ceiling_wei=ceiling_wei))
    rules = [FeeRules(bump_percent=each, ceiling_wei=ceiling_wei) for each in (_OVER_PERCENT, bump_percent)]
    raised = (bump(first, market, each) for each in rules)
    return next((each for each in raised if isinstance(each, Fees)), first)
