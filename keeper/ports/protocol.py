"""One perp protocol, described: what to read, what to send, how to understand its logs. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from keeper.domain.account import Account
from keeper.domain.chain import BlockRef, Call, Log, LogFilter, Query
from keeper.domain.events import ProtocolEvent
from keeper.domain.exchange import ChainState
from keeper.domain.ids import Address, DeploymentId, Hash, MarketId
from keeper.domain.mirror import MarketTotals, Totals
from keeper.domain.report import PriceReport, SeenReport, SignedReport
from keeper.domain.transaction import Expectation


@dataclass(frozen=True, slots=True)
class Revert:
    """`benign` means that somebody else did it first or it is not due: a lost race, not a failure."""

    name: str
    detail: str
    benign: bool


@dataclass(frozen=True, slots=True)
class LiquidationRequest:
    account: Address
    market_no: int
    max_size_e18: int


@dataclass(frozen=True, slots=True)
class LiquidationPreview:
    """The chain's own word on one candidate. `reason` 0 means that it would be liquidated."""

    reason: int
    size_e18: int
    equity_units: int
    maintenance_units: int
    loss_units: int
    available_units: int


class PerpProtocol(Protocol):
    @property
    def oracle(self) -> Address: ...

    @property
    def exchange(self) -> Address: ...

    @property
    def from_block(self) -> int:
        """The block of the deployment: nothing of it lies before."""
        ...

    def permitted(self) -> frozenset[tuple[int, Address, bytes]]:
        """(chain id, contract, selector) of everything that this protocol's keeper may send."""
        ...

    def state(self, at: BlockRef, market_nos: Sequence[int]) -> Query[ChainState]: ...

    def accounts(self, accounts: Sequence[Address]) -> Query[tuple[Account, ...]]: ...

    def totals(self, market_nos: Sequence[int]) -> Query[tuple[Totals, Mapping[int, MarketTotals]]]:
        """The chain's own sums over all accounts: what certifies that a mirror lacks none."""
        ...

    def previews(self, requests: Sequence[tuple[Address, int]]) -> Query[tuple[LiquidationPreview, ...]]: ...

    def log_filter(self) -> LogFilter: ...

    def decode_log(self, log: Log) -> Sequence[ProtocolEvent]: ...

    def digest(self, report: PriceReport) -> bytes: ...

    def publish(self, signed: SignedReport) -> tuple[Call, tuple[Expectation, ...]]: ...

    def read_publish(self, data: bytes, deployment: DeploymentId, markets: Mapping[int, MarketId]) -> SeenReport | None:
        """What `publish` was given, from the calldata; None for any other call. Raises AbiMismatch for a damaged one."""
        ...

    def pushed_topics(self, round_id: int) -> tuple[Hash, Hash]:
        """The topics by which the log of an accepted push of this round is found."""
        ...

    def settle_funding(self, market_nos: Sequence[int]) -> tuple[Call, tuple[Expectation, ...]]: ...

    def liquidate(self, requests: Sequence[LiquidationRequest]) -> tuple[Call, tuple[Expectation, ...]]: ...

    def deleverage(
        self, bankrupt: Address, counterparty: Address, market_no: int, size_e18: int
    ) -> tuple[Call, tuple[Expectation, ...]]: ...

    def explain_revert(self, data: bytes) -> Revert: ...
