"""The mean of a real Uniswap v3 pool against one computed by ourselves from the ticks that we saw."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, Decimal, localcontext
from fractions import Fraction

import pytest

from keeper.adapters.encoding.addresses import checksum
from keeper.adapters.onchain.source import Reading, Unusable
from keeper.adapters.onchain.uniswap_v3 import UniswapV3
from keeper.domain.ids import Address, address
from tests.onchain.stage import Contract, Stage, ours, uniswap

FEE, LOW, HIGH = 3000, -887_220, 887_220
WINDOW_S = 600
PLENTY = 10**18


def sqrt_price(tick: int) -> int:
    """Of a tick, scaled by 2**96, as the pool wants it."""
    with localcontext() as context:
        context.prec = 80
        return int((Decimal("1.0001") ** tick).sqrt() * 2**96)


@dataclass
class Pool:
    """`path` is what we saw: from each second on the tick, and the liquidity in range."""

    stage: Stage
    pool: Contract
    trader: Contract
    tokens: tuple[Address, Address]
    places: tuple[int, int]
    path: list[tuple[int, int, int]] = field(default_factory=list)

    async def note(self) -> None:
        tick = (await self.pool.read("slot0"))[1]
        self.path.append((self.stage.now_s, tick, (await self.pool.read("liquidity"))[0]))

    async def provide(self, amount: int, low: int = LOW, high: int = HIGH) -> None:
        await self.trader.send("provide", self.pool.at, low, high, amount)
        await self.note()

    async def withdraw(self, amount: int) -> None:
        await self.trader.send("withdraw", self.pool.at, LOW, HIGH, amount)
        await self.note()

    async def move_to(self, tick: int) -> None:
        await self.trader.send("swapTo", self.pool.at, tick < self.path[-1][1], sqrt_price(tick))
        await self.note()

    def mean_tick(self, window_s: int = WINDOW_S) -> Decimal:
        """Exactly: each tick by the seconds for which it stood."""
        return sum((Decimal(tick) * held for held, tick, _ in self._held(window_s)), Decimal(0)) / window_s

    def harmonic(self, window_s: int = WINDOW_S) -> Fraction:
        return window_s / sum(Fraction(held, liquidity) for held, _, liquidity in self._held(window_s))

    def _held(self, window_s: int) -> list[tuple[int, int, int]]:
        ends = [*(at for at, _, _ in self.path[1:]), self.stage.now_s]
        first = self.stage.now_s - window_s
        return [
            (end - max(at, first), tick, liquidity)
            for (at, tick, liquidity), end in zip(self.path, ends, strict=True)
            if end > first
        ]

    def source(self, base: int = 0, min_liquidity: int = 1, window_s: int = WINDOW_S) -> UniswapV3:
        """Named as people write addresses."""
        token = Address(checksum(self.tokens[base]))
        return UniswapV3(self.pool.at, token, min_liquidity, window_s)


async def pool_of(stage: Stage, cardinality: int = 100, start: int = 0) -> Pool:
    """Of a token with 18 decimals and one with 6; which is token0 follows from their addresses."""
    factory = await stage.deploy(uniswap("UniswapV3Factory"))
    decimals_of = {(await stage.deploy(ours("StageToken"), places)).at: places for places in (18, 6)}
    ordered = sorted(decimals_of)
    await factory.send("createPool", ordered[0], ordered[1], FEE)
    where = (await factory.read("getPool", ordered[0], ordered[1], FEE))[0]
    pool = await stage.at(where, uniswap("UniswapV3Pool"))
    trader = await stage.deploy(ours("PoolTrader"))
    if cardinality:
        await pool.send("initialize", sqrt_price(start))
        await pool.send("increaseObservationCardinalityNext", cardinality)
    found = Pool(stage, pool, trader, (ordered[0], ordered[1]), (decimals_of[ordered[0]], decimals_of[ordered[1]]))
    if cardinality:
        await found.note()
    return found


def expected_e18(tick: int, places: tuple[int, int], base: int) -> int:
    with localcontext() as context:
        context.prec = 120
        raw = Decimal("1.0001") ** tick * Decimal(10) ** (places[0] - places[1])
        return int((raw if base == 0 else 1 / raw) * 10**18)


@pytest.mark.parametrize("start", [-76_013, -7, 20_000])
async def test_mean__of_a_pool_that_is_traded__is_what_its_ticks_say(stage: Stage, start: int) -> None:
    pool = await pool_of(stage, start=start)
    await pool.provide(PLENTY)
    for step, wait_s in ((-150, 70), (333, 200), (-1001, 190), (40, 3), (7, 211), (-260, 90)):
        await pool.move_to(pool.path[-1][1] + step)
        await stage.mine(wait_s)
    mean = pool.mean_tick()
    floored = int(mean.to_integral_value(rounding=ROUND_FLOOR))
    assert mean != floored
    for base in (0, 1):
        found = await stage.look(pool.source(base))
        assert isinstance(found, Reading), found
        assert found.price_e18 == expected_e18(floored, pool.places, base)
        assert found.observed_at == stage.now_s * 10**9


async def test_mean__after_one_block_of_a_wild_price__hardly_moves(stage: Stage) -> None:
    """What slot0 would have said is thirty-fold; the mean over ten minutes moves by the second that it lasted."""
    pool = await pool_of(stage)
    await pool.provide(PLENTY)
    await stage.mine(900)
    before = await stage.look(pool.source())
    await pool.move_to(34_013)
    wild = await stage.look(pool.source())
    await pool.move_to(0)
    after = await stage.look(pool.source())
    assert isinstance(before, Reading)
    assert isinstance(wild, Reading)
    assert isinstance(after, Reading)
    assert before.price_e18 == wild.price_e18, "the block in which it moves does not count yet"
    assert 1 < after.price_e18 / before.price_e18 < 1.0058
    assert pool.path[-2][1] in (34_012, 34_013)
    assert pool.mean_tick() == Decimal(pool.path[-2][1]) / WINDOW_S


async def test_pool__with_room_for_one_observation__says_what_to_do(stage: Stage) -> None:
    pool = await pool_of(stage, cardinality=1)
    await pool.provide(PLENTY)
    await stage.mine(900)
    await pool.move_to(100)
    found = await stage.look(pool.source())
    assert isinstance(found, Unusable)
    assert found.reason == "old"
    assert "increaseObservationCardinalityNext" in found.detail


async def test_pool__that_has_just_begun__is_too_young(stage: Stage) -> None:
    pool = await pool_of(stage)
    await pool.provide(PLENTY)
    await stage.mine(300)
    found = await stage.look(pool.source())
    assert isinstance(found, Unusable)
    assert found.reason == "old"
    await stage.mine(400)
    assert isinstance(await stage.look(pool.source()), Reading)


async def test_pool__never_initialised__has_no_price(stage: Stage) -> None:
    pool = await pool_of(stage, cardinality=0)
    found = await stage.look(pool.source())
    assert isinstance(found, Unusable)
    assert found.reason == "uninitialised"


async def test_liquidity__that_left_for_a_while__counts_by_its_harmonic_mean(stage: Stage) -> None:
    pool = await pool_of(stage)
    await pool.provide(PLENTY)
    await stage.mine(1000)
    await pool.withdraw(PLENTY - PLENTY // 1000)
    await stage.mine(59)
    await pool.provide(PLENTY - PLENTY // 1000)
    await stage.mine(200)
    harmonic = pool.harmonic()
    assert harmonic < PLENTY / 50, "a minute without liquidity is most of a harmonic mean"
    found = await stage.look(pool.source(min_liquidity=int(harmonic * Fraction(99, 100))))
    assert isinstance(found, Reading), found
    told = int(found.detail.rpartition(" ")[2])
    assert abs(told - harmonic) / harmonic < 1e-6
    thin = await stage.look(pool.source(min_liquidity=int(harmonic * Fraction(101, 100))))
    assert isinstance(thin, Unusable)
    assert thin.reason == "thin"


async def test_base__that_the_pool_does_not_trade__is_named(stage: Stage) -> None:
    pool = await pool_of(stage)
    stranger = address("0x" + "ab" * 20)
    found = await stage.look(UniswapV3(pool.pool.at, stranger, 1, WINDOW_S))
    assert isinstance(found, Unusable)
    assert found.reason == "base"
    assert pool.tokens[0] in found.detail


async def test_address__without_a_contract__is_unreadable(stage: Stage) -> None:
    nobody = address("0x" + "cd" * 20)
    found = await stage.look(UniswapV3(nobody, nobody, 1, WINDOW_S))
    assert isinstance(found, Unusable)
    assert found.reason == "unreadable"
    assert "no contract" in found.detail
