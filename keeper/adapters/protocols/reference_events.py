"""Logs of the reference protocol as the keeper's events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Any

from keeper.adapters.encoding.contract import ContractPlan, EventPlan
from keeper.adapters.protocols.contracts import contracts
from keeper.domain import events
from keeper.domain.chain import Log
from keeper.domain.events import LogRef, ProtocolEvent
from keeper.domain.ids import Hash
from keeper.errors import AbiMismatch

_NOUNS: Mapping[str, tuple[Callable[..., ProtocolEvent], str]] = {
    "BatchPushed": (events.BatchPushed, "roundId submitter observedAt epoch evidence signerBitmap accepted"),
    "PriceUpdated": (events.PriceUpdated, "marketId roundId observedAt index mark premium acc covered"),
    "PriceSkipped": (events.PriceSkipped, "marketId roundId reason"),
    "MarginChanged": (events.MarginChanged, "account cause delta margin"),
    "PositionChanged": (
        events.PositionChanged,
        "account marketId cause delta cash funding fee size quote cumEntry margin",
    ),
    "FundingSettled": (
        events.FundingSettled,
        "marketId boundary intervals premium covered rate mark cum snapS snapV caller",
    ),
    "Liquidated": (
        events.Liquidated,
        "account marketId liquidator size mark equity maintenance penalty reward loss",
    ),
    "LiquidationSkipped": (events.LiquidationSkipped, "account marketId reason"),
    "Deleveraged": (events.Deleveraged, "bankrupt counterparty marketId size mark loss cover"),
}
"""Which fields of an event, in which order, make the noun behind its LogRef."""

_RULES = frozenset(
    {
        "FeedConfigured",
        "SignersSet",
        "LimitsSet",
        "FrozenSet",
        "PausedSet",
        "RoleSet",
        "MarketConfigured",
        "CollateralConfigured",
        # No noun carries collateral, and no deployment has any yet: what it means is that accounts must be read again.
        "CollateralChanged",
    }
)

_SILENT = frozenset({"FundingResidue", "FeesCollected"})
"""Bookkeeping between the protocol's own pots: the margins it moves are in events of their own."""


@dataclass(frozen=True, slots=True)
class LogPlan:
    """How to read one event. `take` picks the noun's fields in its order; without a noun it is a change of rules."""

    event: EventPlan
    noun: Callable[..., ProtocolEvent] | None
    take: Callable[[tuple[Any, ...]], tuple[Any, ...]]

    def decode(self, log: Log) -> Sequence[ProtocolEvent]:
        """Raises AbiMismatch."""
        values = self.event.decode(log.topics, log.data)
        ref = LogRef(log.block_number, log.block_hash, log.log_index, log.tx_hash)
        if self.noun is not None:
            return (self.noun(ref, *self.take(values)),)
        return () if self.event.name in _SILENT else (events.RulesChanged(ref, self.event.name),)


@cache
def oracle_logs() -> Mapping[Hash, LogPlan]:
    """By topic 0. Raises AbiMismatch if the ABI is not the one that this adapter understands."""
    return _plans(contracts().oracle)


@cache
def exchange_logs() -> Mapping[Hash, LogPlan]:
    """By topic 0. Raises AbiMismatch if the ABI is not the one that this adapter understands."""
    return _plans(contracts().exchange)


def _plans(contract: ContractPlan) -> Mapping[Hash, LogPlan]:
    return {event.topic0: _plan(event) for event in contract.events.values()}


def _plan(event: EventPlan) -> LogPlan:
    if event.name in _RULES | _SILENT:
        return LogPlan(event, None, tuple)
    if event.name not in _NOUNS:
        raise AbiMismatch(f"nothing is known about the event {event.name}")
    noun, wanted = _NOUNS[event.name]
    if missing := set(wanted.split()) - set(event.fields):
        raise AbiMismatch(f"the event {event.name} has no {', '.join(sorted(missing))}")
    return LogPlan(event, noun, itemgetter(*map(event.fields.index, wanted.split())))


def word_topic(value: Any) -> Hash:
    """An indexed number or address (hexadecimal text) as a topic."""
    return Hash(f"0x{int(value, 16) if isinstance(value, str) else value:064x}")
