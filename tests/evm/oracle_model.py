"""The price oracle's rules on integers, written from docs/reference-protocol.md and not from the Solidity."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from keeper.devnet.deploy import FeedParameters

ONE = 10**18
BPS = 10**4


def fdiv(a: int, b: int) -> int:
    return a // b


def cdiv(a: int, b: int) -> int:
    return -(-a // b)


def tdiv(a: int, b: int) -> int:
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def clamp(x: int, low: int, high: int) -> int:
    return max(low, min(high, x))


class Revert(Exception):
    """A custom error by name, with its arguments."""

    def __init__(self, name: str, *args: Any) -> None:
        super().__init__(name, *args)
        self.name = name
        self.arguments = args


def atomic(method: Callable[..., Any]) -> Callable[..., Any]:
    """A transaction: a Revert leaves neither a change of state nor a log."""

    @wraps(method)
    def transaction(self: Any, *args: Any, **kwargs: Any) -> Any:
        saved, logs = copy.deepcopy(self.s), len(self.log)
        try:
            return method(self, *args, **kwargs)
        except Revert:
            self.s = saved
            del self.log[logs:]
            raise

    return transaction


@dataclass(slots=True)
class Price:
    market_no: int
    index: int
    mark: int
    premium: int = 0


@dataclass(slots=True)
class Batch:
    round_id: int
    observed_at: int
    valid_until: int
    epoch: int
    evidence: bytes
    prices: list[Price]


@dataclass(slots=True)
class Feed:
    rules: FeedParameters
    frozen: bool = False
    index: int = 0
    mark: int = 0
    premium: int = 0
    observed_at: int = 0
    round_id: int = 0
    acc: int = 0
    covered: int = 0
    checkpoint: tuple[int, int, int, int] = (0, 0, 0, 0)
    """boundary, acc, covered, mark"""

    def sums_at(self, t: int) -> tuple[int, int]:
        held = min(t - self.observed_at, self.rules.hold_s)
        return self.acc + self.premium * held, self.covered + held


@dataclass(slots=True)
class OracleState:
    signers: list[str]
    quorum: int
    super_quorum: int
    max_age: int
    max_validity: int
    epoch: int = 1
    paused: bool = False
    feeds: dict[int, Feed] = field(default_factory=dict)


class OracleModel:
    """`now` is the block's timestamp. `log` holds (event, *fields) in the order of the ABI."""

    def __init__(self, state: OracleState) -> None:
        self.s = state
        self.now = 0
        self.log: list[tuple[Any, ...]] = []

    def configure_feed(self, no: int, rules: FeedParameters) -> None:
        if no in self.s.feeds:
            self.s.feeds[no].rules = rules
        else:
            self.s.feeds[no] = Feed(rules)

    @atomic
    def push(self, submitter: str, batch: Batch, signers: Sequence[str]) -> int:
        """`signers`: whom the signatures recover to, in their order."""
        self._check_batch(batch)
        if any(signer not in self.s.signers for signer in signers):
            raise Revert("UnknownSigner")
        if len(set(signers)) < len(signers):
            raise Revert("DuplicateSigner")
        if len(signers) < self.s.quorum:
            raise Revert("QuorumNotReached", len(signers), self.s.quorum)
        unbounded = len(signers) >= self.s.super_quorum
        reasons = [self._accept(batch, price, unbounded) for price in batch.prices]
        accepted = reasons.count(0)
        if not accepted:
            raise Revert("NothingAccepted", bytes(reasons))
        bitmap = sum(1 << self.s.signers.index(signer) for signer in signers)
        head = (batch.round_id, submitter, batch.observed_at, batch.epoch)
        self.log.append(("BatchPushed", *head, batch.evidence, bitmap, accepted))
        return accepted

    def _check_batch(self, batch: Batch) -> None:
        s = self.s
        faults = [
            ("Paused", s.paused),
            ("BatchSize", not 1 <= len(batch.prices) <= 32),
            ("NoEvidence", batch.evidence == bytes(32)),
            ("RoundMismatch", batch.round_id // 1000 != batch.observed_at),
            ("ReportFromFuture", batch.observed_at > self.now),
            ("ReportTooOld", self.now - batch.observed_at > s.max_age),
            (
                "ReportExpired",
                self.now > batch.valid_until or batch.valid_until > batch.observed_at + s.max_validity,
            ),
            ("WrongEpoch", batch.epoch != s.epoch),
        ]
        for name, present in faults:
            if present:
                raise Revert(name)

    def _accept(self, batch: Batch, price: Price, unbounded: bool) -> int:
        feed = self.s.feeds.get(price.market_no)
        reason = 1 if feed is None else self._fault(feed, batch.round_id, price, unbounded)
        if reason or feed is None:
            self.log.append(("PriceSkipped", price.market_no, batch.round_id, reason))
            return reason
        self._accumulate(feed, batch.observed_at)
        feed.index, feed.mark, feed.premium = price.index, price.mark, self._premium(feed, price)
        feed.observed_at, feed.round_id = batch.observed_at, batch.round_id
        numbers = (price.index, price.mark, feed.premium, feed.acc, feed.covered)
        self.log.append(("PriceUpdated", price.market_no, batch.round_id, batch.observed_at, *numbers))
        return 0

    def _fault(self, feed: Feed, round_id: int, price: Price, unbounded: bool) -> int:
        if price.index == 0 or price.mark == 0:
            return 2
        if feed.frozen:
            return 3
        if round_id <= feed.round_id:
            return 4
        if not unbounded:
            bound = feed.rules.max_deviation_bps
            moved = abs(price.index - feed.index) * BPS > bound * feed.index
            moved = moved or abs(price.mark - feed.mark) * BPS > bound * feed.mark
            if feed.round_id == 0 or moved:
                return 5
            if abs(price.mark - price.index) * BPS > feed.rules.max_spread_bps * price.index:
                return 6
        return 7 if abs(self._premium(feed, price)) > ONE else 0

    @staticmethod
    def _premium(feed: Feed, price: Price) -> int:
        if feed.rules.premium_kind == 1:
            return price.premium
        return min(ONE, tdiv((price.mark - price.index) * ONE, price.index))

    @staticmethod
    def _accumulate(feed: Feed, t: int) -> None:
        boundary = t - t % feed.rules.interval_s
        if feed.round_id == 0:
            feed.checkpoint = (boundary, 0, 0, 0)
            return
        if boundary > feed.observed_at:
            feed.checkpoint = (boundary, *feed.sums_at(boundary), feed.mark)
        feed.acc, feed.covered = feed.sums_at(t)

    def premium_at(self, no: int, boundary: int) -> tuple[int, int, int]:
        feed = self.s.feeds[no]
        if feed.round_id == 0:
            return 0, 0, 0
        if feed.observed_at < boundary:
            return *feed.sums_at(boundary), feed.mark
        if feed.checkpoint[0] != boundary:
            raise Revert("NoCheckpoint", no, boundary)
        return feed.checkpoint[1:]

    def live(self, no: int) -> bool:
        feed = self.s.feeds[no]
        return not self.s.paused and not feed.frozen and feed.round_id > 0

    def age(self, no: int) -> int:
        return self.now - self.s.feeds[no].observed_at

    def fresh(self, no: int, max_age: int) -> bool:
        return self.live(no) and self.age(no) <= max_age
