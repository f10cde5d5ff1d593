"""The record behind one market's prices: enough to compute them again bit for bit, and why each refused quote was refused.

It is written straight into its canonical spelling (`keeper.domain.evidence`: sorted keys, no spaces, numbers as texts), since
every due market writes one on the way to the chain. `keeper.domain.recall` reads it back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from json.encoder import encode_basestring
from typing import Any

from keeper.domain.condition import ConditionState
from keeper.domain.confirmation import ConfirmationState
from keeper.domain.evidence import canonical_json
from keeper.domain.gate import Open, Shut
from keeper.domain.guard import GuardState, Held, Pass
from keeper.domain.ids import IndexId, SourceId
from keeper.domain.index import IndexPrice, PricedQuote, Rejection, Withheld
from keeper.domain.index_state import IndexFold
from keeper.domain.mark.method import FundingEstimate, MarkInputs, MarkPrice, Plain, Reference
from keeper.domain.off_hours import SessionTurn
from keeper.domain.premium import CarriedPremium, ImpactPrices
from keeper.domain.publishing import OnChain
from keeper.domain.quote import Depth, Level, Quote, Quotes, Trade
from keeper.domain.rates.fold import Rated
from keeper.domain.report import MarketPrice
from keeper.domain.session import SessionRules

FORMAT = 2


@dataclass(frozen=True, slots=True)
class Occasion:
    """What made an entry due in this round: `held` is what it was measured against, as known at `block`; None before the first."""

    round_id: int
    trigger: str
    deviation_bps: int
    age_ms: int
    block: int
    held: OnChain | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """All that one market's entry in a batch was decided from, and the entry.

    `indices`: the market's own index first, then those that convert for it, each with its votes, its refusals and its state
    before the step. `quotes` is the snapshot that they were computed from, `last` the last indices as given to them, `mark_state` the mark's state
    before the step, `impact` the impact prices (None: the book was not deep enough), `carried` the premium that stands in
    for a missing one, `accepted` the last indices that the operator gave his word for, `guard_before` the guard's state before
    its verdict `guard`, `gate` whether liquidations may act on it, `condition_before` the market's condition before the step,
    `due` why it was published, `rated` the funding method's estimate, where one is chosen, and `notes` anything else that
    canonical JSON can say.
    """

    entry: MarketPrice
    config_hash: str
    code_version: str
    indices: tuple[IndexPrice | Withheld, ...]
    quotes: Quotes
    last: Mapping[IndexId, int]
    inputs: MarkInputs
    mark: MarkPrice
    mark_state: Plain
    impact: ImpactPrices | None = None
    carried: CarriedPremium = field(default_factory=CarriedPremium)
    notes: Mapping[str, Any] = field(default_factory=dict)
    accepted: Mapping[IndexId, int] = field(default_factory=dict)
    guard_before: GuardState | None = None
    guard: Pass | Held | None = None
    gate: Open | Shut | None = None
    due: Occasion | None = None
    rated: Rated | None = None
    condition_before: ConditionState | None = None
    session: Mapping[str, Any] | None = None
    """Of a market with sessions: what made its index of what its sources said (`session_record`)."""


_IDLE = ConfirmationState()

Spelled = dict[tuple[int, int, int], str]
"""Indices that are spelled already, by the identity of what they are spelled from."""


def canonical_record(decision: Decision, spelled: Spelled | None = None) -> str:
    """The record in its one spelling: what is journalled, hashed and handed to co-signers.

    `spelled` is given to all records of one batch, whose markets share the indices that convert for them; it must not
    outlive their decisions. Raises ValueError if the notes or the state before the step cannot be spelled.
    """
    inputs, entry = decision.inputs, decision.entry
    indices = ",".join([_shared(index, decision, {} if spelled is None else spelled) for index in decision.indices])
    return (
        f'{{"accepted":{_accepted(decision.accepted)},"book":{_depth(inputs.book)},"carried":{_carried(decision.carried)},"code":{_text(decision.code_version)},{_condition(decision.condition_before)}"config":{_text(decision.config_hash)},'
        f'"due":{_due(decision.due)},"entry":{{"index":"{entry.index_e18}","mark":"{entry.mark_e18}","no":"{entry.market_no}",'
        f'"premium":"{entry.premium_e18}"}},"format":"{FORMAT}","funding":{_funding(inputs.funding)},'
        f'"gate":{_gate(decision.gate)},"guard":{_guard(decision.guard, decision.guard_before)},'
        f'"impact":{_impact(decision.impact)},"indices":[{indices}],"mark":{_mark(decision.mark, decision.mark_state)},'
        f'"market":{_text(entry.market)},"notes":{canonical_json(decision.notes)},"now":"{inputs.now}",'
        f'{_rated(decision.rated)}"references":[{",".join([_reference(each, decision.quotes) for each in inputs.references])}],'
        f'{_session(decision.session)}"trade":{_trade(inputs.trade)}}}'
    )


def session_record(rules: SessionRules | None, turn: SessionTurn | None) -> Mapping[str, Any] | None:
    """Hours, rules and the state before the step: with the quotes enough to compute the market's index again."""
    if rules is None or turn is None:
        return None
    return {
        "calendar": rules.calendar.name,
        "phase": turn.hours.phase.value,
        "since": turn.hours.since,
        "until": turn.hours.until,
        "off_hours": rules.off_hours.value,
        "half_life": rules.drift_half_life_ns,
        "band_bps": rules.drift_band_bps,
        "own_mid": turn.own_mid_e18,
        "state_before": turn.before.to_plain(),
    }


