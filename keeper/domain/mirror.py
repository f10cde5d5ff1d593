"""All accounts of one deployment, folded from its logs alone, and provably complete.

Every event carries its result, so the fold checks itself: a log that is missing, doubled or out of order contradicts
the state that we hold. What no event can show, an account of which every log is missing, shows in the sums that the
exchange keeps in O(1) (`totals`, `marketTotals`: docs/reference-protocol.md, "Views"): see `disagreements`.

A mirror begins with the exchange's deployment. Its state changes in place (copying a million accounts a block would
not do); each block leaves what it replaced, so that a reorganisation of the last blocks restores the former state.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from itertools import islice
from types import MappingProxyType
from typing import Any

from keeper.domain.account import Account, MirrorBroken, Position, apply
from keeper.domain.chain import BlockRef
from keeper.domain.events import FundingSettled, LogRef, MarginChanged, PositionChanged, ProtocolEvent
from keeper.domain.ids import Address, Hash
from keeper.domain.margin import owed

SNAPSHOT_VERSION = 1
KEEP_BLOCKS = 256
CAUSE_RESIDUE = 6
_AT_ONCE = 250
"""Accounts in a piece of a snapshot: about a millisecond."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last block that a mirror contains."""

    number: int
    hash: Hash


@dataclass(frozen=True, slots=True)
class Totals:
    """What the exchange's `totals` says of all accounts, as stored: unsettled funding is not applied."""

    accounts: int = 0
    sum_margin_units: int = 0
    sum_quote_units: int = 0
    sum_clearing_units: int = 0


@dataclass(frozen=True, slots=True)
class MarketTotals:
    """What the exchange's `marketTotals` says of one market."""

    sum_abs_size_e18: int = 0
    holders: int = 0
    clearing_units: int = 0
    cum_e36: int = 0


@dataclass(slots=True)
class _Undo:
    """What one applied block replaced; None for what it added."""

    before: Cursor
    totals: Totals
    accounts: dict[Address, Account | None]
    markets: dict[int, MarketTotals | None]


