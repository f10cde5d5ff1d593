"""Wallets that the journal knows transactions under way of, and the settings no key for: nobody follows those up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

from keeper.adapters.journal_reader import JournalReader
from keeper.domain.transaction import UNMINED
from keeper.errors import KeyPermissionError

JOURNAL = "journal.sqlite"
KEYLESS = "bring its key back under signers.wallets, or wait until its transactions are mined; what they were for is not sent again"


def keyless(state_dir: Path, chain_id: int, held: Collection[str]) -> Mapping[str, int]:
    """How many nonces of each are not mined, by address; none without a journal. Raises KeyPermissionError, StateCorrupt."""
    try:
        if not (state_dir / JOURNAL).exists():
            return {}
    except PermissionError:
        raise KeyPermissionError(f"{state_dir}: only the keeper's own user may look there") from None
    found = JournalReader(state_dir / JOURNAL).unfinished()
    left = [tx for tx in found if tx.chain_id == chain_id and tx.wallet not in held and tx.state in UNMINED]
    return Counter(tx.wallet for tx in left)
