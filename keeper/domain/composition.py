"""One index with every choice that an operator has: outlier rules, a ladder below the quorum, caps, rounding, checks.

The order is that of the plain way (`keeper.domain.index`): screen and convert, judge outliers, count, combine; then the groups
are held against each other, and the price is rounded last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from keeper.domain.aggregation import Vote, weighted_mean, weighted_median
from keeper.domain.ballots import Ruled, averaged, ruled_on
from keeper.domain.ids import SourceId
from keeper.domain.index import NOBODY, IndexFlag, IndexPrice, Withheld, WithheldReason, shortfall, unrepresentable
from keeper.domain.index_methods import ClampedWeightedMean, QuoteGroupMedian, limits
from keeper.domain.index_spec import IndexSpec, OnDepeg
from keeper.domain.index_state import IndexFold, IndexState, Traded
from keeper.domain.ladder import Rung
from keeper.domain.numbers import MAX_PRICE_E18, exceeds_bps
from keeper.domain.quote import Quotes
from keeper.domain.quote_groups import apart, crossed, group_votes, votes_of
from keeper.domain.screening import PricedQuote, Rates, Refusal, Rejection, screen
from keeper.domain.time import Timestamp


class Given(NamedTuple):
    """What an index is computed from besides quotes and rates: the last price, its memory, its sources' trades, and which
    of them sit out. `spares`: its fallbacks vote however many others do.
    """

    last_e18: int | None
    state: IndexState
    traded: Mapping[SourceId, Traded]
    benched: frozenset[SourceId] = NOBODY
    spares: bool = False


class Made(NamedTuple):
    """`at`: when it was computed, before now for one that is held. `weights` of the votes, where not as configured."""

    price_e18: int
    flags: tuple[IndexFlag, ...]
    at: Timestamp
    weights: tuple[int, ...] = ()


Refused = tuple[WithheldReason, str]


def composed_price(
    spec: IndexSpec, quotes: Quotes, rates: Rates, given: Given, now: Timestamp
) -> IndexPrice | Withheld:
    """The index of `spec` at `now`; its `fold` is there where something beyond quotes, rates and last price counted."""
    inputs, rejected = screen(spec, quotes, rates, now, given.benched, spares=given.spares)
    if spec.method.by_volume:
        inputs = averaged(inputs, given.traded, rejected)
    ruled = ruled_on(spec, inputs, given.traded, rejected, given.state, now)
    found = _depegged(spec, rates) or _decided(spec, ruled, given, now)
    return _told(spec, found, ruled, rejected, given, now)


def _depegged(spec: IndexSpec, rates: Rates) -> Refused | None:
    for quote, peg in spec.conversions.items():
        rate = rates[quote]
        if peg.on_depeg is OnDepeg.WITHHOLD and isinstance(rate, Refusal):
            return WithheldReason.DEPEG, f"{quote}: {rate.detail}"
    return None


def _decided(spec: IndexSpec, ruled: Ruled, given: Given, now: Timestamp) -> Made | Refused:
    """By the quorum, or by the rung of the ladder for what is left."""
    have = len(ruled.kept)
    if have >= spec.min_sources or (have == 2 and spec.allow_two):
        missing = shortfall(spec, ruled.kept, given.last_e18) or _too_few_operators(spec, ruled.kept)
        return missing or _combined(spec, ruled, Rung.USUAL, (), now)
    rung = spec.ladder.of(have)
    if rung is Rung.NEAR_LAST:
        rung = Rung.USUAL if _near_last(spec, ruled.kept, given.last_e18) else Rung.HOLD
    if rung is Rung.HOLD:
        return _held(spec, given, now)
    if rung is Rung.WITHHOLD:
        return WithheldReason.SOURCES, f"{have} of {spec.min_sources} sources"
    if have == 2 and (missing := _unlike(spec, ruled.kept)):
        return missing
    flag = IndexFlag.TWO_SOURCES if have == 2 else IndexFlag.ONE_SOURCE
    return _combined(spec, ruled, rung, (flag,), now)


def _too_few_operators(spec: IndexSpec, votes: Sequence[PricedQuote]) -> Refused | None:
    if spec.min_operators == 1:
        return None
    operators = len({vote.spec.run_by for vote in votes})
    if operators >= spec.min_operators:
        return None
    return WithheldReason.OPERATORS, f"{operators} of {spec.min_operators} operators"


def _unlike(spec: IndexSpec, votes: Sequence[PricedQuote]) -> Refused | None:
    """Two that the ladder lets do must still be of as many groups and operators as the quorum asks for."""
    groups = len({vote.group for vote in votes})
    if groups < spec.min_quote_groups:
        return WithheldReason.QUOTE_GROUPS, f"{groups} of {spec.min_quote_groups} quote groups"
    return _too_few_operators(spec, votes)


def _near_last(spec: IndexSpec, votes: Sequence[PricedQuote], last_e18: int | None) -> bool:
    if last_e18 is None:
        return False
    reach = spec.ladder.reach_bps(len(votes))
    return not any(exceeds_bps(vote.price_e18, last_e18, reach) for vote in votes)


def _held(spec: IndexSpec, given: Given, now: Timestamp) -> Made | Refused:
    computed_at = given.state.computed_at
    if given.last_e18 is None or computed_at is None:
        return WithheldReason.SOURCES, "too few sources and no last index to hold"
    if not 0 <= now - computed_at <= spec.ladder.hold_max_ns:
        return WithheldReason.SOURCES, "too few sources, and the last index has been held for long enough"
    return Made(given.last_e18, (IndexFlag.HELD,), computed_at)


def _combined(
    spec: IndexSpec, ruled: Ruled, rung: Rung, flags: tuple[IndexFlag, ...], now: Timestamp
) -> Made | Refused:
    # A median of all counts each alike, as far as the caps let it: whom they hold below half is not the middle by many venues.
    weights: Sequence[int] | None = [1 if ruled.by_median else ballot.weight for ballot in ruled.ballots]
    if spec.caps is not None and rung is not Rung.EQUAL:
        weights = spec.caps.weights([vote.spec for vote in ruled.kept], weights or ())
    if weights is None:
        return WithheldReason.CAPS, f"no weights of {len(ruled.kept)} sources keep the caps"
    groups: dict[str, int] = {}
    if spec.method.by_group:
        groups = group_votes((vote.group, price) for vote, (_, price, _) in zip(ruled.kept, ruled.ballots, strict=True))
        votes = votes_of(groups)
    else:
        votes = sorted((price, weight) for (_, price, _), weight in zip(ruled.ballots, weights, strict=True))
    if ruled.by_median:
        return _checked(spec, ruled, groups, Made(weighted_median(votes), (*flags, IndexFlag.MEDIAN), now))
    if rung is Rung.EQUAL:
        weights = [1] * len(weights)
        price, limited = weighted_mean([(price, 1) for price, _ in votes]), ruled.limited
    else:
        price, limited = _by_method(spec, votes)
        limited = limited or ruled.limited
    flags = (*flags, IndexFlag.LIMITED) if limited else flags
    usual = all(weight == vote.spec.weight for vote, weight in zip(ruled.kept, weights, strict=True))
    return _checked(spec, ruled, groups, Made(price, flags, now, () if usual else tuple(weights)))


def _by_method(spec: IndexSpec, votes: Sequence[Vote]) -> tuple[int, bool]:
    """The price, and whether the method moved a vote. Caps bind the centre of a clamp too, or many venues of one would be it."""
    if spec.caps is not None and isinstance(spec.method, ClampedWeightedMean):
        center = weighted_median(votes)
        return spec.method.combine_about(votes, center), spec.method.limits(votes, center)
    return spec.method.combine(votes), limits(spec.method, votes)


def _checked(spec: IndexSpec, ruled: Ruled, groups: dict[str, int], made: Made) -> Made | Refused:
    """Whether the quote groups agree. A group in the index's own currency needs no rate, and decides."""
    if isinstance(spec.method, QuoteGroupMedian):
        limit = spec.method.max_group_spread_bps
        own = groups.get(spec.quote)
        difference = apart(groups, limit)
        if difference and (own is None or exceeds_bps(made.price_e18, own, limit)):
            return WithheldReason.GROUPS_APART, difference
        return made._replace(flags=(*made.flags, IndexFlag.GROUPS_APART)) if difference else made
    check = spec.cross_check
    if check is None or (difference := crossed(made.price_e18, ruled.kept, check.max_bps)) is None:
        return made
    if check.withhold:
        return WithheldReason.CROSS_CHECK, difference
    return made._replace(flags=(*made.flags, IndexFlag.CROSS_CHECK))


