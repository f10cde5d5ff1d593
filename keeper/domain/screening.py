"""Which quotes may vote on an index, and at what price; every refusal has a reason.

The order of the tests is the order of `Rejected`; the first that applies is the reason given.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from keeper.domain.ids import SourceId
from keeper.domain.index_spec import IndexSpec, SourceSpec
from keeper.domain.numbers import BPS, E18, text_of
from keeper.domain.quote import Quote, Quotes
from keeper.domain.time import MILLISECOND, Timestamp


class Rejected(StrEnum):
    MISSING = "missing"
    """The source has said nothing yet."""
    FUTURE = "future"
    """A time ahead of ours by more than the allowed skew."""
    STALE = "stale"
    NON_POSITIVE = "non_positive"
    CROSSED = "crossed"
    WIDE = "wide"
    """Neither the mid of a narrow book nor a last trade inside the book."""
    UNCONVERTED = "unconverted"
    """The index of its quote currency is withheld."""
    PEG = "peg"
    """The rate of its quote currency left the guard band: its whole quote group is refused."""
    FROZEN = "frozen"
    QUARANTINED = "quarantined"
    """Nothing is wrong with the quote; its source sits out for its record."""
    OUTLIER = "outlier"
    SPARE = "spare"
    """A fallback, while enough others vote."""
    REFERENCE = "reference"
    """Not a vote: what the index is held against."""


class Refusal(NamedTuple):
    reason: Rejected
    detail: str


class Rejection(NamedTuple):
    """`price_e18` is the converted price, where the quote got as far as having one."""

    source: SourceId
    reason: Rejected
    detail: str
    price_e18: int | None = None


# Tuples and not dataclasses: ten are built for each index at each tick, and a frozen dataclass costs eight times as much.
class PricedQuote(NamedTuple):
    """A quote that may vote: what the venue stated, the rate that converted it (None for the index's own currency)."""

    spec: SourceSpec
    quote: Quote
    price_e18: int
    stated_e18: int
    rate_e18: int | None

    @property
    def source(self) -> SourceId:
        return self.spec.source

    @property
    def group(self) -> str:
        return self.spec.quote


_MID_BPS = 2 * BPS
"""Basis points of a mid, measured against the sum of bid and ask."""
_new = tuple.__new__
"""What a named tuple's own constructor ends in: half of its time."""

Rates = Mapping[str, int | Refusal]
"""Rate (scaled 1e18) of each foreign quote currency, or why there is none."""


def stated_price(quote: Quote, max_spread_bps: int) -> int | Refusal:
    """Mid of an uncrossed book no wider than the limit, rounded down; else the last trade if it lies inside the book.

    A source that states no book at all is taken by its last trade; one that states half a book is refused.
    """
    bid, ask = quote.bid_e18, quote.ask_e18
    if bid is None or ask is None:
        return _last_price(quote)
    if bid <= 0 or ask <= 0:
        return Refusal(Rejected.NON_POSITIVE, f"bid {text_of(bid)}, ask {text_of(ask)}")
    if bid > ask:
        return Refusal(Rejected.CROSSED, f"bid {text_of(bid)} above ask {text_of(ask)}")
    if (ask - bid) * _MID_BPS <= max_spread_bps * (ask + bid):
        return (ask + bid) // 2
    last = quote.last_e18
    if last is not None and bid <= last <= ask:
        return last
    return Refusal(Rejected.WIDE, f"bid {text_of(bid)}, ask {text_of(ask)} exceed {max_spread_bps} bps")


def _last_price(quote: Quote) -> int | Refusal:
    if quote.bid_e18 is not None or quote.ask_e18 is not None:
        return Refusal(Rejected.WIDE, "one side of the book is empty")
    if quote.last_e18 is None:
        return Refusal(Rejected.MISSING, "neither book nor trade")
    if quote.last_e18 <= 0:
        return Refusal(Rejected.NON_POSITIVE, f"last {text_of(quote.last_e18)}")
    return quote.last_e18


def untimely(quote: Quote, spec: SourceSpec, now: Timestamp, max_skew_ns: int) -> Refusal | None:
    """Why the quote's times disqualify it.

    Our receive time must be fresh, and so must the venue's own. A venue that gives no time is as fresh as the last frame
    that confirmed it, but an unchanged content counts for `quiet_max_ns` only, as an exchange drops a constituent that has
    not updated for five minutes (https://www.binance.com/en/support/faq/547ba48141474ab3bddc5d7898f97928).
    """
    age = youngest = now - quote.received_at
    observed = quote.observed_at
    if observed is not None:
        if now - observed > age:
            age = now - observed
        else:
            youngest = now - observed
    if youngest < -max_skew_ns:
        return Refusal(Rejected.FUTURE, f"{-youngest // MILLISECOND} ms ahead")
    if age > spec.max_age_ns:
        return Refusal(Rejected.STALE, f"{age // MILLISECOND} ms old")
    if observed is None and now - quote.changed_at > spec.quiet_max_ns:
        return Refusal(Rejected.STALE, f"unchanged for {(now - quote.changed_at) // MILLISECOND} ms, no venue time")
    return None


def priced(
    source: SourceSpec, quote: Quote | None, spec: IndexSpec, rates: Rates, now: Timestamp
) -> PricedQuote | Refusal:
    """One source's vote, judged by itself. Multiplier and rate are applied one after the other, each rounded down."""
    if quote is None:
        return Refusal(Rejected.MISSING, "no quote yet")
    refusal = untimely(quote, source, now, spec.max_skew_ns)
    if refusal is not None:
        return refusal
    stated = stated_price(quote, spec.max_spread_bps)
    if isinstance(stated, Refusal):
        return stated
    rate = rates.get(source.quote)
    if isinstance(rate, Refusal):
        return rate
    multiplier = source.multiplier_e18
    price = stated if multiplier == E18 else stated * multiplier // E18
    if rate is not None:
        price = price * rate // E18
    if price <= 0:
        return Refusal(Rejected.NON_POSITIVE, "vanishes in the conversion")
    return _new(PricedQuote, (source, quote, price, stated, rate))


def screen(
    spec: IndexSpec,
    quotes: Quotes,
    rates: Rates,
    now: Timestamp,
    benched: Collection[SourceId] = (),
    before: Sequence[PricedQuote] = (),
    spares: bool = False,
) -> tuple[list[PricedQuote], list[Rejection]]:
    """Votes in the order of the spec's sources, and the refused; outliers are judged afterwards, against the votes.

    `benched` sources sit out: their quotes are screened like all others, and do not vote. `before` are votes that this spec
    had at another instant: they save work and change nothing. `spares`: fallbacks vote however many others do.
    """
    accepted, rejected = _swept(spec, quotes, rates, now, {vote[0].source: vote for vote in before})
    if spec.frozen_after_ns is not None:
        accepted = _without_frozen(accepted, rejected, now, spec.frozen_after_ns)
    if benched:
        accepted = _without_benched(accepted, rejected, benched)
    if spec.falls_back and not spares:
        accepted = _without_spares(accepted, rejected, spec.min_sources)
    return accepted, rejected


def _swept(
    spec: IndexSpec, quotes: Quotes, rates: Rates, now: Timestamp, before: Mapping[SourceId, PricedQuote]
) -> tuple[list[PricedQuote], list[Rejection]]:
    """A timely quote with a narrow book passes here, in one sweep: most of what an index costs is spent in these lines.

    So does one that voted before, with its rate unchanged. All others go to `priced`, which says the same of every quote and
    knows the reasons.
    """
    accepted: list[PricedQuote] = []
    rejected: list[Rejection] = []
    newest, max_spread_bps = now + spec.max_skew_ns, spec.max_spread_bps
    for source in spec.sources:
        name = source.source
        quote = quotes.get(name)
        if quote is not None:
            received, observed, oldest = quote.received_at, quote.observed_at, now - source.max_age_ns
            if oldest <= received <= newest and (
                now - quote.changed_at <= source.quiet_max_ns if observed is None else oldest <= observed <= newest
            ):
                vote, rate = before.get(name), rates.get(source.quote)
                if vote is not None and vote[1] is quote and vote[4] == rate:
                    accepted.append(vote)
                    continue
                bid, ask = quote.bid_e18, quote.ask_e18
                if (
                    bid is not None
                    and ask is not None
                    and 0 < bid <= ask
                    and (ask - bid) * _MID_BPS <= max_spread_bps * (doubled := bid + ask)
                    and source.multiplier_e18 == E18
                ):
                    price = stated = doubled // 2
                    if type(rate) is int:
                        price = price * rate // E18
                    if price > 0 and (rate is None or type(rate) is int):
                        accepted.append(_new(PricedQuote, (source, quote, price, stated, rate)))
                        continue
        judged = priced(source, quote, spec, rates, now)
        if isinstance(judged, PricedQuote):
            accepted.append(judged)
        else:
            rejected.append(Rejection(name, judged.reason, judged.detail))
    return accepted, rejected


def _without_benched(
    votes: list[PricedQuote], rejected: list[Rejection], benched: Collection[SourceId]
) -> list[PricedQuote]:
    out = [vote for vote in votes if vote.source in benched]
    rejected += [
        Rejection(vote.source, Rejected.QUARANTINED, "sits out for its record", vote.price_e18) for vote in out
    ]
    return [vote for vote in votes if vote.source not in benched]


def _without_spares(votes: list[PricedQuote], rejected: list[Rejection], enough: int) -> list[PricedQuote]:
    """Drops the fallbacks while the others suffice."""
    regular = [vote for vote in votes if not vote.spec.fallback]
    if len(regular) < enough:
        return votes
    spare = [vote for vote in votes if vote.spec.fallback]
    rejected.extend(Rejection(vote.source, Rejected.SPARE, "enough others vote", vote.price_e18) for vote in spare)
    return regular


def _without_frozen(
    votes: list[PricedQuote], rejected: list[Rejection], now: Timestamp, after_ns: int
) -> list[PricedQuote]:
    """Drops the unchanged if more than half of the *other* votes changed meanwhile: a quiet market freezes nobody.

    A fallback that may be older by its own limit, as one that speaks once a day, is neither dropped nor counted.
    """
    slow = {vote.source for vote in votes if vote.spec.fallback and vote.spec.max_age_ns > after_ns}
    moved = sum(now - vote.quote.changed_at <= after_ns for vote in votes if vote.source not in slow)
    if 2 * moved <= len(votes) - len(slow) - 1:
        return votes
    kept = []
    for vote in votes:
        still_ns = now - vote.quote.changed_at
        if still_ns <= after_ns or vote.source in slow:
            kept.append(vote)
        else:
            detail = f"unchanged for {still_ns // MILLISECOND} ms while {moved} others moved"
            rejected.append(Rejection(vote.source, Rejected.FROZEN, detail, vote.price_e18))
    return kept
