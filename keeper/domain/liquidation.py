"""Which liquidation the exchange would carry out, to the unit, and in which order to ask for them.

Rules: docs/reference-protocol.md, "Liquidation". `plan` is the contract's previewLiquidation for any size limit,
`plan_batch` its liquidateBatch: each entry sees the insurance fund and the accounts as the entries before left them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum

from keeper.domain.account import Account
from keeper.domain.exchange import PAUSE_LIQUIDATE, ChainState, MarketParameters
from keeper.domain.ids import Address
from keeper.domain.margin import (
    PRICE_SCALE,
    Health,
    Markets,
    Terms,
    health_in,
    maintenance_of,
    moved,
    notional,
    parts_of,
    terms_of,
    value,
)
from keeper.domain.numbers import BPS, cdiv, fdiv

FREE = 2**128 - 1
"""A size limit that does not limit."""
MAX_BATCH = 32
SHOCK_BPS = 500


class Reason(IntEnum):
    """The contract's reasons, and PAUSED for what it refuses as a whole (`ActionPaused`)."""

    SELF_OR_ENGINE = 1
    NO_POSITION = 2
    STALE = 3
    HEALTHY = 4
    SIZE_ZERO = 5
    FUND_SHORT = 6
    PAUSED = 7


@dataclass(frozen=True, slots=True)
class Closing:
    """Taking `size_e18` of a position over at mark. `equity` is the account's after it, before penalty or cover."""

    size_e18: int
    delta_e18: int
    cash_units: int
    notional: int
    equity: int
    loss: int


@dataclass(frozen=True, slots=True)
class LiquidationPlan:
    """What one liquidation would do. `max_size_e18` is what to send: it limits only where the fund does.

    Either `penalty` (of which `reward` is the caller's) or `loss` (which ENGINE pays out of `available`) is 0.
    """

    account: Address
    market_no: int
    max_size_e18: int
    closing: Closing
    mark_e18: int
    equity: int
    maintenance: int
    penalty: int
    reward: int
    loss: int
    available: int

    @property
    def size_e18(self) -> int:
        return self.closing.size_e18


@dataclass(frozen=True, slots=True)
class Skip:
    """Why the contract would not liquidate, with as much of its preview as had been reached.

    `affordable_e18`, for FUND_SHORT, is the size with which the fund is used up: send it as the limit; 0 if there is
    none, so that only deleveraging is left.
    """

    account: Address
    market_no: int
    reason: Reason
    size_e18: int = 0
    equity: int = 0
    maintenance: int = 0
    loss: int = 0
    available: int = 0
    affordable_e18: int = 0


@dataclass(frozen=True, slots=True)
class LiquidationCandidate:
    """One position of a liquidatable account. `expected_loss` is the account's: see `rank`."""

    account: Address
    market_no: int
    health: Health
    expected_loss: int


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """`plans` in the order to send them; `accounts` as the batch would leave those that it touches, ENGINE included."""

    plans: tuple[LiquidationPlan, ...]
    skips: tuple[Skip, ...]
    accounts: Mapping[Address, Account]


def available(engine: Account, markets: Markets) -> int:
    """What the insurance fund can pay: max(0, min(cash, equity)) of ENGINE, at stored marks of any age."""
    found = health_in(engine, markets)
    return max(0, min(found.cash, found.equity))


def price_usable(account: Account, market_no: int, markets: Markets) -> bool:
    """The market's own price fresh, the others' fresh or so old that they shield no more."""
    return markets[market_no].fresh and all(markets[number].passable for number in account.positions)


def plan(
    account: Account,
    market_no: int,
    state: ChainState,
    now_s: int,
    *,
    engine: Account,
    liquidator: Address | None = None,
    max_size_e18: int = FREE,
) -> LiquidationPlan | Skip:
    """What `liquidate(account, market_no, max_size)` by `liquidator` would do in a block of `now_s`."""
    if state.pause_mask & PAUSE_LIQUIDATE:
        return Skip(account.address, market_no, Reason.PAUSED)
    return plan_in(
        account, market_no, terms_of(state, now_s), engine=engine, liquidator=liquidator, max_size_e18=max_size_e18
    )


