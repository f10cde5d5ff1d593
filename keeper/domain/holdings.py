"""All accounts of one deployment at one block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keeper.domain.account import Account
from keeper.domain.ids import Address
from keeper.domain.mirror import Cursor, Totals


@dataclass(frozen=True, slots=True)
class Holdings:
    """ENGINE's account stands under `engine`. A live view: valid until the next await of its reader.

    `behind`: blocks between the cursor and the newest head.
    """

    cursor: Cursor
    engine: Address
    accounts: Mapping[Address, Account]
    totals: Totals
    behind: int
