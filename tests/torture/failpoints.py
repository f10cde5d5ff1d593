"""Named places in the sending side, wrapped from outside in the process that is to be killed. The keeper knows of none."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from keeper.adapters.journal_database import Database
from keeper.adapters.journal_ledger import SqliteLedger
from keeper.adapters.rpc import RpcChain
from keeper.adapters.signers.key_signer import KeySigner
from keeper.devnet.jsonrpc import JsonRpc
from keeper.domain.transaction import INCLUDED, UNMINED, Outcome, Purpose, TxRecord, TxState
from keeper.errors import RpcError
from keeper.services.heads import HeadService
from keeper.services.outbox import Wallet
from tests.torture.trap import Trap

_REPLACED = {Purpose.BUMP: "bump", Purpose.SUPERSEDE: "supersede", Purpose.CANCEL: "cancel"}
_PROMOTED = {TxState.MINED: "receipt", TxState.CONFIRMED: "confirm", TxState.FINAL: "final"}


@dataclass
class Places:
    """`known`: each nonce as it was journalled last, which tells what the next write is about. `writing`: just that."""

    trap: Trap
    url: str
    known: dict[int, TxRecord] = field(default_factory=dict)
    sent: set[bytes] = field(default_factory=set)
    writing: str = "migration"

    def install(self) -> None:
        _around(KeySigner, "sign_transaction", self._sign)
        _around(RpcChain, "broadcast", self._broadcast)
        _around(SqliteLedger, "save", self._save)
        _around(Wallet, "settle", self._settle)
        _around(SqliteLedger, "unfinished", self._unfinished)
        _around(HeadService, "_publish", self._publish)
        _around(Database, "write", self._write)

    async def _sign(self, original: Callable[..., Any], *args: Any) -> Any:
        self.trap.passed("before_sign")
        signed = await original(*args)
        self.trap.passed("after_sign")
        return signed

    async def _broadcast(self, original: Callable[..., Any], chain: RpcChain, raw: bytes) -> Any:
        self.trap.passed("before_broadcast", "at_resend" if raw in self.sent else "")
        self.sent.add(raw)
        if self.trap.place == "after_broadcast_before_reply" and self.trap.passing == 1:
            await self._deliver(raw)
        self.trap.passed("after_broadcast_before_reply")
        answered = await original(chain, raw)
        self.trap.passed("after_reply")
        return answered

    async def _deliver(self, raw: bytes) -> None:
        """Over a line of our own: the node has the bytes, and the keeper will never have read an answer."""
        async with aiohttp.ClientSession() as session:
            with suppress(RpcError):
                await JsonRpc(session, self.url).call("eth_sendRawTransaction", "0x" + raw.hex())

    def _save(
        self, original: Callable[..., Any], ledger: SqliteLedger, tx: TxRecord, outcomes: Sequence[Outcome] = ()
    ) -> None:
        kind = self._kind(tx)
        if kind in _REPLACED.values():
            self.trap.passed(f"at_{kind}_signed")
        self.trap.passed(f"before_{kind}", f"before_{kind}_saved")
        self._wrote(kind, original, ledger, tx, outcomes)
        self.known[tx.nonce] = tx
        self.trap.passed(f"after_{kind}", f"after_{kind}_saved", f"at_{kind}_saved", f"at_{kind}")

    def _settle(self, original: Callable[..., Any], *args: Any, **keys: Any) -> None:
        """What became of an intent is told; it is written with its nonce, a moment later."""
        self.trap.passed("before_settle")
        original(*args, **keys)
        self.trap.passed("after_settle")

    def _wrote(self, kind: str, original: Callable[..., Any], *args: Any) -> None:
        self.writing = kind
        original(*args)
        self.writing = ""

    @contextmanager
    def _write(self, original: Callable[..., Any], database: Database) -> Iterator[sqlite3.Connection]:
        """What runs after the statements and inside the original's `with` runs before its COMMIT."""
        signed = self.writing in ("call", *_REPLACED.values())
        with original(database) as connection:
            yield connection
            self.trap.passed(f"before_{self.writing}" if self.writing == "migration" else "")
            self.trap.passed("before_commit" if signed else "")
        self.trap.passed("after_commit" if signed else "")

    def _unfinished(self, original: Callable[..., Any], *args: Any) -> tuple[TxRecord, ...]:
        found: tuple[TxRecord, ...] = original(*args)
        self.known.update({tx.nonce: tx for tx in found})
        self.sent.update(each.raw for tx in found for each in tx.attempts)
        self.trap.passed("during_reconcile")
        return found

    def _publish(self, original: Callable[..., Any], *args: Any) -> None:
        original(*args)
        self.trap.passed("at_first_head")

    def _kind(self, tx: TxRecord) -> str:
        before = self.known.get(tx.nonce)
        if tx.state in UNMINED and (before is None or len(before.attempts) < len(tx.attempts)):
            return _REPLACED.get(tx.last.purpose, "call")
        if tx.state in UNMINED and before is not None:
            return "taken_back" if before.state in INCLUDED else "answer"
        return _PROMOTED.get(tx.state, "other")


def _around(owner: type, name: str, wrapper: Callable[..., Any]) -> None:
    """Calls of `owner.name` become calls of `wrapper` with the original as the first argument."""
    original = getattr(owner, name)

    def wrapped(*args: Any, **keys: Any) -> Any:
        return wrapper(original, *args, **keys)

    setattr(owner, name, wrapped)
