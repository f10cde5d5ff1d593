"""What the admin socket takes about transactions: each order one small function over the outboxes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keeper.app.admin import Verb
from keeper.app.txreason import reason, short
from keeper.app.txview import Row, details, intent_row, row, waiting
from keeper.domain.fees import Fees
from keeper.domain.time import Timestamp
from keeper.domain.transaction import Intent, TxRecord, TxState
from keeper.errors import ConfigError
from keeper.ports.clock import Clock
from keeper.services.outbox.commands import Commands, Replaced
from keeper.services.outbox.service import Outbox


@dataclass(frozen=True, slots=True)
class TxOrders:
    """`forbidden` is why transactions are not sent."""

    outboxes: Sequence[Outbox]
    forbidden: Callable[[], Mapping[str, str]]
    clock: Clock

    def verbs(self) -> Mapping[str, Verb]:
        return {
            "tx": self.list,
            "tx_show": self.show,
            "tx_bump": self.bump,
            "tx_cancel": self.cancel,
            "tx_plunge": self.plunge,
        }

    async def list(self, words: Mapping[str, str]) -> Any:
        """Everything that is not confirmed, by wallet and nonce, then what has no nonce yet."""
        now = self.clock.now()
        chosen = self._chosen(words) if words.get("wallet") else self.outboxes
        return {
            "wallets": [_wallet(outbox) for outbox in chosen],
            "forbidden": dict(self.forbidden()),
            "transactions": [line for outbox in chosen for line in _lines(outbox, now)],
        }

    async def show(self, words: Mapping[str, str]) -> Any:
        """None for what is not on a desk: it may stand in the journal. A nonce has to say whose, if there are several."""
        if not self.outboxes:
            return None
        for outbox in [self._one(words)] if is_nonce(words.get("what", "")) else self._chosen(words):
            for tx in outbox.wallet.desk.open.values():
                if matches(tx, words.get("what", "")):
                    return self._shown(outbox, tx)
            for intent in outbox.wallet.desk.queue.values():
                if intent.id == words.get("what"):
                    return _queued(outbox, intent, self.clock.now())
        return None

    async def bump(self, words: Mapping[str, str]) -> Any:
        outbox = self._one(words)
        return _told(outbox.wallet.role, await Commands(outbox.wallet, outbox.sender).bump(_nonce(words)))

    async def cancel(self, words: Mapping[str, str]) -> Any:
        outbox = self._one(words)
        return _told(outbox.wallet.role, await Commands(outbox.wallet, outbox.sender).cancel(_nonce(words)))

    async def plunge(self, words: Mapping[str, str]) -> Any:
        """All wallets at once. Raises Declined when one of them declines, as all do while halted."""
        chosen = self._chosen(words)
        plunges = (Commands(each.wallet, each.sender).plunge() for each in chosen)
        found = await asyncio.gather(*plunges, return_exceptions=True)
        told: list[Row] = []
        for outbox, done in zip(chosen, found, strict=True):
            if isinstance(done, BaseException):
                raise done
            told += [_told(outbox.wallet.role, each) for each in done]
        return told

    def _shown(self, outbox: Outbox, tx: TxRecord) -> Row:
        wallet = outbox.wallet
        step, why = reason(outbox, tx)
        return {
            **details(tx, self.clock.now(), wallet.desk.block),
            "outcome": None if tx.intent is None else _outcome(outbox, tx.intent),
            "next": step,
            "why": why,
        }

    def _chosen(self, words: Mapping[str, str]) -> Sequence[Outbox]:
        """All wallets, or the one that is named: by its name in keeper.yaml, its address or the beginning of that."""
        named = words.get("wallet", "").lower()
        found = [each for each in self.outboxes if each.wallet.role == named or each.wallet.address.startswith(named)]
        if found:
            return found
        known = _names(self.outboxes)
        raise ConfigError(f"no wallet {named}; the wallets are {known}" if known else "this keeper has no sending key")

    def _one(self, words: Mapping[str, str]) -> Outbox:
        found = self._chosen(words)
        if len(found) > 1:
            raise ConfigError(f"which --wallet? {_names(found)}")
        return found[0]


def _names(outboxes: Sequence[Outbox]) -> str:
    return ", ".join(f"{each.wallet.role} ({each.wallet.address})" for each in outboxes)


def is_nonce(what: str) -> bool:
    """A number too short to be the beginning of a hash."""
    return what.isdecimal() and len(what) < _SHORTEST


def matches(tx: TxRecord, what: str) -> bool:
    """By nonce, by a hash or intent id, or by a beginning of one that is long enough to be meant."""
    if is_nonce(what):
        return tx.nonce == int(what)
    names = [each.hash for each in tx.attempts] + [each.intent.id for each in tx.attempts if each.intent is not None]
    return len(what) >= _SHORTEST and any(name.startswith(what.lower()) for name in names)


_SHORTEST = 8


def _lines(outbox: Outbox, now: Timestamp) -> list[Row]:
    desk = outbox.wallet.desk
    kept = [tx for _, tx in sorted(desk.open.items()) if tx.state is not TxState.CONFIRMED]
    lines = [{**row(tx, now, desk.block), "next": reason(outbox, tx)[0]} for tx in kept]
    queued = [waiting(intent, now) for intent in sorted(desk.queue.values(), key=lambda each: each.lane)]
    return lines + [{**each, "wallet": outbox.wallet.address} for each in queued]


def _queued(outbox: Outbox, intent: Intent, now: Timestamp) -> Row:
    desk = outbox.wallet.desk
    stopped = outbox.wallet.forbids(intent) or desk.paused or desk.stopped
    if not stopped and intent.id in desk.short:
        stopped = short(desk.short[intent.id][1])
    found = {**waiting(intent, now), "wallet": outbox.wallet.address, "intent": intent_row(intent), "made": []}
    return {**found, "receipt": None, "outcome": None, "next": "start", "why": stopped or "waits for a place"}


def _outcome(outbox: Outbox, intent: Intent) -> Row | None:
    told = outbox.wallet.outcomes.get(intent.id)
    record = outbox.wallet.ledger.intent(intent.id)
    if record is None:
        return None if told is None else {"state": told.state.value, "reason": told.reason, "failures": 0}
    return {
        "state": record.state.value,
        "reason": told.reason if told is not None and told.state is record.state else "",
        "failures": record.failures,
    }


def _wallet(outbox: Outbox) -> Row:
    status = outbox.status()
    return {
        "name": status.role,
        "lanes": [lane.name.lower() for lane in sorted(status.lanes)],
        "address": status.address,
        "mined_nonce": status.mined_nonce,
        "next_nonce": status.next_nonce,
        "queued": status.queued,
        "paused": status.paused,
        "balance_wei": status.balance_wei,
        "reserved_wei": status.reserved_wei,
        "runway_s": status.runway_s,
        "block": outbox.wallet.desk.block,
    }


def _nonce(words: Mapping[str, str]) -> int:
    text = words.get("nonce", "")
    if not text.isdecimal():
        raise ConfigError(f"{text or 'nothing'} is no nonce: write a number, as `keeper tx list` shows it")
    return int(text)


def _told(wallet: str, done: Replaced) -> Row:
    return {
        "nonce": done.nonce,
        "wallet": wallet,
        "purpose": done.purpose.value,
        "before": _fees(done.before),
        "after": None if done.after is None else _fees(done.after),
        "hash": done.tx_hash,
        "answer": None if done.answer is None else done.answer.value,
        "limit_wei": None if done.limit is None else done.limit.limit_wei,
        "wanted_wei": None if done.limit is None else done.limit.wanted_wei,
        "short_wei": None if done.short is None else done.short.reserved_wei,
        "balance_wei": None if done.short is None else done.short.balance_wei,
    }


def _fees(fees: Fees) -> Row:
    return {"max_fee_wei": fees.max_fee_wei, "tip_wei": fees.tip_wei}
