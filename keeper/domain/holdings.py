"""All accounts of one deployment at one block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keeper.domain.account import Account
from keeper.domain.columns import AccountColumns
from keeper.domain.exchange import ChainState
from keeper.domain.ids import Address
from keeper.domain.margin import terms_of
from keeper.domain.mirror import Cursor, Totals
from keeper.domain.numbers import BPS


@dataclass(frozen=True, slots=True)
class Holdings:
    """ENGINE's account stands under `engine`. A live view: valid until the next await of its reader.

    `columns` holds the same accounts for judging all of them at once; `holders` counts them in each market that anybody ever held.
    `behind`: blocks between the cursor and the newest
    head.
    """

    cursor: Cursor
    engine: Address
    accounts: Mapping[Address, Account]
    columns: AccountColumns
    holders: Mapping[int, int]
    totals: Totals
    behind: int

    def below(self, state: ChainState, ratio_bps: int = BPS) -> tuple[Account, ...]:
        """The accounts whose equity is below that part of their maintenance at the state's prices: the exact set.

        Empty while `state` lacks a market that somebody holds, which the next head's will have.
        """
        try:
            found = self.columns.below(self.accounts, terms_of(state, state.at.timestamp_s), ratio_bps)
        except KeyError:
            return ()
        return tuple(self.accounts[address] for address in found)
