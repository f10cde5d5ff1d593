"""Outlier rules by the name that an operator writes, beside the band that is the default (`keeper.domain.outliers`).

Each judges three votes or more by their distance from the centre, that is their median as the method counts; of two nobody
can say which is wrong. A rule's fields are its options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple, Protocol

from keeper.domain.aggregation import around
from keeper.domain.grade import Grade
from keeper.domain.ids import SourceId
from keeper.domain.index_state import IndexState, Memory
from keeper.domain.numbers import BPS, clamp, exceeds_bps
from keeper.domain.time import Timestamp, nanos


class Ballot(NamedTuple):
    """What one source's vote counts as."""

    source: SourceId
    price_e18: int
    weight: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """`kept` in the order given, moved or reweighted as the rule has it; `refused` with the reason in words.

    `by_median`: too many are off for the method to go by; the median of the kept decides. `limited`: one of the kept was
    moved or counts less.
    """

    kept: Sequence[Ballot]
    refused: Mapping[SourceId, str] = field(default_factory=dict)
    watched: Memory = field(default_factory=dict)
    by_median: bool = False
    limited: bool = False


class OutlierRule(Protocol):
    """`remembers`: `state` before the step counts, and what the judgement watches must be kept."""

    name: ClassVar[str]
    grade: ClassVar[Grade]
    remembers: ClassVar[bool]

    def judge(self, ballots: Sequence[Ballot], center_e18: int, state: IndexState, now: Timestamp, /) -> Judgement: ...


@dataclass(frozen=True, slots=True)
class KeepAll:
    """Nobody is refused: the method alone decides, as Deribit's does by its own clamp."""

    name: ClassVar[str] = "keep_all"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    remembers: ClassVar[bool] = False

    def judge(self, ballots: Sequence[Ballot], _center_e18: int, _state: IndexState, _now: Timestamp) -> Judgement:
        return Judgement(ballots)


@dataclass(frozen=True, slots=True)
class Clamp:
    """Moved to within `clamp_bps` of the centre, and nobody refused. OKX 200, Binance 300 and for BTC and ETH 100.

    https://www.okx.com/help/i-spot-index-prices
    """

    clamp_bps: int = 300

    name: ClassVar[str] = "clamp"
    grade: ClassVar[Grade] = Grade.CONSISTENT
    remembers: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _within(clamp_bps=self.clamp_bps)

    def judge(self, ballots: Sequence[Ballot], center_e18: int, _state: IndexState, _now: Timestamp) -> Judgement:
        if len(ballots) < 3:
            return Judgement(ballots)
        low, high = around(center_e18, self.clamp_bps)
        kept = [ballot._replace(price_e18=clamp(ballot.price_e18, low, high)) for ballot in ballots]
        return Judgement(kept, limited=kept != ballots)


@dataclass(frozen=True, slots=True)
class ZeroWeight:
    """Beyond `beyond_bps` a vote counts nothing; where more than `max_deviating` are, the median of all decides.

    Binance's rule of 2019: 500 and 1 (https://www.binance.com/en/support/faq/547ba48141474ab3bddc5d7898f97928).
    """

    beyond_bps: int = 500
    max_deviating: int = 1

    name: ClassVar[str] = "zero_weight"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    remembers: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _within(beyond_bps=self.beyond_bps)
        if self.max_deviating < 1:
            raise ValueError("max_deviating must be at least 1")

    def judge(self, ballots: Sequence[Ballot], center_e18: int, _state: IndexState, _now: Timestamp) -> Judgement:
        far = _far(ballots, center_e18, self.beyond_bps) if len(ballots) >= 3 else {}
        if len(far) > self.max_deviating:
            return Judgement(ballots, by_median=True)
        return Judgement([ballot for ballot in ballots if ballot.source not in far], far)