def _session(session: Mapping[str, Any] | None) -> str:
    """Left out where there is none, so that the other records keep their spelling."""
    return "" if session is None else f'"session":{canonical_json(session)},'


def _text(text: str | None) -> str:
    return "null" if text is None else encode_basestring(text)


def _number(number: int | None) -> str:
    return "null" if number is None else f'"{number}"'


def _accepted(accepted: Mapping[IndexId, int]) -> str:
    return "{}" if not accepted else canonical_json(accepted)


def _due(due: Occasion | None) -> str:
    if due is None:
        return "null"
    return (
        f'{{"age_ms":"{due.age_ms}","block":"{due.block}","deviation_bps":"{due.deviation_bps}","held":{_held(due.held)},'
        f'"round":"{due.round_id}","trigger":{_text(due.trigger)}}}'
    )


def _held(held: OnChain | None) -> str:
    if held is None:
        return "null"
    return (
        f'{{"index":"{held.index_e18}","mark":"{held.mark_e18}","observed_s":"{held.observed_at_s}",'
        f'"round":"{held.round_id}"}}'
    )


def _gate(gate: Open | Shut | None) -> str:
    if gate is None:
        return "null"
    doubts = "" if isinstance(gate, Open) else ",".join([f'"{doubt.value}"' for doubt in gate.reasons])
    return f'{{"doubts":[{doubts}],"since":"{gate.since}"}}'


def _guard(verdict: Pass | Held | None, before: GuardState | None) -> str:
    if verdict is None or before is None:
        return "null"
    word = f'"{verdict.reason.value}"' if isinstance(verdict, Held) else "null"
    confirmed = "true" if isinstance(verdict, Pass) and verdict.confirmed else "false"
    return (
        f'{{"confirmed":{confirmed},"held":{word},"jump_bps":"{verdict.jump_bps}",'
        f'"state_before":{{"anchor":{_number(before.anchor_e18)},"anchored":{_number(before.anchored_at)},'
        f'"confirmation":{_confirmation(before.confirmation)},"held_since":{_number(before.held_since)},'
        f'"passed":{_number(before.passed_e18)}}}}}'
    )


def _confirmation(state: ConfirmationState) -> str:
    """Nothing is being confirmed nearly always."""
    if state == _IDLE:
        return "null"
    return (
        f'{{"agreed":{_number(state.agreed_at)},"agreed_ns":"{state.agreed_ns}","direction":"{state.direction}",'
        f'"trusted":"{state.trusted_direction}","trusted_until":{_number(state.trusted_until)}}}'
    )


def _shared(index: IndexPrice | Withheld, decision: Decision, spelled: Spelled) -> str:
    key = id(index), id(decision.quotes), id(decision.last)
    if key not in spelled:
        spelled[key] = _index(index, decision)
    return spelled[key]


def _condition(before: ConditionState | None) -> str:
    return "" if before is None else f'"condition":{{"state_before":{canonical_json(before.to_plain())}}},'


def _benched(benched: Collection[SourceId]) -> str:
    """Sources that were to sit out; nothing at all where none was."""
    return f'"benched":[{",".join([_text(source) for source in sorted(benched)])}],' if benched else ""


def _index(index: IndexPrice | Withheld, decision: Decision) -> str:
    detail, price, reason = (
        (index.detail, None, index.reason.value) if isinstance(index, Withheld) else (None, index.price_e18, None)
    )
    flags, raw = ((), None) if isinstance(index, Withheld) else (index.flags, index.raw_e18)
    votes = ",".join([_vote(vote) for vote in index.inputs])
    refused = ",".join([_rejection(rejection, decision.quotes) for rejection in index.rejected])
    return (
        f'{{"as_of":"{index.as_of}",{_benched(index.benched)}"detail":{_text(detail)},"flags":[{",".join([_text(flag.value) for flag in flags])}],'
        f'"id":{_text(index.index)},"inputs":[{votes}],"last":{_number(decision.last.get(index.index))},'
        f'"price":{_number(price)},"raw":{_number(raw)},"rejected":[{refused}],{_fold(index.fold)},'
        f'"withheld":{_text(reason)}}}'
    )


