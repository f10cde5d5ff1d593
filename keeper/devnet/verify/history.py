"""The chain replayed block by block: what the mirror held, and who was liquidatable, at the end of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from keeper.devnet.verify.abi import Event
from keeper.devnet.verify.mirror import Fault, Health, Mirror
from keeper.devnet.verify.recording import Block, Recording

TRADE = 1
"""Cause of a PositionChanged."""


@dataclass(frozen=True, slots=True)
class AccountState:
    margin: int
    health: Health
    positions: Mapping[int, tuple[int, int, int]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The end of one block.

    `liquidatable` has each account with E < MM, and its markets; `stale` those of them that nobody may touch, because a
    price is too old; `cured` those whom a liquidation or deleveraging in this block made healthy, whatever a later price in
    the same block did to them. `prices` are (index, mark).
    """

    block: Block
    prices: Mapping[int, tuple[int, int]]
    liquidatable: Mapping[str, tuple[int, ...]]
    stale: frozenset[str]
    cured: frozenset[str]
    books_gap: int
    held: int
    fees: int
    net_sizes: Mapping[int, int]
    accounts: Mapping[str, AccountState]


@dataclass(slots=True)
class Tally:
    """What happened, counted."""

    partial: int = 0
    full: int = 0
    bankrupt: set[str] = field(default_factory=set)
    liquidators: Counter[str] = field(default_factory=Counter)
    deleveraged_accounts: int = 0
    deleveraged_engine: int = 0
    sold_back: int = 0
    """Trades by which the insurance fund got rid of what it had taken over."""


@dataclass(frozen=True, slots=True)
class History:
    snapshots: Sequence[Snapshot]
    faults: Sequence[Fault]
    tally: Tally


def replay(recording: Recording, detailed: frozenset[int]) -> History:
    """Folds every event; `detailed` names the blocks at which each account's whole state is kept."""
    mirror, tally = Mirror(recording.engine), Tally()
    by_block: dict[int, list[Event]] = {}
    for event in recording.events:
        by_block.setdefault(event.block, []).append(event)
    snapshots = []
    for block in recording.blocks:
        cured = set()
        for event in by_block.get(block.number, ()):
            mirror.take(event)
            _count(tally, mirror, event)
            cured |= _cured(mirror, event, block)
        snapshots.append(_snapshot(mirror, block, frozenset(cured), block.number in detailed))
    return History(snapshots, mirror.faults, tally)


def _count(tally: Tally, mirror: Mirror, event: Event) -> None:
    if event.name == "Liquidated":
        left = event["marketId"] in mirror.accounts[event["account"]].positions
        tally.partial += left
        tally.full += not left
        tally.liquidators[event["liquidator"]] += 1
        if event["loss"]:
            tally.bankrupt.add(event["account"])
    elif event.name == "PositionChanged":
        tally.sold_back += event["account"] == mirror.engine and event["cause"] == TRADE
    elif event.name == "Deleveraged":
        of_engine = event["bankrupt"] == mirror.engine
        tally.deleveraged_engine += of_engine
        tally.deleveraged_accounts += not of_engine
        if not of_engine:
            tally.bankrupt.add(event["bankrupt"])


def _cured(mirror: Mirror, event: Event, block: Block) -> set[str]:
    """The account that the event made healthy, if it did."""
    account = {"Liquidated": "account", "Deleveraged": "bankrupt"}.get(event.name)
    if account is None:
        return set()
    health = mirror.health(event[account], block.timestamp_s)
    return {event[account]} if health.equity >= health.maintenance else set()


def _snapshot(mirror: Mirror, block: Block, cured: frozenset[str], whole: bool) -> Snapshot:
    now = block.timestamp_s
    under_water = {account: tuple(mirror.accounts[account].positions) for account in sorted(mirror.liquidatable(now))}
    accounts = {
        account: AccountState(held.margin, mirror.health(account, now), dict(held.positions))
        for account, held in mirror.accounts.items()
        if whole
    }
    return Snapshot(
        block,
        {no: (feed.index, feed.mark) for no, feed in mirror.feeds.items()},
        under_water,
        frozenset(a for a, markets in under_water.items() if not all(mirror.fresh(no, now) for no in markets)),
        cured,
        mirror.books_gap(),
        mirror.held,
        mirror.fees,
        {no: mirror.net_size(no) for no in mirror.markets},
        accounts,
    )