def plan_in(
    account: Account,
    market_no: int,
    markets: Markets,
    *,
    engine: Account,
    liquidator: Address | None = None,
    max_size_e18: int = FREE,
) -> LiquidationPlan | Skip:
    """As `plan`, for many accounts at the same terms. The order of the refusals is the contract's."""
    refused = _refusal(account, market_no, markets, engine.address, liquidator)
    if refused is not None:
        return Skip(account.address, market_no, refused)
    found, terms = health_in(account, markets), markets[market_no]
    if found.equity >= found.maintenance:
        return Skip(account.address, market_no, Reason.HEALTHY, 0, found.equity, found.maintenance)
    free = exact_size(abs(account.positions[market_no].size_e18), found, terms)
    size = min(free, max_size_e18 - max_size_e18 % terms.parameters.lot_e18)
    fund = available(engine, markets)
    if size <= 0:
        return Skip(account.address, market_no, Reason.SIZE_ZERO, 0, found.equity, found.maintenance, 0, fund)
    closing = closing_of(account, market_no, size, found, terms)
    if closing.loss > fund:
        short = Skip(account.address, market_no, Reason.FUND_SHORT, size, found.equity, found.maintenance)
        fits = affordable_size(account, market_no, size, found, terms, fund)
        return replace(short, loss=closing.loss, available=fund, affordable_e18=fits)
    penalty, reward = penalty_of(closing, terms.parameters)
    return LiquidationPlan(
        account=account.address,
        market_no=market_no,
        max_size_e18=max_size_e18,
        closing=closing,
        mark_e18=terms.mark_e18,
        equity=found.equity,
        maintenance=found.maintenance,
        penalty=penalty,
        reward=reward,
        loss=closing.loss,
        available=fund,
    )


def _refusal(
    account: Account, market_no: int, markets: Markets, engine: Address, liquidator: Address | None
) -> Reason | None:
    """What needs no valuation."""
    if account.address in (engine, liquidator):
        return Reason.SELF_OR_ENGINE
    if market_no not in account.positions or market_no not in markets:
        return Reason.NO_POSITION
    return None if price_usable(account, market_no, markets) else Reason.STALE


def exact_size(held_e18: int, found: Health, terms: Terms) -> int:
    """How much of a position of `held_e18` is taken over without a limit: the least that restores the buffer.

    All of it if equity is below half the maintenance, if no part restores the buffer, or if the rest would be dust.
    """
    if 2 * found.equity < found.maintenance:
        return held_e18
    rules = terms.parameters
    worth = notional(held_e18, terms.mark_e18)
    maintenance = maintenance_of(rules, worth)
    lacking = cdiv(rules.buffer_bps * found.maintenance, BPS) - found.equity
    relief = fdiv(rules.buffer_bps * maintenance, BPS) - cdiv(worth * rules.penalty_bps, BPS)
    if relief <= lacking:
        return held_e18
    size = min(held_e18, cdiv(cdiv(held_e18 * lacking, relief), rules.lot_e18) * rules.lot_e18)
    return held_e18 if notional(held_e18 - size, terms.mark_e18) < rules.min_notional_units else size


def closing_of(account: Account, market_no: int, size_e18: int, found: Health, terms: Terms) -> Closing:
    """Taking `size_e18` over at mark: equity after it is E or E − 1; a hole is spread over the positions by notional."""
    held, mark = account.positions[market_no].size_e18, terms.mark_e18
    delta = -size_e18 if held > 0 else size_e18
    cash = value(-delta, mark)
    equity = found.equity - value(held, mark) + value(held + delta, mark) + cash
    worth, loss = notional(size_e18, mark), 0
    if equity < 0:
        last = size_e18 == abs(held) and len(account.positions) == 1
        loss = -equity if last else cdiv(-equity * worth, found.notional)
    return Closing(size_e18, delta, cash, worth, equity, loss)


def penalty_of(closing: Closing, rules: MarketParameters) -> tuple[int, int]:
    """(penalty, the caller's reward out of it); nothing from an account without equity."""
    if closing.equity < 0:
        return 0, 0
    penalty = min(cdiv(closing.notional * rules.penalty_bps, BPS), closing.equity)
    return penalty, fdiv(penalty * rules.liquidator_bps, BPS)


def affordable_size(
    account: Account, market_no: int, limit_e18: int, found: Health, terms: Terms, fund_units: int
) -> int:
    """The largest whole lots up to `limit_e18` whose loss the fund can pay; 0 if not one lot.

    Whether equity after the take-over is E or E − 1 depends on the size's own rounding, so the bound for E is tried
    and a few lots below it, then the bound for E − 1, which always holds: never more than the fund, at worst a unit
    of money and its share of the size less than the largest.
    """
    lot, hole = terms.parameters.lot_e18, -found.equity
    best = min(limit_e18, _size_within(fund_units, hole, found, terms)) if hole > 0 else limit_e18
    best -= best % lot
    sure = min(best, _size_within(fund_units, hole + 1, found, terms))
    for size in (*(best - k * lot for k in range(8)), sure - sure % lot):
        if size > 0 and closing_of(account, market_no, size, found, terms).loss <= fund_units:
            return size
    return 0


