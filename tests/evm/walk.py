"""A random walk over everything that can happen, on a real EVM, against the model at each step.

python -m tests.evm.walk --walks 10 --steps 1500 --seed 1
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from collections import Counter
from dataclasses import replace

from keeper.devnet.deploy import BTC_RULES, FeedParameters, MarketListing
from keeper.domain.exchange import Tier
from tests.evm.books_model import FUNDING, PRICE_SCALE, sign
from tests.evm.chain import START, named
from tests.evm.model import FREE
from tests.evm.oracle_model import ONE, Price
from tests.evm.world import World, world

TIERS = (Tier(0, 50), Tier(50_000 * 10**6, 100), Tier(250_000 * 10**6, 250), Tier(10**12, 500))
RULES = replace(BTC_RULES, tiers=TIERS, max_oi_e18=10**36, max_notional_units=10**12)
MARKETS = (
    MarketListing(1, FeedParameters(3600, 120, 500, 300, 1), RULES),
    MarketListing(2, FeedParameters(28_800, 120, 500, 300, 0), replace(RULES, lot_e18=10**16)),
    # A coin at 1e-8 USD: prices of ten digits, sizes of thirty.
    MarketListing(3, FeedParameters(600, 120, 500, 300, 1), replace(RULES, lot_e18=10**24, funding_kind=1)),
    MarketListing(
        4,
        FeedParameters(3600, 300, 500, 300, 0),
        replace(RULES, lot_e18=10**18, max_notional_units=60_000 * 10**6, max_oi_e18=250_000 * 10**18),
    ),
)
FIRST_PRICES = {1: 60_000 * ONE, 2: 3_000 * ONE, 3: 10**10, 4: ONE // 2}
TRADERS = [f"trader {i}" for i in range(10)]


class Walk:
    def __init__(self, w: World, seed: int, sigma: float, shock: float) -> None:
        self.w = w
        self.random = random.Random(seed)
        self.sigma, self.shock = sigma, shock
        self.prices = dict(FIRST_PRICES)
        self.basis = dict.fromkeys(FIRST_PRICES, 0.0)
        self.round = 0
        self.counts: Counter[str] = Counter()
        self.gap = 0

    async def begin(self) -> None:
        await self._push(list(self.prices), signers=4)
        for name in TRADERS:
            await self.w.deposit(name, self.random.randrange(200, 20_000) * 10**6)

    async def step(self) -> None:
        r = self.random
        self.w.tick(r.choice([1, 5, 12, 30, 30, 60]) if r.random() < 0.97 else r.choice([400, 3000, 9000, 60_000]))
        self._move_prices()
        if r.random() < 0.75:
            await self._push([no for no in self.prices if r.random() < 0.95] or [1], r.choice([3, 3, 4, 5]))
        await self._one_act()
        await self._recover()
        if r.random() < 0.6:
            await self._keep()
        await self.w.compare()
        await self.w.compare_mirror()
        settlements = sum(log[0] == "PositionChanged" for log in self.w.logs)
        self.gap = max(self.gap, self.w.model.check_invariants(settlements))

    def _move_prices(self) -> None:
        r = self.random
        for no in self.prices:
            factor = 1 + r.gauss(0, self.sigma / 10)
            if r.random() < self.shock:
                factor *= r.choice([0.8, 0.93, 0.97, 0.985, 0.992, 1.008, 1.015, 1.03, 1.07, 1.2])
            self.prices[no] = max(10**6, int(self.prices[no] * factor))
            self.basis[no] = 0.9 * self.basis[no] + r.gauss(0, 0.0005)

    async def _push(self, nos: list[int], signers: int) -> None:
        r = self.random
        entries = [self._entry(no) for no in nos]
        if r.random() < 0.05:
            entries += r.choice([[replace(entries[0])], [Price(99, 1, 1)], [Price(nos[-1], 0, 1)]])
        seen = self.w.now - r.randrange(3)
        batch = self.w.batch(entries, seen, round_id=seen * 1000 + r.randrange(1000))
        outcome = await self.w.push_batch(batch, r.sample(range(5), signers))
        self._count("push", outcome.error)
        self.counts.update(f"price skipped {log[3]}" for log in outcome.logs if log[0] == "PriceSkipped")

    def _entry(self, no: int) -> Price:
        r = self.random
        basis = self.basis[no] if r.random() < 0.98 else r.choice([-0.04, 0.04])
        premium = int(r.gauss(0, 0.001) * ONE) if r.random() < 0.99 else 2 * ONE
        return Price(no, self.prices[no], max(1, int(self.prices[no] * (1 + basis))), premium)

    async def _one_act(self) -> None:
        acts = [
            (0.56, self._trade),
            (0.07, self._withdraw),
            (0.10, self._deposit),
            (0.06, self._settle),
            (0.02, self._settle_many),
            (0.01, self._pause_funding),
            (0.01, self._freeze_feed),
            (0.02, self._skim),
            (0.02, self._reconfigure),
            (0.01, self._collect_fees),
            (0.10, self._rest),
        ]
        await self.random.choices([act for _, act in acts], [weight for weight, _ in acts])[0]()

    async def _rest(self) -> None:
        self.counts["nothing"] += 1

    async def _withdraw(self) -> None:
        r = self.random
        self._count("withdraw", (await self.w.withdraw(r.choice(TRADERS), r.randrange(1, 3000) * 10**6)).error)

    async def _deposit(self) -> None:
        """For the poorest more often than not, or the walk ends among ruins."""
        r = self.random
        poorest = min(TRADERS, key=lambda name: self.w.model.valuation(named(name)).equity)
        who = poorest if r.random() < 0.7 else r.choice(TRADERS)
        self._count("deposit", (await self.w.deposit(who, r.randrange(1, 5000) * 10**6)).error)

    async def _settle(self) -> None:
        self._count("settleFunding", (await self.w.settle(self.random.choice([1, 2, 3, 4]))).error)

    async def _settle_many(self) -> None:
        self._count("settleFundingMany", (await self.w.settle_many([1, 2, 3, 4, 31])).error)

    async def _pause_funding(self) -> None:
        await self.w.pause(FUNDING)
        self.counts["funding paused"] += 1

    async def _freeze_feed(self) -> None:
        await self.w.freeze(self.random.choice([1, 2, 3, 4]))
        self.counts["feed frozen"] += 1

    async def _recover(self) -> None:
        """What was stopped does not stay so for long."""
        for no, feed in self.w.oracle.s.feeds.items():
            if feed.frozen and self.random.random() < 0.2:
                await self.w.freeze(no, frozen=False)
        if self.w.model.s.paused & FUNDING and self.random.random() < 0.1:
            await self.w.unpause(FUNDING)

    async def _skim(self) -> None:
        await self.w.donate(self.random.randrange(1, 10**7))
        if self.random.random() < 0.5:
            self._count("skim", (await self.w.skim()).error)

    async def _reconfigure(self) -> None:
        no = self.random.choice([1, 2, 3, 4])
        rules = self.w.model.s.markets[no].rules
        changed = replace(
            rules,
            taker_bps=self.random.randrange(2, 9),
            interest_e18=self.random.randrange(-(10**14), 2 * 10**14),
            buffer_bps=self.random.choice([10_500, 11_000, 12_000]),
            penalty_bps=self.random.choice([20, 40]),
        )
        self._count("configureMarket", (await self.w.configure(no, changed)).error)

    async def _collect_fees(self) -> None:
        self._count("collectFees", (await self.w.collect_fees()).error)

    async def _trade(self) -> None:
        r, w = self.random, self.w
        no = r.choice([1, 2, 3, 4])
        taker, maker = r.sample(TRADERS, 2)
        rules, mark = w.model.s.markets[no].rules, w.model.mark(no)
        lot = rules.lot_e18
        units = r.choice([50, 500, 5_000]) * 10**6
        if r.random() < 0.6:
            poorer = min(w.model.valuation(named(who)).equity for who in (taker, maker))
            units = max(units, int(poorer * r.uniform(10, 60)))
        delta = units * PRICE_SCALE // mark // lot * lot * r.choice([-1, 1])
        if r.random() < 0.3:
            held = w.model.positions(named(taker)).get(no)
            delta = delta if held is None else -held.size
        price = int(mark * (1 + r.gauss(0, 0.002)))
        engine = w.model.positions(w.engine).get(no)
        if engine is not None and r.random() < 0.15:
            maker, delta = w.engine, sign(engine.size) * min(abs(delta) or abs(engine.size), abs(engine.size))
        outcome = await w.trade((maker, taker, no, delta, price))
        self._count("trade", None if outcome.error is None else f"reason {outcome.arguments[-1]}")

    # ---------------------------------------------------------------- the keeper's part

    async def _keep(self) -> None:
        for who in list(self.w.model.s.accounts):
            v = self.w.model.valuation(who)
            if who != self.w.engine and self.w.model.positions(who) and v.equity < v.mm:
                await self._take_over(who)
        if self.w.model.valuation(self.w.engine).equity < 0:
            self.counts["engine under water"] += 1
            for no in list(self.w.model.positions(self.w.engine)):
                await self._deleverage(self.w.engine, no)

    async def _take_over(self, who: str) -> None:
        r, w = self.random, self.w
        await w.compare_previews(who)
        for no in list(w.model.positions(who)):
            if no not in w.model.positions(who):
                continue
            before = abs(w.model.positions(who)[no].size)
            free = r.random() < 0.7
            limit = FREE if free else max(w.model.s.markets[no].rules.lot_e18, before // 3)
            if r.random() < 0.2:
                outcome = await w.liquidate_batch([(who, no, limit), (who, no, limit)])
            else:
                outcome = await w.liquidate(who, no, limit)
            self._count("liquidate", outcome.error)
            self._judge(who, no, outcome.logs, before, free=free)
            if outcome.error == "FundShort":
                await self._deleverage(who, no)

    def _judge(self, who: str, no: int, logs: list[tuple[object, ...]], before: int, *, free: bool) -> None:
        w = self.w
        for log in logs:
            if log[0] != "Liquidated":
                continue
            size, equity, mm, loss = log[4], log[6], log[7], log[10]
            assert isinstance(equity, int)
            assert isinstance(mm, int)
            assert equity < mm
            self.counts["bad debt"] += bool(loss)
            if free and size != before:
                self.counts["partial"] += 1
                after = w.model.valuation(who)
                assert after.equity >= after.mm
            if loss and not w.model.positions(who):
                assert w.model.s.accounts[who].margin == 0

    async def _deleverage(self, bankrupt: str, no: int) -> None:
        w = self.w
        kind = "deleverage the engine" if bankrupt == w.engine else "deleverage"
        for other in self._ranked(bankrupt, no):
            b, c = w.model.positions(bankrupt).get(no), w.model.positions(other).get(no)
            if b is None or c is None:
                continue
            outcome = await w.deleverage(bankrupt, other, no, min(abs(b.size), abs(c.size)))
            self._count(kind, outcome.error)

    def _ranked(self, bankrupt: str, no: int) -> list[str]:
        model = self.w.model
        side = sign(model.positions(bankrupt)[no].size) if no in model.positions(bankrupt) else 0
        others = [
            who
            for who in model.s.accounts
            if who not in {bankrupt, self.w.engine}
            and no in model.positions(who)
            and sign(model.positions(who)[no].size) == -side
        ]
        return sorted(others, key=lambda who: -model.valuation(who).equity)

    def _count(self, what: str, error: str | None) -> None:
        self.counts[what if error is None else f"{what}: {error}"] += 1


async def run(seed: int, steps: int, sigma: float = 0.03, shock: float = 0.05) -> Walk:
    """One walk. Raises AssertionError at the first step where chain and model differ or an invariant breaks."""
    insurance = random.Random(seed).choice([0, 100, 5_000]) * 10**6
    async with world(MARKETS, insurance) as w:
        assert w.now == START
        walk = Walk(w, seed, sigma, shock)
        await walk.begin()
        for i in range(steps):
            try:
                await walk.step()
            except AssertionError as error:
                error.add_note(f"seed {seed}, step {i}, {dict(walk.counts)}")
                raise
        return walk


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--walks", type=int, default=1)
    parser.add_argument("--steps", type=int, default=1500)
    asked = parser.parse_args()
    counts: Counter[str] = Counter()
    gas: dict[str, int] = {}
    gap = 0
    for seed in range(asked.seed, asked.seed + asked.walks):
        walk = asyncio.run(run(seed, asked.steps))
        counts += walk.counts
        gap = max(gap, walk.gap)
        for function, used in walk.w.peak_gas.items():
            gas[function] = max(gas.get(function, 0), used)
    lines = [f"{what}: {n}" for what, n in sorted(counts.items())]
    lines += [f"highest gas of {function}: {used}" for function, used in sorted(gas.items())]
    sys.stdout.write("\n".join([*lines, f"largest rounding gap: {gap} units"]) + "\n")


if __name__ == "__main__":
    main()
