from __future__ import annotations

import pytest

from tests.evm.chain import named
from tests.evm.comparison import market_config_tuple
from tests.evm.oracle_model import ONE
from tests.evm.scenes import COIN, listing, market_at, open_pair, reprice


@pytest.mark.parametrize(("function", "limit"), [("getAccounts", 500), ("liquidatable", 1024)])
async def test_lens__of_more_accounts_than_its_limit__refuses(function: str, limit: int) -> None:
    async with market_at(100) as w:
        accounts = [named(str(i)) for i in range(limit + 1)]
        outcome = await w.chain.act(named("x"), w.d.lens, function, accounts)
        assert (outcome.error, outcome.arguments) == ("TooManyAccounts", (limit + 1, limit))
        [answer] = await w.chain.read([(w.d.lens, function, (accounts[:limit],))])
        assert len(answer[0]) == (limit if function == "getAccounts" else limit // 256)


async def test_liquidatable__of_the_257th_account__is_the_first_bit_of_the_second_word() -> None:
    async with market_at(100) as w:
        await open_pair(w, "long", "short", 100, 100, 1_000)
        await reprice(w, 80)
        accounts = [named("long"), *(named(str(i)) for i in range(255)), named("long"), w.engine]
        assert await w.chain.read([(w.d.lens, "liquidatable", (accounts,))]) == [((1, 1),)]


async def test_engine__under_water_with_a_position__is_never_shown_as_liquidatable() -> None:
    async with market_at(100, insurance=100) as w:
        await open_pair(w, "long", "short", 100, 100, 1_000)
        await reprice(w, 92)
        await w.liquidate("long", 1)
        await reprice(w, 85)
        [(views, *_), (words,)] = await w.chain.read(
            [
                (w.d.lens, "getAccounts", ([w.engine],)),
                (w.d.lens, "liquidatable", ([w.engine],)),
            ]
        )
        assert views[0][3] < 0 < views[0][4]
        assert words == (0,)
        await w.compare_previews(w.engine)


async def test_get_markets__shows_rules_state_and_price() -> None:
    two = (listing(1), listing(7, lot_e18=10**16))
    async with market_at(100, markets=two) as w:
        await open_pair(w, "long", "short", 10, 100, 1_000, no=7)
        await w.freeze(1)
        [(markets,)] = await w.chain.read([(w.d.lens, "getMarkets", ())])
        assert [market[0] for market in markets] == [1, 7]
        assert [market[1] for market in markets] == [market_config_tuple(market.rules) for market in two]
        assert markets[1][2][6] == 10 * COIN
        assert [market[4:] for market in markets] == [(100 * ONE, 100 * ONE, w.now, live) for live in (False, True)]


async def test_account_list__in_pages__is_complete_and_ends() -> None:
    async with market_at(100) as w:
        for i in range(5):
            await w.deposit(str(i), 1)
        pages = [(w.d.exchange, "accountsPage", (start, 4)) for start in (0, 4, 8, 2**255)]
        answers = [list(page) for (page,) in await w.chain.read(pages)]
        assert [len(page) for page in answers] == [4, 2, 0, 0]
        assert answers[0] + answers[1] == [w.engine, *(named(str(i)) for i in range(5))]


async def test_collateral__has_its_place_and_is_empty() -> None:
    async with market_at(100) as w:
        await w.deposit("saver", 1)
        answers = await w.chain.read(
            [
                (w.d.exchange, "collateralTokens", ()),
                (w.d.exchange, "collateralOf", (named("saver"), w.d.token)),
                (w.d.exchange, "collateralConfig", (w.d.token,)),
            ]
        )
        assert answers == [((),), (0,), ((0, 0, 0, 0),)]
