"""Answers of the reference protocol's views as the keeper's nouns. All functions raise AbiMismatch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keeper.adapters.protocols.contracts import contracts
from keeper.domain.account import Account, Position
from keeper.domain.chain import BlockRef
from keeper.domain.exchange import ChainState, FeedState, MarketParameters, MarketState, OracleState, Tier
from keeper.domain.mirror import MarketTotals, Totals
from keeper.errors import AbiMismatch
from keeper.ports.protocol import LiquidationPreview

STATE_CALLS = 6
"""getSigners, limits, isPaused, paused, totals, getMarkets; getFeed for each market follows."""


def read_state(at: BlockRef, market_nos: Sequence[int], answers: Sequence[bytes]) -> ChainState:
    """A market that the exchange does not list has no entry among the markets."""
    expect(answers, STATE_CALLS + len(market_nos))
    signers, limits, is_paused, paused, totals, markets, *feeds = answers
    exchange = contracts().exchange.functions
    account_count, _, _, _, _, held_units = exchange["totals"].result(totals)
    (views,) = contracts().lens.functions["getMarkets"].named_result(markets)
    wanted = frozenset(market_nos)
    return ChainState(
        at=at,
        oracle=_oracle(signers, limits, is_paused),
        feeds={no: _feed(no, answer) for no, answer in zip(market_nos, feeds, strict=True)},
        markets={view["marketId"]: _market(view) for view in views if view["marketId"] in wanted},
        pause_mask=exchange["paused"].result(paused)[0],
        account_count=account_count,
        held_units=held_units,
    )


def read_accounts(answers: Sequence[bytes], pages: int) -> tuple[Account, ...]:
    """As stored: funding that is due or accrued is not applied."""
    expect(answers, pages)
    lens = contracts().lens.functions["getAccounts"]
    return tuple(_account(view) for answer in answers for view in lens.named_result(answer)[0])


def read_totals(answers: Sequence[bytes], market_nos: Sequence[int]) -> tuple[Totals, Mapping[int, MarketTotals]]:
    """As stored: funding that is due or accrued is not applied."""
    expect(answers, 1 + len(market_nos))
    exchange = contracts().exchange.functions
    totals = Totals(*exchange["totals"].result(answers[0])[:4])
    market = exchange["marketTotals"]
    found = {no: MarketTotals(*market.result(answer)) for no, answer in zip(market_nos, answers[1:], strict=True)}
    return totals, found


def read_previews(answers: Sequence[bytes], count: int) -> tuple[LiquidationPreview, ...]:
    expect(answers, count)
    preview = contracts().exchange.functions["previewLiquidation"]
    return tuple(LiquidationPreview(*preview.result(answer)) for answer in answers)


def expect(answers: Sequence[bytes], count: int) -> None:
    if len(answers) != count:
        raise AbiMismatch(f"{len(answers)} answers to {count} calls")


def _oracle(signers: bytes, limits: bytes, is_paused: bytes) -> OracleState:
    oracle = contracts().oracle.functions
    addresses, quorum, super_quorum, epoch = oracle["getSigners"].result(signers)
    max_age_s, max_validity_s = oracle["limits"].result(limits)
    (paused,) = oracle["isPaused"].result(is_paused)
    return OracleState(addresses, quorum, super_quorum, epoch, max_age_s, max_validity_s, paused)


def _feed(market_no: int, answer: bytes) -> FeedState:
    (feed,) = contracts().oracle.functions["getFeed"].named_result(answer)
    config, checkpoint = feed["config"], feed["checkpoint"]
    return FeedState(
        market_no=market_no,
        interval_s=config["interval"],
        hold_s=config["hold"],
        max_deviation_bps=config["maxDeviationBps"],
        max_spread_bps=config["maxSpreadBps"],
        premium_kind=config["premiumKind"],
        frozen=feed["frozen"],
        index_e18=feed["index"],
        mark_e18=feed["mark"],
        premium_e18=feed["premium"],
        observed_at_s=feed["observedAt"],
        round_id=feed["roundId"],
        acc=feed["acc"],
        covered=feed["covered"],
        checkpoint_at_s=checkpoint["boundary"],
        checkpoint_acc=checkpoint["acc"],
        checkpoint_covered=checkpoint["covered"],
        checkpoint_mark_e18=checkpoint["mark"],
    )


def _market(view: Mapping[str, Any]) -> MarketState:
    state = view["state"]
    return MarketState(
        market_no=view["marketId"],
        parameters=_parameters(view["config"]),
        cum_e36=state["cum"],
        funding_at_s=state["fundingAt"],
        snap_acc=state["snapS"],
        snap_covered=state["snapV"],
        open_interest_e18=state["openInterest"],
    )


def _parameters(config: Mapping[str, Any]) -> MarketParameters:
    return MarketParameters(
        tiers=tuple(Tier(tier["floor"], tier["mmrBps"]) for tier in config["tiers"]),
        im_factor_bps=config["imFactorBps"],
        buffer_bps=config["bufferBps"],
        penalty_bps=config["penaltyBps"],
        liquidator_bps=config["liquidatorBps"],
        lot_e18=config["lot"],
        min_notional_units=config["minNotional"],
        max_notional_units=config["maxNotional"],
        max_oi_e18=config["maxOi"],
        maker_bps=config["makerFeeBps"],
        taker_bps=config["takerFeeBps"],
        band_bps=config["bandBps"],
        max_price_age_s=config["maxPriceAge"],
        funding_kind=config["fundingKind"],
        interest_e18=config["interest"],
        clamp_e18=config["clamp"],
        cap_e18=config["cap"],
    )


def _account(view: Mapping[str, Any]) -> Account:
    if view["collateral"]:
        raise AbiMismatch(f"{view['account']} has collateral, which this adapter does not understand yet")
    held = sorted(view["positions"], key=lambda position: int(position["marketId"]))
    positions = {one["marketId"]: Position(one["size"], one["quote"], one["cumEntry"]) for one in held}
    return Account(view["account"], view["margin"], positions)