class Mirror:
    """`engine` is the exchange's own address: an account like the others, registered from the start."""

    def __init__(self, start: Cursor, engine: Address, keep_blocks: int = KEEP_BLOCKS) -> None:
        self._cursor, self._engine = start, engine
        self._accounts: dict[Address, Account] = {engine: Account(engine)}
        self._markets: dict[int, MarketTotals] = {}
        self._totals = Totals(accounts=1)
        self._undo: deque[_Undo] = deque(maxlen=keep_blocks)

    @property
    def cursor(self) -> Cursor:
        return self._cursor

    @property
    def accounts(self) -> Mapping[Address, Account]:
        """In the order of their first event; a view that later blocks change."""
        return MappingProxyType(self._accounts)

    @property
    def engine(self) -> Account:
        """Its margin is the insurance fund."""
        return self._accounts[self._engine]

    @property
    def totals(self) -> Totals:
        return self._totals

    @property
    def markets(self) -> Mapping[int, MarketTotals]:
        return MappingProxyType(self._markets)

    @property
    def rewindable(self) -> tuple[Cursor, ...]:
        """The blocks that `rewind` can return to, newest first: ask the chain which of them it still contains."""
        return tuple(undo.before for undo in reversed(self._undo))

    def follows(self, block: BlockRef) -> bool:
        """Whether `block` is later than what we have and, where it is the very next one, its child."""
        if block.number == self._cursor.number + 1:
            return block.parent_hash == self._cursor.hash
        return block.number > self._cursor.number

    def apply_block(self, block: BlockRef, events: Sequence[ProtocolEvent]) -> tuple[Address, ...]:
        """Takes over all logs after the cursor up to and including `block`, in order; answers whose accounts changed.

        Blocks without logs may be left out, and a range may come at once: it is then rewound at once. Raises
        MirrorBroken, leaving the state as it was, if the block does not follow or a log contradicts what we hold.
        """
        if not self.follows(block):
            raise MirrorBroken(f"block {block.number} {block.hash} does not follow {self._cursor}")
        undo = _Undo(self._cursor, self._totals, {}, {})
        try:
            for event in _in_order(events, self._cursor.number, block):
                self._fold(event, undo)
            self._balance(undo)
        except MirrorBroken:
            self._restore(undo)
            raise
        self._cursor = Cursor(block.number, block.hash)
        self._undo.append(undo)
        return tuple(undo.accounts)

    def rewind(self, number: int) -> tuple[Address, ...]:
        """Back to the newest state at or before block `number`; answers whose accounts changed.

        Raises MirrorBroken, changing nothing, if that lies before what the last blocks' undo reaches.
        """
        if self._cursor.number > number and (not self._undo or self._undo[0].before.number > number):
            raise MirrorBroken(f"block {number} lies before what can be undone")
        changed: dict[Address, None] = {}
        while self._cursor.number > number:
            undo = self._undo.pop()
            self._restore(undo)
            changed.update(dict.fromkeys(undo.accounts))
        return tuple(changed)

    def disagreements(self, totals: Totals, markets: Mapping[int, MarketTotals]) -> tuple[str, ...]:
        """Where the chain's own sums at the cursor's block differ from ours; empty certifies completeness."""
        found = [] if totals == self._totals else [f"totals: chain {totals}, mirror {self._totals}"]
        for number in sorted(markets.keys() | self._markets.keys()):
            theirs, ours = markets.get(number, MarketTotals()), self._markets.get(number, MarketTotals())
            if theirs != ours:
                found.append(f"market {number}: chain {theirs}, mirror {ours}")
        return tuple(found)

    def dump(self) -> str:
        """A snapshot with everything, the undo of the last blocks included, under a checksum."""
        return sealed(self.pieces())

    def pieces(self) -> Iterator[str]:
        """What `sealed` makes a snapshot of, a few hundred accounts at a time: of many a loop must not be held up for all."""
        head = {
            "version": SNAPSHOT_VERSION,
            "engine": self._engine,
            "cursor": astuple(self._cursor),
            "keep_blocks": self._undo.maxlen,
            "totals": astuple(self._totals),
            "markets": [[number, *astuple(market)] for number, market in self._markets.items()],
        }
        yield _json(head)[:-1] + ',"accounts":['
        accounts, between = iter(self._accounts.values()), ""
        while some := [_packed(account) for account in islice(accounts, _AT_ONCE)]:
            yield between + _json(some)[1:-1]
            between = ","
        yield '],"undo":['
        between = ""
        for undo in self._undo:
            yield between + _json(_packed_undo(undo))
            between = ","
        yield "]}"

    @classmethod
    def load(cls, text: str) -> Mirror:
        """Raises MirrorBroken for a snapshot of another version, a damaged one, or one whose sums are not its own."""
        body = _verified(text)
        mirror = cls(Cursor(*body["cursor"]), Address(body["engine"]), body["keep_blocks"])
        mirror._accounts = {account.address: account for account in map(_unpacked, body["accounts"])}
        mirror._markets = {number: MarketTotals(*market) for number, *market in body["markets"]}
        mirror._totals = Totals(*body["totals"])
        mirror._undo.extend(_unpacked_undo(undo) for undo in body["undo"])
        mirror._recount()
        return mirror

    def _fold(self, event: ProtocolEvent, undo: _Undo) -> None:
        if isinstance(event, FundingSettled):
            self._settle(event, undo)
        elif isinstance(event, MarginChanged):
            self._credit(event, undo)
        elif isinstance(event, PositionChanged):
            self._move(event, undo)

    def _settle(self, event: FundingSettled, undo: _Undo) -> None:
        market = self._market(event.market_no, undo)
        if event.cum_e36 != market.cum_e36 + event.rate_e18 * event.mark_e18 * event.intervals:
            raise MirrorBroken(f"funding index of market {event.market_no} at {event.ref}")
        self._markets[event.market_no] = replace(market, cum_e36=event.cum_e36)

    def _credit(self, event: MarginChanged, undo: _Undo) -> None:
        self._put(apply(self._account(event.account, undo), event))
        cleared = 0
        if event.cause == CAUSE_RESIDUE:
            cleared = event.delta_units
            self._sweep(event, undo)
        self._totals = replace(
            self._totals,
            sum_margin_units=self._totals.sum_margin_units + event.delta_units,
            sum_clearing_units=self._totals.sum_clearing_units - cleared,
        )

    def _sweep(self, event: MarginChanged, undo: _Undo) -> None:
        """A residue is what is left in the one market that has just lost its last holder."""
        left = [number for number, market in self._markets.items() if not market.holders and market.clearing_units]
        if len(left) != 1 or self._markets[left[0]].clearing_units != event.delta_units:
            raise MirrorBroken(f"residue at {event.ref}")
        self._markets[left[0]] = replace(self._market(left[0], undo), clearing_units=0)

    def _move(self, event: PositionChanged, undo: _Undo) -> None:
        account, market = self._account(event.account, undo), self._market(event.market_no, undo)
        old = account.positions.get(event.market_no, Position(0, 0, event.cum_entry_e36))
        paid = owed(old.size_e18, event.cum_entry_e36 - old.cum_entry_e36)
        if event.cum_entry_e36 != market.cum_e36 or event.funding_units != paid:
            raise MirrorBroken(f"funding of {event.account} in {event.market_no} at {event.ref}")
        self._put(apply(account, event))
        self._markets[event.market_no] = replace(
            market,
            sum_abs_size_e18=market.sum_abs_size_e18 + abs(event.size_e18) - abs(old.size_e18),
            holders=market.holders + bool(event.size_e18) - bool(old.size_e18),
            clearing_units=market.clearing_units + event.funding_units,
        )
        self._totals = replace(
            self._totals,
            sum_margin_units=self._totals.sum_margin_units + event.margin_units - account.margin_units,
            sum_quote_units=self._totals.sum_quote_units + event.quote_units - old.quote_units,
            sum_clearing_units=self._totals.sum_clearing_units + event.funding_units,
        )

    def _account(self, address: Address, undo: _Undo) -> Account:
        known = self._accounts.get(address)
        undo.accounts.setdefault(address, known)
        return known or Account(address)

    def _market(self, number: int, undo: _Undo) -> MarketTotals:
        known = self._markets.get(number)
        undo.markets.setdefault(number, known)
        return known or MarketTotals()

    def _put(self, account: Account) -> None:
        if account.address not in self._accounts:
            self._totals = replace(self._totals, accounts=self._totals.accounts + 1)
        self._accounts[account.address] = account

    def _balance(self, undo: _Undo) -> None:
        """Longs equal shorts: what the changed accounts hold more than before sums to nothing in every market."""
        drift: dict[int, int] = {}
        for address, before in undo.accounts.items():
            for sign, account in ((1, self._accounts[address]), (-1, before)):
                for number, position in account.positions.items() if account else ():
                    drift[number] = drift.get(number, 0) + sign * position.size_e18
        if any(drift.values()):
            raise MirrorBroken(f"longs and shorts differ by {drift} after {undo.before}")

    def _restore(self, undo: _Undo) -> None:
        for address, account in undo.accounts.items():
            if account is not None:
                self._accounts[address] = account
            else:
                self._accounts.pop(address, None)
        for number, market in undo.markets.items():
            if market is not None:
                self._markets[number] = market
            else:
                self._markets.pop(number, None)
        self._totals, self._cursor = undo.totals, undo.before

    def _recount(self) -> None:
        """Raises MirrorBroken unless the sums are those of the accounts."""
        held = [item for account in self._accounts.values() for item in account.positions.items()]
        sums: dict[int, tuple[int, int]] = dict.fromkeys(self._markets, (0, 0))
        for number, position in held:
            size, holders = sums.get(number, (0, 0))
            sums[number] = size + abs(position.size_e18), holders + 1
        counted = Totals(
            len(self._accounts),
            sum(account.margin_units for account in self._accounts.values()),
            sum(position.quote_units for _, position in held),
            sum(market.clearing_units for market in self._markets.values()),
        )
        known = {number: (market.sum_abs_size_e18, market.holders) for number, market in self._markets.items()}
        if counted != self._totals or sums != known or self._engine not in self._accounts:
            raise MirrorBroken("the snapshot's sums are not those of its accounts")