def _fold(fold: IndexFold | None) -> str:
    """Of an index without a memory and without trades nothing: its state is the start, whatever it was."""
    if fold is None:
        return '"state_before":null,"traded":{}'
    traded = ",".join(
        [
            f'{_text(source)}:{{"price":"{found.price_e18}","volume":"{found.volume_e18}"}}'
            for source, found in sorted(fold.traded.items())
        ]
    )
    return f'"state_before":{canonical_json(fold.before.to_plain())},"traded":{{{traded}}}'


def _vote(vote: PricedQuote) -> str:
    quote = vote.quote
    return (
        f'{{"ask":{_number(quote.ask_e18)},"bid":{_number(quote.bid_e18)},"changed":"{quote.changed_at}",'
        f'"frame":{_text(quote.frame_hash)},"last":{_number(quote.last_e18)},"observed":{_number(quote.observed_at)},'
        f'"price":"{vote.price_e18}","rate":{_number(vote.rate_e18)},"received":"{quote.received_at}",'
        f'"sequence":{_number(quote.sequence)},"source":{_text(quote.source)},"weight":"{vote.spec.weight}"}}'
    )


def _rejection(rejection: Rejection, quotes: Quotes) -> str:
    quote = quotes.get(rejection.source)
    return (
        f'{{"detail":{_text(rejection.detail)},"price":{_number(rejection.price_e18)},'
        f'"quote":{"null" if quote is None else _quote(quote)},"reason":"{rejection.reason.value}",'
        f'"source":{_text(rejection.source)}}}'
    )


def _quote(quote: Quote) -> str:
    return (
        f'{{"ask":{_number(quote.ask_e18)},"bid":{_number(quote.bid_e18)},"changed":"{quote.changed_at}",'
        f'"frame":{_text(quote.frame_hash)},"last":{_number(quote.last_e18)},"observed":{_number(quote.observed_at)},'
        f'"received":"{quote.received_at}","sequence":{_number(quote.sequence)},"source":{_text(quote.source)}}}'
    )


def _depth(book: Depth | None) -> str:
    if book is None:
        return "null"
    return (
        f'{{"asks":[{_side(book.asks)}],"bids":[{_side(book.bids)}],"frame":{_text(book.frame_hash)},'
        f'"observed":{_number(book.observed_at)},"received":"{book.received_at}","sequence":{_number(book.sequence)},'
        f'"source":{_text(book.source)}}}'
    )


def _side(levels: Sequence[Level]) -> str:
    return ",".join([f'["{price}","{size}"]' for price, size in levels])


def _trade(trade: Trade | None) -> str:
    if trade is None:
        return "null"
    return (
        f'{{"frame":{_text(trade.frame_hash)},"id":{_text(trade.trade_id)},"observed":{_number(trade.observed_at)},"price":"{trade.price_e18}",'
        f'"received":"{trade.received_at}","size":"{trade.size_e18}","source":{_text(trade.source)}}}'
    )


def _funding(funding: FundingEstimate | None) -> str:
    if funding is None:
        return "null"
    return f'{{"boundary":"{funding.boundary_s}","interval":"{funding.interval_s}","rate":"{funding.rate_e18}"}}'


def _reference(reference: Reference, quotes: Quotes) -> str:
    quote = quotes.get(reference.source)
    return (
        f'{{"price":"{reference.mid_e18}","quote":{"null" if quote is None else _quote(quote)},'
        f'"source":{_text(reference.source)},"weight":"{reference.weight}"}}'
    )


def _impact(impact: ImpactPrices | None) -> str:
    return "null" if impact is None else f'{{"ask":"{impact.ask_e18}","bid":"{impact.bid_e18}"}}'


def _carried(carried: CarriedPremium) -> str:
    return f'{{"sampled":{_number(carried.sampled_at)},"value":"{carried.value_e18}"}}'


def _rated(rated: Rated | None) -> str:
    """Nothing at all without a method: a record without one is spelled as ever."""
    if rated is None:
        return ""
    estimate = rated.estimate
    charge, span = estimate.charge, estimate.span
    flags = ",".join([f'"{flag.value}"' for flag in charge.flags])
    before = None if rated.before is None else rated.before.to_plain()
    return (
        f'"rates":{{"boundary":"{span.boundary_s}","flags":[{flags}],"interval":"{span.interval_s}",'
        f'"method":{_text(estimate.method)},"premium":"{charge.premium_e18}","rate":"{charge.rate_e18}",'
        f'"state_before":{canonical_json(before)}}},'
    )


def _mark(mark: MarkPrice, state: Plain) -> str:
    components = ",".join([f'{_text(name)}:"{value}"' for name, value in sorted(mark.components)])
    flags = ",".join([f'"{flag.value}"' for flag in mark.flags])
    return (
        f'{{"components":{{{components}}},"flags":[{flags}],"method":{_text(mark.method)},"price":"{mark.price_e18}",'
        f'"state_before":{canonical_json(state)}}}'
    )