@dataclass(frozen=True, slots=True)
class Exclude:
    """Beyond `beyond_bps` a source is out, and in again after `return_s` without a break within `return_bps`.

    BitMEX: 2500 (5000 for small coins), 200 and 900 (https://blog.bitmex.com/new-protections-bitmex-indices). Absence is a
    break, and so are two looks more than `unseen_s` apart: nobody saw what was between them.
    """

    beyond_bps: int = 2500
    return_bps: int = 200
    return_s: float = 900.0
    unseen_s: float = 60.0

    name: ClassVar[str] = "exclude"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    remembers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _within(beyond_bps=self.beyond_bps, return_bps=self.return_bps)
        if self.return_bps > self.beyond_bps:
            raise ValueError("return_bps must not exceed beyond_bps: a source would return and be out again")
        if self.return_s < 0 or self.unseen_s <= 0:
            raise ValueError("need return_s >= 0 and unseen_s > 0")

    def judge(self, ballots: Sequence[Ballot], center_e18: int, state: IndexState, now: Timestamp) -> Judgement:
        out: dict[SourceId, Timestamp | None] = dict.fromkeys(state.watched)
        judged = len(ballots) >= 3
        far = _far(ballots, center_e18, self.beyond_bps) if judged else {}
        seen = state.stepped_at is not None and 0 <= now - state.stepped_at <= nanos(self.unseen_s)
        for source, price, _ in ballots if judged else ():
            if source in far:
                out[source] = None
            elif source in out and not exceeds_bps(price, center_e18, self.return_bps):
                since = state.watched[source] if seen else None
                out[source] = now if since is None else since
                if now - (out[source] or now) >= nanos(self.return_s):
                    del out[source]
        refused = {ballot.source: far.get(ballot.source, "out until it has agreed") for ballot in ballots}
        return Judgement(
            [ballot for ballot in ballots if ballot.source not in out],
            {source: reason for source, reason in refused.items() if source in out},
            out,
        )


@dataclass(frozen=True, slots=True)
class HalveThenExclude:
    """Beyond `beyond_bps` a vote is moved to that distance and counts half; after `persist_s` of it, nothing.

    BTSE: 300 and 30 (https://support.btse.com/en/support/solutions/articles/43000460020). Back inside it counts in full;
    while fewer than three are left nobody is judged, and who is out stays out.
    """

    beyond_bps: int = 300
    persist_s: float = 30.0

    name: ClassVar[str] = "halve_then_exclude"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    remembers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _within(beyond_bps=self.beyond_bps)
        if self.persist_s < 0:
            raise ValueError("persist_s must not be negative")

    def judge(self, ballots: Sequence[Ballot], center_e18: int, state: IndexState, now: Timestamp) -> Judgement:
        if len(ballots) < 3:
            return self._unjudged(ballots, state)
        far = _far(ballots, center_e18, self.beyond_bps)
        # Not later than now: the clock may have been set back.
        watched = {source: min(state.watched.get(source) or now, now) for source in far}
        refused = {source: far[source] for source, since in watched.items() if now - since >= nanos(self.persist_s)}
        low, high = around(center_e18, self.beyond_bps)
        kept = [
            Ballot(source, clamp(price, low, high), weight) if source in far else Ballot(source, price, 2 * weight)
            for source, price, weight in ballots
            if source not in refused
        ]
        return Judgement(kept, refused, watched, limited=len(far) > len(refused))

    def _unjudged(self, ballots: Sequence[Ballot], state: IndexState) -> Judgement:
        """Too few to say who is off: whoever was out at the last look stays out."""
        at = state.stepped_at
        out = {
            source: since
            for source, since in state.watched.items()
            if since is not None and at is not None and at - since >= nanos(self.persist_s)
        }
        kept = [Ballot(source, price, 2 * weight) for source, price, weight in ballots if source not in out]
        refused = {ballot.source: "out until it has agreed" for ballot in ballots if ballot.source in out}
        return Judgement(kept, refused, out)


OUTLIER_RULES: Mapping[str, type[OutlierRule]] = {
    rule.name: rule for rule in (KeepAll, Clamp, ZeroWeight, Exclude, HalveThenExclude)
}


def _far(ballots: Sequence[Ballot], center_e18: int, limit_bps: int) -> dict[SourceId, str]:
    return {
        ballot.source: f"more than {limit_bps} bps from the median of {len(ballots)}"
        for ballot in ballots
        if exceeds_bps(ballot.price_e18, center_e18, limit_bps)
    }


def _within(**limits: int) -> None:
    for name, value in limits.items():
        if not 0 < value < BPS:
            raise ValueError(f"need 0 < {name} < 10000")
