"""Everything that the chain shows, against the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keeper.devnet.deploy import market_config
from keeper.domain.exchange import MarketParameters
from tests.evm.books_model import FUNDING
from tests.evm.chain import Chain, named
from tests.evm.mirror import LogMirror
from tests.evm.model import ExchangeModel
from tests.evm.oracle_model import OracleModel


class Comparison:
    """Of one deployment. `stray` counts the tokens that were sent past `deposit`."""

    def __init__(self, chain: Chain, oracle: OracleModel, model: ExchangeModel) -> None:
        self.chain, self.oracle, self.model = chain, oracle, model
        self.d = chain.deployment
        self.engine = chain.deployment.exchange
        self.stray = 0
        self.mirror = LogMirror(self.engine)
        self._next_block = self.d.block_number

    @property
    def now(self) -> int:
        return self.chain.now

    def _account(self, who: str) -> str:
        return who if who.startswith("0x") else named(who)

    async def compare(self) -> None:
        """Every account, market, feed and total that the chain shows at `now` against the model."""
        accounts = list(self.model.s.accounts)
        nos = list(self.model.s.markets)
        d = self.d
        answers = await self.chain.read(
            [
                (d.lens, "getAccounts", (accounts,)),
                (d.lens, "liquidatable", (accounts,)),
                (d.exchange, "totals", ()),
                (d.exchange, "accountsPage", (0, 100)),
                *((d.exchange, "getMarket", (no,)) for no in nos),
                *((d.exchange, "marketTotals", (no,)) for no in nos),
                *((d.exchange, "fundingDue", (no,)) for no in nos),
                *((d.oracle, "getFeed", (no,)) for no in nos),
                (d.token, "balanceOf", (d.exchange,)),
            ]
        )
        views, bitmap, totals, (page,), *per_market, (balance,) = answers
        n = len(nos)
        assert views[0] == tuple(self._account_view(who) for who in accounts)
        assert views[2] == self.now
        self._compare_bits(accounts, bitmap[0])
        self._compare_totals(totals, page)
        for no, (config, state) in zip(nos, per_market[:n], strict=True):
            assert config == market_config_tuple(self.model.s.markets[no].rules)
            assert state == self._market_state(no)
        for no, shown in zip(nos, per_market[n : 2 * n], strict=True):
            market = self.model.s.markets[no]
            assert shown == (2 * market.open_interest, self._holders(no), market.clearing, market.cum)
        for no, shown in zip(nos, per_market[2 * n : 3 * n], strict=True):
            assert shown == self._funding_due(no)
        for no, (shown,) in zip(nos, per_market[3 * n :], strict=True):
            assert shown == self._feed(no)
        assert balance == self.model.s.held + self.stray

    async def compare_mirror(self) -> None:
        """What the logs alone say, from the first block on, against the model."""
        logs, self._next_block = await self.chain.logs_since(self._next_block)
        for log in logs:
            self.mirror.apply(log)
        assert self.mirror.state == self.model.s
        assert self.mirror.feeds == self.oracle.s.feeds

    async def compare_previews(self, who: str) -> None:
        nos = list(self.model.s.markets)
        account = self._account(who)
        shown = await self.chain.read([(self.d.exchange, "previewLiquidation", (account, no)) for no in nos])
        for no, preview in zip(nos, shown, strict=True):
            plan = self.model.plan(account, no)
            numbers = (plan.size, plan.equity, plan.mm, plan.loss, self.model.available())
            assert preview == (plan.reason, *numbers), (who, no)

    def _account_view(self, who: str) -> tuple[Any, ...]:
        v = self.model.valuation(who)
        positions = tuple(
            (no, p.size, p.quote, p.cum_entry, self.model.owed(who, no))
            for no, p in sorted(self.model.positions(who).items())
        )
        margin = self.model.s.accounts[who].margin
        return (who, margin, v.cash, v.equity, v.mm, v.im, v.notional, positions, ())

    def _compare_bits(self, accounts: Sequence[str], words: Sequence[int]) -> None:
        for i, who in enumerate(accounts):
            shown = words[i // 256] >> (i % 256) & 1
            plans = [self.model.plan(who, no).reason for no in self.model.positions(who)]
            assert bool(shown) == any(reason in {0, 5, 6} for reason in plans), who

    def _compare_totals(self, totals: tuple[int, ...], page: Sequence[str]) -> None:
        s = self.model.s
        margins = sum(account.margin for account in s.accounts.values())
        quotes = sum(p.quote for _, p in self.model.all_positions())
        clearing = sum(market.clearing for market in s.markets.values())
        assert totals == (len(s.accounts), margins, quotes, clearing, s.fees, s.held)
        assert list(page) == list(s.accounts)

    def _holders(self, no: int) -> int:
        return sum(1 for other, _ in self.model.all_positions() if other == no)

    def _market_state(self, no: int) -> tuple[int, ...]:
        m = self.model.s.markets[no]
        funding = (m.interval, m.funding_at, m.snap_s, m.snap_v, m.cum)
        return (*funding, m.clearing, m.open_interest, self._holders(no))

    def _funding_due(self, no: int) -> tuple[int, ...]:
        due = None if self.model.s.paused & FUNDING else self.model.due(no)
        if due is None:
            market = self.model.s.markets[no]
            return market.funding_at, 0, 0, 0, market.cum
        return due.boundary, due.intervals, due.rate, due.mark, due.cum

    def _feed(self, no: int) -> tuple[Any, ...]:
        feed = self.oracle.s.feeds[no]
        r = feed.rules
        config = (r.interval_s, r.hold_s, r.max_deviation_bps, r.max_spread_bps, r.premium_kind)
        price = (feed.index, feed.mark, feed.premium, feed.observed_at, feed.round_id)
        return (config, feed.frozen, *price, feed.acc, feed.covered, feed.checkpoint)


def market_config_tuple(rules: MarketParameters) -> tuple[Any, ...]:
    """As it is read back: with tuples all the way down."""
    *fields, tiers = market_config(rules)
    return (*fields, tuple(tiers))
