"""A random market on the reference exchange: prices, traders, funding, pauses and outages; no keeper yet."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

from tests.domain.accounts.bridge import CALLER, who
from tests.domain.accounts.reference import E18, E30, FUND, FUNDING, Exchange, Feed, Refused, Rules

TIERS = ((0, 50), (50_000 * 10**6, 100), (250_000 * 10**6, 250), (10**12, 500))
LOTS = {1: 10**15, 2: 10**16, 3: 10**24, 4: 10**18}
START = 1_700_000_000


@dataclass(frozen=True)
class Mood:
    """How prices move each step, and what the insurance fund begins with in USD."""

    sigma: float
    often: float
    shocks: tuple[float, ...]
    fund: int


NERVOUS = Mood(0.003, 0.03, (0.93, 0.96, 1.04, 1.07), 100)
ROUGH = Mood(0.003, 0.02, (0.75, 0.85, 1.2, 1.3), 2_000)
BROKE = Mood(0.005, 0.03, (0.7, 0.8, 1.25, 1.4), 0)


class World:
    def __init__(self, seed: int, mood: Mood) -> None:
        self.random, self.now, self.seen, self.mood = random.Random(seed), START, Counter(), mood
        self.exchange = Exchange()
        for number, interval in {1: 3_600, 2: 28_800, 3: 600, 4: 3_600}.items():
            self.exchange.feeds[number] = Feed(interval, min(120, interval), kind=number % 2)
        # 3: a coin at 1e-8 USD
        self.prices = {1: 60_000 * E18, 2: 3_000 * E18, 3: 10**10, 4: E18 // 2}
        self.push(many=True)
        for number, lot in LOTS.items():
            self.exchange.list(number, Rules(TIERS, lot=lot, kind=number % 3 == 0), self.now)
        self.exchange.deposit(FUND, mood.fund * 10**6)
        self.traders = [who(index) for index in range(1, 11)]
        for trader in self.traders:
            self.exchange.deposit(trader, self.random.randrange(200, 20_000) * 10**6)
        self.exchange.deposit(CALLER, 10**10)

    def push(self, *, many: bool = False) -> None:
        chosen = [n for n in self.prices if many or self.random.random() < 0.95]
        prices = []
        for number in chosen:
            basis = self.random.gauss(0, 0.002)
            mark = max(1, int(self.prices[number] * (1 + basis)))
            prices.append((number, self.prices[number], mark, int(basis * E18)))
        observed = self.now - self.random.randrange(3)
        self.exchange.push(prices, observed, self.random.randrange(1_000), many or self.random.random() < 0.5)

    def step(self) -> None:
        """Time passes, prices move, somebody does something."""
        dice = self.random
        self.now += (
            dice.choice([1, 5, 12, 30, 30, 60]) if dice.random() < 0.95 else dice.choice([400, 4_000, 9_000, 60_000])
        )
        for number in self.prices:
            factor = 1 + dice.gauss(0, self.mood.sigma)
            if dice.random() < self.mood.often:
                factor *= dice.choice(self.mood.shocks)
            self.prices[number] = max(10**6, int(self.prices[number] * factor))
        if dice.random() < 0.6:
            self.push()
        try:
            self._act(dice.random())
        except Refused as refused:
            self.seen[f"refused {refused}"] += 1

    def _act(self, chance: float) -> None:
        dice, exchange = self.random, self.exchange
        if chance < 0.5:
            self._trade()
        elif chance < 0.55:
            exchange.withdraw(dice.choice(self.traders), dice.randrange(1, 3_000) * 10**6, self.now)
        elif chance < 0.6:
            exchange.deposit(dice.choice(self.traders), dice.randrange(1, 3_000) * 10**6)
        elif chance < 0.7:
            self.seen["settled"] += exchange.accrue(dice.choice(list(LOTS)), self.now)
        elif chance < 0.715:
            if exchange.paused & FUNDING:
                exchange.resume_funding(self.now)
            exchange.paused ^= FUNDING
        elif chance < 0.725 or (chance < 0.8 and any(feed.frozen for feed in exchange.feeds.values())):
            feed = exchange.feeds[dice.choice(list(LOTS))]
            feed.frozen = not feed.frozen and dice.random() < 0.5

    def _trade(self) -> None:
        dice, exchange = self.random, self.exchange
        number = dice.choice(list(LOTS))
        maker, taker = dice.sample(self.traders, 2)
        mark, lot = exchange.feeds[number].mark, LOTS[number]
        usd = dice.choice([50, 500, 5_000, 50_000]) * 10**6
        delta = usd * E30 // mark // lot * lot * dice.choice([-1, 1])
        held = exchange.holders[FUND].held.get(number)
        if held and dice.random() < 0.2:
            maker, delta = FUND, held[0] if abs(held[0]) < abs(delta) else abs(delta) * (1 if held[0] > 0 else -1)
        exchange.trade(maker, taker, number, delta, int(mark * (1 + dice.gauss(0, 0.002))), self.now)
        self.seen["traded"] += 1
