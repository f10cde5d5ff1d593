"""What a wallet's transactions could cost at most, whether that fits its balance, and for how long the balance lasts.

A pool refuses what an account could not pay if everything of it were mined at its fee cap: Σ (gas limit · fee cap + value)
over the account's nonces is at most its balance, and a replacement counts by what it costs more (go-ethereum
core/txpool/validation.go, `ValidateTransactionWithState`). All amounts are wei.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from keeper.domain.fees import FeeLimit
from keeper.domain.time import SECOND, Timestamp
from keeper.domain.transaction import INCLUDED, NEVER_POOLED, UNMINED, Attempt, TxRecord

_HOUR_NS = 3600 * SECOND
_WINDOW_H = 24
_SHORTEST_NS = 600 * SECOND


@dataclass(frozen=True, slots=True)
class Balance:
    """What the wallet had in the state after `block`."""

    wei: int
    block: int


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Not signed: with it `reserved_wei` would be reserved, and the wallet has `balance_wei`. `cost_wei`: its own share."""

    cost_wei: int
    reserved_wei: int
    balance_wei: int

    @property
    def passes(self) -> bool:
        """It fits once what is under way is mined. Otherwise only a refill helps."""
        return self.cost_wei <= self.balance_wei


Unraised = FeeLimit | Shortfall
"""Why a nonce keeps the bytes that it has."""


def most(gas_limit: int, max_fee_wei: int, value_wei: int = 0) -> int:
    """The most that one transaction can cost."""
    return gas_limit * max_fee_wei + value_wei


def cost(attempt: Attempt) -> int:
    value_wei = 0 if attempt.intent is None else attempt.intent.call.value_wei
    return most(attempt.gas_limit, attempt.fees.max_fee_wei, value_wei)


def held(tx: TxRecord) -> int:
    """What a nonce that is not mined may cost: its dearest form that a pool may hold, else what is offered to pools again."""
    if tx.state not in UNMINED:
        return 0
    pooled = [cost(each) for each in tx.attempts if each.answer not in NEVER_POOLED]
    return max(pooled, default=cost(tx.last))


def reserved(txs: Iterable[TxRecord], balance: Balance | None) -> int:
    """Of all nonces that the balance, as it was read, has not paid for yet."""
    return sum(_owed(tx, balance) for tx in txs)


def _owed(tx: TxRecord, balance: Balance | None) -> int:
    if balance is None:
        return held(tx)
    if tx.state in INCLUDED and tx.receipt is not None and tx.winner is not None:
        return cost(tx.winner) if tx.receipt.block_number > balance.block else 0
    consumed = tx.missing_since is not None and tx.missing_since <= balance.block
    return 0 if consumed else held(tx)


def shortfall(balance: Balance | None, others_wei: int, cost_wei: int, held_wei: int = 0) -> Shortfall | None:
    """Why a form of `cost_wei` may not be signed for a nonce that may cost `held_wei` already; None: it may.

    `others_wei` is reserved for all other nonces. An unknown balance holds back nothing, and neither does a form that
    costs no more than the nonce does already.
    """
    after_wei = others_wei + cost_wei
    if balance is None or cost_wei <= held_wei or after_wei <= balance.wei:
        return None
    return Shortfall(cost_wei, after_wei, balance.wei)


@dataclass(frozen=True, slots=True)
class Spending:
    """A fold of balances: what left the wallet, by the hour, over the last day. What came in is not netted."""

    since: Timestamp
    wei: int
    hours: tuple[tuple[int, int], ...] = ()

    def read(self, wei: int, at: Timestamp) -> Spending:
        hour, spent_wei = at // _HOUR_NS, max(0, self.wei - wei)
        kept = {number: each for number, each in self.hours if hour - _WINDOW_H < number <= hour}
        kept[hour] = kept.get(hour, 0) + spent_wei
        first = Timestamp((hour - _WINDOW_H + 1) * _HOUR_NS)
        return replace(self, since=max(self.since, first), wei=wei, hours=tuple(sorted(kept.items())))

    def runway_s(self, now: Timestamp) -> int | None:
        """For how long the balance lasts at this pace; None in the first ten minutes, and when nothing is spent."""
        spent_wei = sum(each for _, each in self.hours)
        watched_ns = now - self.since
        if watched_ns < _SHORTEST_NS or not spent_wei:
            return None
        return self.wei * watched_ns // (spent_wei * SECOND)
