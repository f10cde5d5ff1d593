"""The reference perp protocol (docs/reference-protocol.md), described: reads, acts, logs and errors. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keeper.adapters.encoding.abi import decode_all
from keeper.adapters.encoding.addresses import checked_address
from keeper.adapters.encoding.contract import FunctionPlan
from keeper.adapters.encoding.price_batch import PUSH_SELECTOR, batch_plan
from keeper.adapters.protocols import reference_gas as gas
from keeper.adapters.protocols.contracts import contracts
from keeper.adapters.protocols.reference_errors import explain
from keeper.adapters.protocols.reference_events import exchange_logs, oracle_logs, word_topic
from keeper.adapters.protocols.reference_views import read_accounts, read_previews, read_state, read_totals
from keeper.domain.account import Account
from keeper.domain.chain import BlockRef, Call, Log, LogFilter, Query
from keeper.domain.events import ProtocolEvent
from keeper.domain.exchange import ChainState
from keeper.domain.ids import Address, DeploymentId, Hash, MarketId
from keeper.domain.mirror import MarketTotals, Totals
from keeper.domain.report import MarketPrice, PriceReport, SeenReport, SignedReport
from keeper.domain.transaction import Expectation
from keeper.errors import ConfigError
from keeper.ports.protocol import LiquidationPreview, LiquidationRequest, Revert

MAX_BATCH = 32
"""Prices in a report, markets in a settlement, requests in a liquidation: more would revert (BatchSize)."""

_ACCOUNTS_PER_CALL = 100
"""The lens takes 500, but nodes cap the gas of an eth_call: 100 accounts of 8 positions in 32 markets cost 15 M."""

ActAndProof = tuple[Call, tuple[Expectation, ...]]


@dataclass(frozen=True, slots=True)
class ReferencePerp:
    """The contracts' addresses on one chain, and the block to read logs from.

    The exchange's own address is the engine's account. Raises ConfigError for an address that is none, or has a wrong
    checksum, or stands in two places; AbiMismatch if the ABIs of this package are not what it understands.
    """

    oracle: Address
    exchange: Address
    lens: Address
    chain_id: int
    from_block: int = 0

    def __post_init__(self) -> None:
        for name in ("oracle", "exchange", "lens"):
            object.__setattr__(self, name, _checked(name, getattr(self, name)))
        if len({self.oracle, self.exchange, self.lens}) < 3:
            raise ConfigError("oracle, exchange and lens are three contracts: one address stands in two places")
        if self.chain_id < 1 or self.from_block < 0:
            raise ConfigError("chain_id starts at 1 and from_block at 0")
        oracle_logs(), exchange_logs()  # compiled now, so that a mismatch shows at the start

    # ---- reads

    def state(self, at: BlockRef, market_nos: Sequence[int]) -> Query[ChainState]:
        """6 calls and one a market. The node answers Reverted (UnknownFeed) if the oracle has no feed of that number."""
        oracle, exchange, lens = contracts().oracle, contracts().exchange, contracts().lens
        wanted = tuple(market_nos)
        fixed = (
            self._ask(self.oracle, oracle.functions["getSigners"]),
            self._ask(self.oracle, oracle.functions["limits"]),
            self._ask(self.oracle, oracle.functions["isPaused"]),
            self._ask(self.exchange, exchange.functions["paused"]),
            self._ask(self.exchange, exchange.functions["totals"]),
            self._ask(self.lens, lens.functions["getMarkets"]),
        )
        feeds = tuple(self._ask(self.oracle, oracle.functions["getFeed"], no) for no in wanted)
        return Query(fixed + feeds, lambda answers: read_state(at, wanted, answers))

    def accounts(self, accounts: Sequence[Address]) -> Query[tuple[Account, ...]]:
        """In the order asked for; an account that the exchange does not know is empty. `last` is not set."""
        view = contracts().lens.functions["getAccounts"]
        starts = range(0, len(accounts), _ACCOUNTS_PER_CALL)
        pages = tuple(self._ask(self.lens, view, accounts[at : at + _ACCOUNTS_PER_CALL]) for at in starts)
        return Query(pages, lambda answers: read_accounts(answers, len(pages)))

    def totals(self, market_nos: Sequence[int]) -> Query[tuple[Totals, Mapping[int, MarketTotals]]]:
        exchange, wanted = contracts().exchange.functions, tuple(market_nos)
        calls = (
            self._ask(self.exchange, exchange["totals"]),
            *(self._ask(self.exchange, exchange["marketTotals"], no) for no in wanted),
        )
        return Query(calls, lambda answers: read_totals(answers, wanted))

    def previews(self, requests: Sequence[tuple[Address, int]]) -> Query[tuple[LiquidationPreview, ...]]:
        view = contracts().exchange.functions["previewLiquidation"]
        calls = tuple(self._ask(self.exchange, view, account, no) for account, no in requests)
        return Query(calls, lambda answers: read_previews(answers, len(calls)))

    # ---- logs

    def log_filter(self) -> LogFilter:
        topics = dict.fromkeys([*oracle_logs(), *exchange_logs()])
        return LogFilter((self.oracle, self.exchange), tuple(topics))

    def decode_log(self, log: Log) -> Sequence[ProtocolEvent]:
        """Nothing for another contract's log, an unknown event, or bookkeeping. Raises AbiMismatch."""
        if log.address == self.exchange:
            plan = exchange_logs().get(log.topics[0]) if log.topics else None
        elif log.address == self.oracle:
            plan = oracle_logs().get(log.topics[0]) if log.topics else None
        else:
            plan = None
        return plan.decode(log) if plan else ()

    # ---- acts

    def digest(self, report: PriceReport) -> bytes:
        """EIP-712 digest that the signers sign. Raises ValueError for numbers that the contract's types cannot hold."""
        return batch_plan(self.chain_id, self.oracle).digest(report)

    def publish(self, signed: SignedReport) -> ActAndProof:
        """Proved by BatchPushed of this round. Raises ValueError for an empty report or one of more than 32 prices."""
        prices = _batch(len(signed.report.prices))
        data = batch_plan(self.chain_id, self.oracle).calldata(signed)
        pushed = contracts().oracle.events["BatchPushed"].topic0
        call = Call(self.oracle, data, gas_limit=gas.push(prices, len(signed.signatures)))
        return call, (Expectation(self.oracle, pushed, word_topic(signed.report.round_id)),)

    def read_publish(self, data: bytes, deployment: DeploymentId, markets: Mapping[int, MarketId]) -> SeenReport | None:
        if data[: len(PUSH_SELECTOR)] != PUSH_SELECTOR:
            return None
        plan = contracts().oracle.functions["pushPrices"]
        batch, signatures = decode_all(plan.inputs, data[len(PUSH_SELECTOR) :])
        round_id, observed_at_s, valid_until_s, epoch, evidence, prices = batch
        entries = tuple(
            MarketPrice(markets.get(no, MarketId(f"no. {no}")), no, index, mark, premium)
            for no, index, mark, premium in prices
        )
        report = PriceReport(deployment, round_id, observed_at_s, valid_until_s, epoch, evidence, entries)
        return SeenReport(report, tuple((r, vs) for r, vs in signatures))

    def pushed_topics(self, round_id: int) -> tuple[Hash, Hash]:
        return contracts().oracle.events["BatchPushed"].topic0, word_topic(round_id)

    def settle_funding(self, market_nos: Sequence[int]) -> ActAndProof:
        """Proved by one FundingSettled. One market reverts FundingNotDue, several skip what is not due."""
        functions = contracts().exchange.functions
        count = _batch(len(market_nos))
        if count == 1:
            data = functions["settleFunding"].calldata(market_nos[0])
        else:
            data = functions["settleFundingMany"].calldata(market_nos)
        proofs = tuple(self._proof("FundingSettled", no) for no in market_nos)
        return Call(self.exchange, data, gas_limit=gas.settle(count)), proofs

    def liquidate(self, requests: Sequence[LiquidationRequest]) -> ActAndProof:
        """Proved by one Liquidated. One request reverts with its reason, several skip what cannot be liquidated."""
        functions = contracts().exchange.functions
        count = _batch(len(requests))
        wanted = [(one.account, one.market_no, one.max_size_e18) for one in requests]
        if count == 1:
            data = functions["liquidate"].calldata(*wanted[0])
        else:
            data = functions["liquidateBatch"].calldata(wanted)
        proofs = dict.fromkeys(self._proof("Liquidated", one.account) for one in requests)
        return Call(self.exchange, data, gas_limit=gas.liquidate(count)), tuple(proofs)

    def deleverage(self, bankrupt: Address, counterparty: Address, market_no: int, size_e18: int) -> ActAndProof:
        data = contracts().exchange.functions["deleverage"].calldata(bankrupt, counterparty, market_no, size_e18)
        call = Call(self.exchange, data, gas_limit=gas.DELEVERAGE)
        return call, (self._proof("Deleveraged", bankrupt),)

    def explain_revert(self, data: bytes) -> Revert:
        return explain(data)

    def permitted(self) -> frozenset[tuple[int, Address, bytes]]:
        """(chain id, contract, selector) of every transaction that a keeper sends here: what a sending key may sign."""
        names = ("settleFunding", "settleFundingMany", "liquidate", "liquidateBatch", "deleverage")
        selectors = [contracts().exchange.functions[name].selector for name in names]
        acts = {(self.chain_id, self.exchange, selector) for selector in selectors}
        return frozenset({(self.chain_id, self.oracle, PUSH_SELECTOR), *acts})

    def _ask(self, to: Address, function: FunctionPlan, *arguments: object) -> Call:
        return Call(to, function.calldata(*arguments))

    def _proof(self, event: str, first: int | Address) -> Expectation:
        return Expectation(self.exchange, contracts().exchange.events[event].topic0, word_topic(first))


def _checked(name: str, text: str) -> Address:
    try:
        return checked_address(text)
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from None


def _batch(size: int) -> int:
    if not 1 <= size <= MAX_BATCH:
        raise ValueError(f"a batch of {size}; the contract takes 1 to {MAX_BATCH}")
    return size