def _size_within(fund_units: int, hole_units: int, found: Health, terms: Terms) -> int:
    """The largest size whose share of the hole is at most the fund."""
    worth = fdiv(fund_units * found.notional, hole_units)
    return fdiv(worth * PRICE_SCALE, terms.mark_e18)


def taken_over(done: LiquidationPlan, account: Account, engine: Account, markets: Markets) -> tuple[Account, Account]:
    """(account, ENGINE) after that liquidation. A residue of settled funding, which only adds to ENGINE, is left out."""
    closing, cum = done.closing, markets[done.market_no].cum_e36
    closed = moved(account, done.market_no, closing.delta_e18, closing.cash_units, cum)
    taker = moved(engine, done.market_no, -closing.delta_e18, -closing.cash_units, cum)
    closed = replace(closed, margin_units=closed.margin_units - done.penalty + done.loss)
    return closed, replace(taker, margin_units=taker.margin_units + done.penalty - done.reward - done.loss)


def rank(
    accounts: Iterable[Account], state: ChainState, now_s: int, *, engine: Address, shock_bps: int = SHOCK_BPS
) -> tuple[LiquidationCandidate, ...]:
    """The positions of all liquidatable accounts, largest expected loss first. Prices' ages are `plan`'s matter.

    Expected loss = max(0, ⌈notional · shock⌉ − equity): the hole that the fund would have to fill if every position's
    market moved against it by `shock_bps` before we act. Ties: larger notional, then lower address. Within an account
    the position that sets most maintenance free comes first, then the lower market.
    """
    markets, ranked = terms_of(state, now_s), []
    for account in accounts:
        if account.address == engine or not account.positions:
            continue
        found = health_in(account, markets)
        if found.equity < found.maintenance:
            loss = expected_loss(found, shock_bps)
            ranked.append(((-loss, -found.notional, account.address), account, found, loss))
    ranked.sort(key=lambda entry: entry[0])
    return tuple(
        LiquidationCandidate(account.address, number, found, loss)
        for _, account, found, loss in ranked
        for number in closing_order(account, markets)
    )


def expected_loss(found: Health, shock_bps: int = SHOCK_BPS) -> int:
    return max(0, cdiv(found.notional * shock_bps, BPS) - found.equity)


def closing_order(account: Account, markets: Markets) -> tuple[int, ...]:
    """The account's markets, most maintenance first."""
    weighted = [(-part.maintenance, number) for number, part in parts_of(account, markets)]
    return tuple(number for _, number in sorted(weighted))


def plan_batch(
    candidates: Iterable[LiquidationCandidate],
    accounts: Mapping[Address, Account],
    state: ChainState,
    now_s: int,
    *,
    engine: Address,
    liquidator: Address | None = None,
    limit: int = MAX_BATCH,
) -> BatchPlan:
    """Up to `limit` liquidations in the candidates' order, each planned on what the ones before it leave.

    Where the fund falls short, the size that uses it up is planned instead; where it cannot pay for a lot, the
    candidate is skipped with FUND_SHORT and is `deleverage`'s. A position that an earlier entry cured is skipped.
    """
    if state.pause_mask & PAUSE_LIQUIDATE:
        return BatchPlan((), tuple(Skip(c.account, c.market_no, Reason.PAUSED) for c in candidates), {})
    markets, after = terms_of(state, now_s), {engine: accounts.get(engine, Account(engine))}
    plans: list[LiquidationPlan] = []
    skips: list[Skip] = []
    for candidate in candidates:
        if len(plans) == limit:
            break
        account = after.get(candidate.account, accounts.get(candidate.account, Account(candidate.account)))
        answer = _fitting(account, candidate.market_no, markets, after[engine], liquidator)
        if isinstance(answer, Skip):
            skips.append(answer)
            continue
        plans.append(answer)
        after[account.address], after[engine] = taken_over(answer, account, after[engine], markets)
        if liquidator is not None and answer.reward:
            caller = after.get(liquidator, accounts.get(liquidator, Account(liquidator)))
            after[liquidator] = replace(caller, margin_units=caller.margin_units + answer.reward)
    return BatchPlan(tuple(plans), tuple(skips), after)


def _fitting(
    account: Account, market_no: int, markets: Markets, engine: Account, liquidator: Address | None
) -> LiquidationPlan | Skip:
    """The liquidation without a limit, or else with the one that uses the fund up."""
    answer = plan_in(account, market_no, markets, engine=engine, liquidator=liquidator)
    if isinstance(answer, LiquidationPlan) or not answer.affordable_e18:
        return answer
    limit = answer.affordable_e18
    return plan_in(account, market_no, markets, engine=engine, liquidator=liquidator, max_size_e18=limit)
