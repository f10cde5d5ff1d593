"""The prices that `keeper accounts` prints, held against the exchange's own arithmetic at and one unit beyond them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keeper.app.boards import Boards
from keeper.app.status import StatusPage
from keeper.domain.account import Account
from keeper.domain.columns import AccountColumns
from keeper.domain.holdings import Holdings
from keeper.domain.ids import DeploymentId
from keeper.domain.margin import health_in, is_liquidatable, terms_of
from keeper.domain.mirror import Cursor, Totals
from keeper.domain.numbers import E18, parse_e18
from keeper.errors import KeeperError
from tests.domain.accounts.bridge import ENGINE, block_hash, who
from tests.domain.accounts.test_liquidation import NOW, USD, holder, state

SITE = DeploymentId("main")
LONG = holder(16 * USD, name=1)
BOTH = Account(who(2), 60 * USD, dict(holder(0).positions | holder(0, size=-2 * E18, number=2).positions))
SAFE = holder(9_000 * USD, name=3)


def shown(accounts: list[Account], only_at_risk: bool) -> list[dict[str, Any]]:
    boards, columns = Boards(), AccountColumns(ENGINE)
    columns.put_all(accounts)
    mirrored = {account.address: account for account in accounts}
    boards.states.put(SITE, state())
    boards.holdings.put(SITE, Holdings(Cursor(1, block_hash(1)), ENGINE, mirrored, columns, {1: 3, 2: 1}, Totals(), 0))
    page = StatusPage("live", "", boards, {}, [], [], None, None, None)
    return page.risks(SITE, only_at_risk)


def test_accounts__any__prices_are_where_the_exchange_begins_to_liquidate_and_to_lose() -> None:
    markets, mirrored = terms_of(state(), NOW), {account.address: account for account in (LONG, BOTH)}
    rows = {row["account"]: row for row in shown([LONG, BOTH, SAFE], only_at_risk=True)}
    assert rows.keys() == mirrored.keys()
    for address, account in mirrored.items():
        assert (
            rows[address]["alarms"].keys()
            == rows[address]["bankruptcies"].keys()
            == {str(n) for n in account.positions}
        )
        for number, position in account.positions.items():
            toward_health = 1 if position.size_e18 > 0 else -1
            alarm, bankrupt = (parse_e18(rows[address][key][str(number)]) for key in ("alarms", "bankruptcies"))

            def at(mark: int, number: int = number) -> dict[int, Any]:
                return {**markets, number: replace(markets[number], mark_e18=mark)}

            assert is_liquidatable(account, at(alarm))
            assert not is_liquidatable(account, at(alarm + toward_health))
            assert (
                health_in(account, at(bankrupt)).equity < 0 <= health_in(account, at(bankrupt + toward_health)).equity
            )


def test_accounts__that_no_price_can_hurt__have_none() -> None:
    (row,) = shown([SAFE], only_at_risk=False)
    assert (row["alarms"], row["bankruptcies"]) == ({"1": None}, {"1": None})


@pytest.mark.parametrize("only_at_risk", [False, True])
@pytest.mark.parametrize("known", ["nothing", "no accounts", "not their market"])
def test_accounts__that_are_not_known_yet__are_not_told_as_nobody(known: str, only_at_risk: bool) -> None:
    boards, columns = Boards(), AccountColumns(ENGINE)
    columns.put_all([BOTH])
    found = state()
    if known != "nothing":
        boards.states.put(SITE, replace(found, markets={1: found.markets[1]}))
    if known == "not their market":
        mirrored = {BOTH.address: BOTH}
        held = Holdings(Cursor(1, block_hash(1)), ENGINE, mirrored, columns, {1: 1, 2: 1}, Totals(), 0)
        boards.holdings.put(SITE, held)
    page = StatusPage("live", "", boards, {}, [], [], None, None, None)
    with pytest.raises(KeeperError, match="main: its accounts are not all known yet"):
        page.risks(SITE, only_at_risk)
