"""A price tick re-judges 100,000 cross-margin accounts in 4 markets: columns against exact integers and Decimal objects.

    python -m benchmarks.health

On every compared tick the columns' set is equal to the set that the integers find, 600 accounts within two units of
the threshold included. Integers are timed on whole ticks, Decimals on a sample and extrapolated. Goal: at most 5 ms.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from keeper.domain.account import Account, Position
from keeper.domain.columns import AccountColumns
from keeper.domain.exchange import MarketParameters, Tier
from keeper.domain.ids import Address
from keeper.domain.margin import Terms, health_in, is_liquidatable
from keeper.domain.numbers import E18

ACCOUNTS, PLANTED, TICKS, EXACT_TICKS, DECIMALS, GOAL_MS = 100_000, 600, 300, 3, 2_000, 5.0
ENGINE = Address("0x" + "f" * 40)
MARKS = {1: 60_000 * E18, 2: 3_000 * E18, 3: 10**10, 4: 5 * 10**17}
USD = 10**6
TIERS = (Tier(0, 50), Tier(50_000 * USD, 100), Tier(250_000 * USD, 250), Tier(1_000_000 * USD, 500))
RULES = MarketParameters(
    tiers=TIERS,
    im_factor_bps=20_000,
    buffer_bps=11_000,
    penalty_bps=40,
    liquidator_bps=5_000,
    lot_e18=1,
    min_notional_units=5 * USD,
    max_notional_units=10**18,
    max_oi_e18=10**38,
    maker_bps=1,
    taker_bps=4,
    band_bps=200,
    max_price_age_s=60,
    funding_kind=0,
    interest_e18=10**14,
    clamp_e18=5 * 10**14,
    cap_e18=75 * 10**14,
)
Markets = Mapping[int, Terms]


CUMS = {number: mark * E18 // 20 for number, mark in MARKS.items()}
"""Funding so far: 5 % of the price."""


def markets_at(marks: Mapping[int, int]) -> dict[int, Terms]:
    return {
        number: Terms(number, RULES, mark, CUMS[number], fresh=True, passable=True) for number, mark in marks.items()
    }


def crowd(dice: random.Random) -> dict[Address, Account]:
    """Four positions each, entered within 5 % of the mark; 1 % of them under water, 2 % within 5 % of it, 600 at it."""
    markets, found = markets_at(MARKS), {}
    for index in range(1, ACCOUNTS + 1):
        held = {}
        for number, mark in MARKS.items():
            size = int(10 ** dice.uniform(2, 5.5)) * USD * 10**30 // mark * dice.choice((1, -1))
            entry = mark * dice.randrange(9_500, 10_500) // 10_000
            held[number] = Position(size, -size * entry // 10**30, CUMS[number] * dice.randrange(90, 101) // 100)
        bare = Account(Address(f"0x{index:040x}"), 0, held)
        health = health_in(bare, markets)
        target = health.maintenance * health_bps(dice) // 10_000
        if index <= PLANTED:
            target = health.maintenance + dice.randrange(-2, 3)
        found[bare.address] = replace(bare, margin_units=target - health.equity)
    return found


def health_bps(dice: random.Random) -> int:
    chance = dice.random()
    if chance < 0.01:
        return dice.randrange(5_000, 10_000)
    return dice.randrange(10_000, 10_500) if chance < 0.03 else dice.randrange(10_500, 300_000)


@dataclass(frozen=True, slots=True)
class DecimalPosition:
    size: Decimal
    quote: Decimal
    cum_entry: Decimal


@dataclass(frozen=True, slots=True)
class DecimalAccount:
    margin: Decimal
    positions: tuple[tuple[int, DecimalPosition], ...]

    def is_liquidatable(self, marks: Mapping[int, Decimal], cums: Mapping[int, Decimal]) -> bool:
        equity, maintenance = self.margin, Decimal(0)
        for number, position in self.positions:
            worth = position.size * marks[number]
            equity += worth + position.quote - position.size * (cums[number] - position.cum_entry)
            maintenance += decimal_maintenance(abs(worth))
        return equity < maintenance


DECIMAL_TIERS = tuple((Decimal(tier.floor_units) / USD, Decimal(tier.mmr_bps) / 10_000) for tier in TIERS)


def decimal_maintenance(worth: Decimal) -> Decimal:
    total, before = Decimal(0), Decimal(0)
    for floor, rate in DECIMAL_TIERS:
        if worth <= floor:
            break
        total, before = total + (worth - floor) * (rate - before), rate
    return total


def in_decimals(account: Account) -> DecimalAccount:
    held = tuple(
        (
            number,
            DecimalPosition(
                Decimal(position.size_e18).scaleb(-18),
                Decimal(position.quote_units).scaleb(-6),
                Decimal(position.cum_entry_e36).scaleb(-36),
            ),
        )
        for number, position in account.positions.items()
    )
    return DecimalAccount(Decimal(account.margin_units).scaleb(-6), held)


def walk(dice: random.Random) -> list[dict[int, int]]:
    """All four marks move at every tick; the first stand where the planted accounts do, every hundredth jumps 2 %."""
    marks, ticks = dict(MARKS), []
    for tick in range(TICKS):
        ticks.append(dict(marks))
        step = 0.02 if tick % 100 == 99 else 0.0005
        marks = {number: max(1, int(mark * (1 + dice.gauss(0, step)))) for number, mark in marks.items()}
    return ticks


def timed_columns(
    accounts: Mapping[Address, Account], ticks: Sequence[Mapping[int, int]]
) -> tuple[float, list[float], list[int], dict[int, set[Address]]]:
    """(seconds to build, ms of each tick, exact checks of each tick, the sets of the ticks to compare)."""
    begun = time.perf_counter()
    columns = AccountColumns(ENGINE)
    columns.put_all(accounts.values())
    built = time.perf_counter() - begun
    spent, doubtful, sets = [], [], {}
    for index, marks in enumerate(ticks):
        begun = time.perf_counter()
        found = columns.below(accounts, markets_at(marks))
        spent.append((time.perf_counter() - begun) * 1e3)
        doubtful.append(len(columns.judge(markets_at(marks)).doubtful))
        if index in compared():
            sets[index] = set(found)
    return built, spent, doubtful, sets


def compared() -> tuple[int, ...]:
    """The planted tick, one amid the walk, and the tick after a jump."""
    return 0, TICKS // 2, TICKS - 200


def timed_integers(
    accounts: Mapping[Address, Account], ticks: Sequence[Mapping[int, int]], sets: Mapping[int, set[Address]]
) -> list[float]:
    spent = []
    for index in compared():
        markets = markets_at(ticks[index])
        begun = time.perf_counter()
        exact = {address for address, account in accounts.items() if is_liquidatable(account, markets)}
        spent.append((time.perf_counter() - begun) * 1e3)
        if sets[index] != exact:
            raise SystemExit(f"tick {index}: columns differ from the integers by {len(sets[index] ^ exact)} accounts")
    return spent


def timed_decimals(accounts: Mapping[Address, Account], marks: Mapping[int, int]) -> float:
    """ms a tick of all accounts, extrapolated from a sample."""
    sample = [in_decimals(account) for account in list(accounts.values())[-DECIMALS:]]
    prices = {number: Decimal(mark).scaleb(-18) for number, mark in marks.items()}
    cums, rounds = {number: Decimal(cum).scaleb(-36) for number, cum in CUMS.items()}, []
    for _ in range(3):
        begun = time.perf_counter()
        for account in sample:
            account.is_liquidatable(prices, cums)
        rounds.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(rounds) * ACCOUNTS / DECIMALS


def quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def main() -> int:
    dice = random.Random(7)
    accounts, ticks = crowd(dice), walk(dice)
    built, spent, doubtful, sets = timed_columns(accounts, ticks)
    integers = timed_integers(accounts, ticks, sets)
    decimals = timed_decimals(accounts, ticks[0])
    p50 = quantile(spent, 0.5)
    print(f"{ACCOUNTS:,} accounts x {len(MARKS)} markets, every mark moves at every tick; ms a tick")
    print(f"{'':34}{'p50':>10}{'p99':>10}{'ratio':>10}")
    print(f"{'columns, doubts confirmed':34}{p50:>10.2f}{quantile(spent, 0.99):>10.2f}{1:>10}")
    whole = statistics.median(integers)
    print(f"{'exact integers':34}{whole:>10.0f}{max(integers):>10.0f}{whole / p50:>10.0f}")
    print(f"{f'Decimal objects ({DECIMALS:,} extrapolated)':34}{decimals:>10.0f}{'':>10}{decimals / p50:>10.0f}")
    found = ", ".join(f"{len(sets[index]):,}" for index in compared())
    print(f"built in {built:.2f} s; doubtful accounts a tick: {doubtful[0]} planted, at most {max(doubtful[1:])} later")
    print(f"sets equal on ticks {compared()}: {found} liquidatable")
    met = p50 <= GOAL_MS
    print(f"goal p50 <= {GOAL_MS} ms: {'met' if met else 'NOT met'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
