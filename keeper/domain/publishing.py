"""When a price goes on chain. Distance from the chain is a reason to push, never to hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from keeper.domain.ids import MarketId
from keeper.domain.numbers import BPS, MAX_PRICE_E18, deviation_bps
from keeper.domain.time import MILLISECOND, SECOND, Timestamp, to_millis


class Trigger(StrEnum):
    FIRST = "first"
    DEVIATION = "deviation"
    HEARTBEAT = "heartbeat"
    RIDE_ALONG = "ride_along"
    """Another market of the deployment is due, and this one is worth taking along."""


class HoldReason(StrEnum):
    QUIET = "quiet"
    """Neither far enough nor old enough."""
    MIN_INTERVAL = "min_interval"
    NOT_NEWER = "not_newer"
    """Its round would not be later than the one before: the contract would skip it."""
    UNREPRESENTABLE = "unrepresentable"
    """A price that no report can carry, zero among them."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """`heartbeat_only`: a move is no reason to push, as of a price that is held while its underlying does not trade."""

    index_e18: int
    mark_e18: int
    heartbeat_only: bool = False


@dataclass(frozen=True, slots=True)
class OnChain:
    """A market's price as the chain holds it, or as it will when a report under way lands. Zero prices mean none yet."""

    index_e18: int
    mark_e18: int
    observed_at_s: int
    round_id: int


@dataclass(frozen=True, slots=True)
class Publish:
    trigger: Trigger
    deviation_bps: int
    age_ms: int


@dataclass(frozen=True, slots=True)
class Hold:
    reason: HoldReason
    detail: str


def newest(chain: OnChain | None, in_flight: OnChain | None) -> OnChain | None:
    """The later round of the two, leaving out what was never published."""
    known = [price for price in (chain, in_flight) if price is not None and price.index_e18 > 0 and price.mark_e18 > 0]
    return max(known, key=lambda price: price.round_id, default=None)


@dataclass(frozen=True, slots=True)
class PublishPolicy:
    """Push when index or mark moved by `deviation_bps` or more, or at `heartbeat_ns`; never within `min_interval_ns`.

    A ride along needs `ride_along_bps` moved or `ride_along_heartbeat_pct` percent of the heartbeat elapsed; None switches
    either off, both by default: a batch carries what is due and no more. Moves are |new − old| / old.
    """

    deviation_bps: int = 10
    heartbeat_ns: int = 60 * SECOND
    min_interval_ns: int = SECOND
    ride_along_bps: int | None = None
    ride_along_heartbeat_pct: int | None = None

    def __post_init__(self) -> None:
        if self.deviation_bps <= 0 or not 0 <= self.min_interval_ns < self.heartbeat_ns:
            raise ValueError("need deviation_bps > 0 and 0 <= min_interval_ns < heartbeat_ns")

    def decide(
        self,
        candidate: Candidate,
        chain: OnChain | None,
        in_flight: OnChain | None,
        now: Timestamp,
        company: bool = False,
    ) -> Publish | Hold:
        """Judges against the newest of the chain's price and the report under way that has not failed.

        `company` says that another market of the deployment is due.
        """
        if not (0 < candidate.index_e18 <= MAX_PRICE_E18 and 0 < candidate.mark_e18 <= MAX_PRICE_E18):
            return Hold(HoldReason.UNREPRESENTABLE, f"index {candidate.index_e18}, mark {candidate.mark_e18}")
        before = newest(chain, in_flight)
        if before is None:
            return Publish(Trigger.FIRST, 0, 0)
        age_ns = now - before.round_id * MILLISECOND
        if to_millis(now) <= before.round_id:
            return Hold(HoldReason.NOT_NEWER, f"round {before.round_id} is not before {to_millis(now)}")
        if age_ns < self.min_interval_ns:
            return Hold(HoldReason.MIN_INTERVAL, f"{age_ns // MILLISECOND} ms after the last")
        moved = max(
            deviation_bps(candidate.index_e18, before.index_e18), deviation_bps(candidate.mark_e18, before.mark_e18)
        )
        trigger = self._trigger(candidate, before, age_ns, company)
        if trigger is None:
            return Hold(HoldReason.QUIET, f"{moved} bps after {age_ns // MILLISECOND} ms")
        return Publish(trigger, moved, age_ns // MILLISECOND)

    def _trigger(self, candidate: Candidate, before: OnChain, age_ns: int, company: bool) -> Trigger | None:
        if not candidate.heartbeat_only and _moved(candidate, before, self.deviation_bps):
            return Trigger.DEVIATION
        if age_ns >= self.heartbeat_ns:
            return Trigger.HEARTBEAT
        if company and self._worth_a_ride(candidate, before, age_ns):
            return Trigger.RIDE_ALONG
        return None

    def _worth_a_ride(self, candidate: Candidate, before: OnChain, age_ns: int) -> bool:
        if (
            self.ride_along_bps is not None
            and not candidate.heartbeat_only
            and _moved(candidate, before, self.ride_along_bps)
        ):
            return True
        percent = self.ride_along_heartbeat_pct
        return percent is not None and age_ns * 100 >= percent * self.heartbeat_ns


def _moved(candidate: Candidate, before: OnChain, limit_bps: int) -> bool:
    """Exactly |new − old| · 10⁴ ≥ limit · old, for index or mark."""
    return (
        abs(candidate.index_e18 - before.index_e18) * BPS >= limit_bps * before.index_e18
        or abs(candidate.mark_e18 - before.mark_e18) * BPS >= limit_bps * before.mark_e18
    )


@dataclass(frozen=True, slots=True)
class Due:
    """One market's question to its policy."""

    policy: PublishPolicy
    candidate: Candidate
    chain: OnChain | None
    in_flight: OnChain | None


def decide_batch(markets: Mapping[MarketId, Due], now: Timestamp) -> Mapping[MarketId, Publish | Hold]:
    """All markets of one deployment at once: if one is due, each other is asked whether it rides along."""
    alone = {market: due.policy.decide(due.candidate, due.chain, due.in_flight, now) for market, due in markets.items()}
    if not any(isinstance(decision, Publish) for decision in alone.values()):
        return alone
    return {
        market: decision
        if isinstance(decision, Publish)
        else (due := markets[market]).policy.decide(due.candidate, due.chain, due.in_flight, now, company=True)
        for market, decision in alone.items()
    }