def _in_order(events: Sequence[ProtocolEvent], after: int, block: BlockRef) -> Iterator[ProtocolEvent]:
    """Raises MirrorBroken for a log outside the range, of another fork, doubled, or out of order."""
    last = (after, -1)
    for event in events:
        here = (event.ref.block_number, event.ref.log_index)
        inside = after < event.ref.block_number <= block.number
        forked = event.ref.block_number == block.number and event.ref.block_hash != block.hash
        if not inside or forked or here <= last:
            raise MirrorBroken(f"log {event.ref} after {last} up to block {block.number} {block.hash}")
        last = here
        yield event


def sealed(pieces: Iterable[str]) -> str:
    """A snapshot of `Mirror.pieces`, under a checksum."""
    body = "".join(pieces)
    return f'{{"check":"{_checksum(body)}",{body[1:]}'


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _packed(account: Account) -> list[Any]:
    # Field by field: `astuple` copies deeply, and of 50,000 accounts that took most of the time.
    positions = [
        [number, held.size_e18, held.quote_units, held.cum_entry_e36] for number, held in account.positions.items()
    ]
    last = account.last
    told = None if last is None else [last.block_number, last.block_hash, last.log_index, last.tx_hash]
    return [account.address, account.margin_units, positions, told]


def _unpacked(packed: Sequence[Any]) -> Account:
    address, margin, positions, last = packed
    held = {number: Position(*position) for number, *position in positions}
    return Account(Address(address), margin, held, LogRef(*last) if last else None)


def _packed_undo(undo: _Undo) -> list[Any]:
    accounts = [[address, account and _packed(account)] for address, account in undo.accounts.items()]
    markets = [[number, market and astuple(market)] for number, market in undo.markets.items()]
    return [astuple(undo.before), astuple(undo.totals), accounts, markets]


def _unpacked_undo(packed: Sequence[Any]) -> _Undo:
    before, totals, accounts, markets = packed
    return _Undo(
        Cursor(*before),
        Totals(*totals),
        {Address(address): _unpacked(account) if account else None for address, account in accounts},
        {number: MarketTotals(*market) if market else None for number, market in markets},
    )


def _checksum(body: str) -> str:
    return hashlib.blake2b(body.encode(), digest_size=16).hexdigest()


def _verified(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
        check = body.pop("check")
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise MirrorBroken("not a snapshot") from error
    if body.get("version") != SNAPSHOT_VERSION:
        raise MirrorBroken(f"snapshot of version {body.get('version')!r}, wanted {SNAPSHOT_VERSION}")
    if check != _checksum(_json(body)):
        raise MirrorBroken("the snapshot is damaged")
    return dict(body)
