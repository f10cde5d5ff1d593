"""The reference exchange's state and logs, in the keeper's nouns."""

from __future__ import annotations

from collections.abc import Iterable

from keeper.domain.account import Account, Position
from keeper.domain.chain import BlockRef
from keeper.domain.events import (
    Deleveraged,
    FundingSettled,
    Liquidated,
    LiquidationSkipped,
    LogRef,
    MarginChanged,
    PositionChanged,
    PriceSkipped,
    PriceUpdated,
    RulesChanged,
)
from keeper.domain.exchange import ChainState, FeedState, MarketParameters, MarketState, OracleState, Tier
from keeper.domain.ids import Address, Hash
from keeper.domain.margin import Markets
from keeper.domain.mirror import MarketTotals, Totals
from tests.domain.accounts.reference import FUND, Exchange, Feed, Holder, Market, Rules

ENGINE = Address(FUND)
CALLER = Address("0x" + "c" * 40)
EVENTS = {
    "MarginChanged": MarginChanged,
    "PositionChanged": PositionChanged,
    "Liquidated": Liquidated,
    "LiquidationSkipped": LiquidationSkipped,
    "Deleveraged": Deleveraged,
    "PriceUpdated": PriceUpdated,
    "PriceSkipped": PriceSkipped,
}


def who(index: int) -> Address:
    return Address(f"0x{index:040x}")


def block(number: int, fork: str = "a", parent_fork: str | None = None, at_s: int = 0) -> BlockRef:
    """Block `number` of a chain named by a letter, child of the block before on the same or another one."""
    return BlockRef(number, block_hash(number, fork), block_hash(number - 1, parent_fork or fork), at_s)


def block_hash(number: int, fork: str = "a") -> Hash:
    return Hash(f"0x{fork.encode().hex()}{number:062x}")


def parameters_of(rules: Rules) -> MarketParameters:
    return MarketParameters(
        tiers=tuple(Tier(floor, rate) for floor, rate in rules.tiers),
        im_factor_bps=rules.im,
        buffer_bps=rules.buffer,
        penalty_bps=rules.penalty,
        liquidator_bps=rules.share,
        lot_e18=rules.lot,
        min_notional_units=rules.least,
        max_notional_units=rules.most,
        max_oi_e18=rules.max_oi,
        maker_bps=rules.maker,
        taker_bps=rules.taker,
        band_bps=rules.band,
        max_price_age_s=rules.age,
        funding_kind=rules.kind,
        interest_e18=rules.interest,
        clamp_e18=rules.clamp,
        cap_e18=rules.cap,
    )


def market_of(number: int, market: Market) -> MarketState:
    return MarketState(number, parameters_of(market.rules), market.cum, market.at, *market.snap, market.oi)


def feed_of(number: int, feed: Feed) -> FeedState:
    return FeedState(
        market_no=number,
        interval_s=feed.interval,
        hold_s=feed.hold,
        max_deviation_bps=feed.deviation,
        max_spread_bps=feed.spread,
        premium_kind=feed.kind,
        frozen=feed.frozen,
        index_e18=feed.index,
        mark_e18=feed.mark,
        premium_e18=feed.premium,
        observed_at_s=feed.at,
        round_id=feed.round,
        acc=feed.acc,
        covered=feed.covered,
        checkpoint_at_s=feed.grid[0],
        checkpoint_acc=feed.grid[1],
        checkpoint_covered=feed.grid[2],
        checkpoint_mark_e18=feed.grid[3],
    )


def state_of(exchange: Exchange, now: int, number: int = 1) -> ChainState:
    return ChainState(
        at=block(number, at_s=now),
        oracle=OracleState((who(0xA),), 1, 1, 1, 60, 120, exchange.stopped),
        feeds={n: feed_of(n, feed) for n, feed in exchange.feeds.items()},
        markets={n: market_of(n, market) for n, market in exchange.markets.items()},
        pause_mask=exchange.paused,
        account_count=len(exchange.holders),
        held_units=exchange.money,
    )


def accounts_of(exchange: Exchange) -> dict[Address, Account]:
    return {
        Address(name): Account(
            Address(name), holder.margin, {n: Position(*held) for n, held in sorted(holder.held.items())}
        )
        for name, holder in exchange.holders.items()
    }


def events_of(log: list[tuple], at: BlockRef, first_index: int = 0) -> list:
    """One block's logs. What the keeper has no noun for comes as RulesChanged."""
    found = []
    for index, (name, *values) in enumerate(log, first_index):
        ref = LogRef(at.number, at.hash, index, f"0x{index:064x}")
        if name == "FundingSettled":
            found.append(FundingSettled(ref, *values, CALLER))
        elif name in EVENTS:
            found.append(EVENTS[name](ref, *values))
        else:
            found.append(RulesChanged(ref, name))
    return found


def reference_of(markets: Markets, accounts: Iterable[Account], now: int) -> Exchange:
    """The reference exchange in which these accounts are valued at these terms: every price as old as `now` itself."""
    exchange = Exchange()
    for n, at in markets.items():
        rules = at.parameters
        exchange.feeds[n] = Feed(3_600, 120, index=at.mark_e18, mark=at.mark_e18, at=now, round=now * 1_000)
        exchange.markets[n] = Market(
            Rules(
                tuple((tier.floor_units, tier.mmr_bps) for tier in rules.tiers),
                im=rules.im_factor_bps,
                buffer=rules.buffer_bps,
                penalty=rules.penalty_bps,
                share=rules.liquidator_bps,
                lot=rules.lot_e18,
                least=rules.min_notional_units,
            ),
            cum=at.cum_e36,
            at=now - now % 3_600,
            oi=10**40,  # others hold positions too: nothing is swept
        )
    for account in accounts:
        held = {n: (p.size_e18, p.quote_units, p.cum_entry_e36) for n, p in account.positions.items()}
        exchange.holders[account.address] = Holder(account.margin_units, held)
    return exchange


def totals_of(exchange: Exchange) -> Totals:
    holders = exchange.holders.values()
    return Totals(
        len(exchange.holders),
        sum(h.margin for h in holders),
        sum(quote for h in holders for _, quote, _ in h.held.values()),
        sum(m.clearing for m in exchange.markets.values()),
    )


def market_totals_of(exchange: Exchange) -> dict[int, MarketTotals]:
    found = {}
    for n, market in exchange.markets.items():
        held = [h.held[n] for h in exchange.holders.values() if n in h.held]
        found[n] = MarketTotals(sum(abs(h[0]) for h in held), len(held), market.clearing, market.cum)
    return found