def _told(
    spec: IndexSpec, found: Made | Refused, ruled: Ruled, rejected: Sequence[Rejection], given: Given, now: Timestamp
) -> IndexPrice | Withheld:
    """Rounded last, with the state that this tick leaves."""
    inputs, refused, rounding = tuple(ruled.kept), tuple(rejected), spec.rounding
    if isinstance(found, Made):
        raw = found.price_e18
        price = raw if rounding is None else rounding.rounded(raw)
        if 0 < price <= MAX_PRICE_E18:
            fold, told = _fold(spec, ruled, given, found.at, now), None if rounding is None else raw
            return IndexPrice(spec.id, price, found.at, inputs, refused, found.flags, told, fold, weights=found.weights)
        found = unrepresentable(price)
    return Withheld(spec.id, *found, now, inputs, refused, _fold(spec, ruled, given, given.state.computed_at, now))


def _fold(
    spec: IndexSpec, ruled: Ruled, given: Given, computed_at: Timestamp | None, now: Timestamp
) -> IndexFold | None:
    if not spec.remembers and not spec.method.by_volume:
        return None
    traded = {source.source: given.traded[source.source] for source in spec.sources if source.source in given.traded}
    if not spec.remembers:
        return IndexFold(given.state, given.state, traded)
    return IndexFold(given.state, IndexState(ruled.watched, computed_at, now), traded)
