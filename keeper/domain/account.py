"""Accounts as a fold over their events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from keeper.domain.events import AccountEvent, LogRef, MarginChanged
from keeper.domain.ids import Address


@dataclass(frozen=True, slots=True)
class Position:
    """Signed size, signed entry cash (a long's is negative) and the funding index at the last change."""

    size_e18: int
    quote_units: int
    cum_entry_e36: int


@dataclass(frozen=True, slots=True)
class Account:
    address: Address
    margin_units: int = 0
    positions: Mapping[int, Position] = field(default_factory=dict)
    last: LogRef | None = None
    """The event that this state is the result of."""


class MirrorBroken(Exception):
    """An event does not continue the state that we hold: a log is missing or doubled."""


def apply(account: Account, event: AccountEvent) -> Account:
    """The account after `event`. Raises MirrorBroken when the event's own result contradicts ours."""
    if isinstance(event, MarginChanged):
        if account.margin_units + event.delta_units != event.margin_units:
            raise MirrorBroken(f"margin of {event.account} at {event.ref}")
        return Account(account.address, event.margin_units, account.positions, event.ref)
    old = account.positions.get(event.market_no, Position(0, 0, event.cum_entry_e36))
    before = account.margin_units + old.quote_units + event.cash_units - event.funding_units - event.fee_units
    if old.size_e18 + event.delta_e18 != event.size_e18 or before != event.margin_units + event.quote_units:
        raise MirrorBroken(f"position of {event.account} in {event.market_no} at {event.ref}")
    positions = {no: held for no, held in account.positions.items() if no != event.market_no}
    if event.size_e18:
        positions[event.market_no] = Position(event.size_e18, event.quote_units, event.cum_entry_e36)
    return Account(account.address, event.margin_units, dict(sorted(positions.items())), event.ref)
