"""Where `keeper tx` learns what it shows: from the keeper that runs, else from its journal, which is only read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keeper.adapters.journal_files import JOURNAL
from keeper.adapters.journal_reader import JournalReader
from keeper.app.admin import Absent, Refused, order
from keeper.app.places import exists
from keeper.app.txview import Row, details, row
from keeper.domain.transaction import TxRecord, TxState
from keeper.ports.clock import Clock

NEWEST = 100
"""So many of the settled ones `--all` shows."""
_SHORTEST_NAME = 8


@dataclass(frozen=True, slots=True)
class Listing:
    """`sockets` and `directories`: where a keeper, and where its journal may be."""

    sockets: Sequence[Path]
    directories: Sequence[Path]
    clock: Clock

    def all(self, *, settled: bool) -> Row:
        """`note` says that no keeper runs, and is empty when one does."""
        try:
            found: Row = {"note": "", **order(self.sockets, {"verb": "tx"})}
        except Absent as absent:
            found = {"note": self._note(absent), "wallets": [], "forbidden": {}, "transactions": self._pending()}
        if settled:
            found["transactions"] = self._with_settled(found["transactions"])
        return found

    def watched(self, *, settled: bool) -> Row:
        """As `all`; a keeper that dies, or is too busy, in the middle of its answer is a note and not the end."""
        try:
            return self.all(settled=settled)
        except Refused as refused:
            return {"note": str(refused), "wallets": [], "forbidden": {}, "transactions": []}

    def one(self, what: str, wallet: str) -> Row:
        """Raises Refused, with the pending nonces, when neither keeper nor journal know it."""
        # Bytes of the command line that are no UTF-8 come as half characters, which no journal can be asked for.
        what, note = what.strip().rstrip("…").lower().encode(errors="replace").decode(), ""
        try:
            found: Row | None = order(self.sockets, {"verb": "tx_show", "what": what, "wallet": wallet})
        except Absent as absent:
            found, note = None, self._note(absent)
        return {"note": note, **(found or self._journalled(what, wallet.lower()))}

    def _journalled(self, what: str, wallet: str) -> Row:
        reader = self._reader()
        by_nonce = what.isdecimal() and len(what) < _SHORTEST_NAME
        found = reader.by_nonce(int(what)) if by_nonce else reader.by_name(what) if len(what) >= _SHORTEST_NAME else ()
        chosen = [tx for tx in found if tx.wallet.startswith(wallet)]
        if found and not chosen:
            raise Refused(
                f"not of wallet {wallet}, but of {', '.join(sorted({tx.wallet for tx in found}))}: write --wallet 0x…"
            )
        if not chosen:
            raise Refused(self._unknown(what, by_nonce))
        if len({tx.wallet for tx in chosen}) > 1:
            raise Refused(f"which --wallet? {', '.join(sorted({tx.wallet for tx in chosen}))}")
        tx = chosen[0]
        outcome = None if tx.intent is None else reader.outcome(tx.intent.id)
        return {**details(tx, self.clock.now(), None), "outcome": None if outcome is None else dict(outcome)}

    def _unknown(self, what: str, by_nonce: bool) -> str:
        nonces = sorted(each["nonce"] for each in self.all(settled=False)["transactions"] if each["nonce"] is not None)
        if by_nonce:
            nonces.sort(key=lambda nonce: abs(nonce - int(what)))
        pending = f"pending: {', '.join(map(str, nonces[:8]))}" if nonces else "nothing is pending"
        kind = "nonce" if by_nonce else f"hash or intent (of {_SHORTEST_NAME} characters at least) that begins with"
        return f"the journal has no {kind} {what}; {pending}; `keeper tx list --all` shows the newest"

    def _pending(self) -> list[Row]:
        return [self._row(tx) for tx in self._reader().unfinished() if tx.state is not TxState.CONFIRMED]

    def _with_settled(self, live: Sequence[Row]) -> list[Row]:
        """What the keeper says of a nonce is newer than what it wrote."""
        kept = {(each["wallet"], each["nonce"]) for each in live if each["nonce"] is not None}
        read = [self._row(tx) for tx in reversed(self._reader().newest(NEWEST)) if (tx.wallet, tx.nonce) not in kept]
        return [*read, *live]

    def _row(self, tx: TxRecord) -> dict[str, Any]:
        return row(tx, self.clock.now(), None)

    def _reader(self) -> JournalReader:
        for directory in self.directories:
            if exists(directory / JOURNAL):
                return JournalReader(directory / JOURNAL)
        places = ", ".join(str(directory / JOURNAL) for directory in self.directories)
        raise Refused(f"no keeper runs here, nor did one ever by this configuration: there is no journal at {places}")

    def _note(self, absent: Absent) -> str:
        return f"{str(absent).partition(';')[0]}; this is what stands in {self._reader().path}"
