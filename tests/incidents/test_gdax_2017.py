"""GDAX, 15 April 2017, 23:02 UTC: a bitcoin for six cents.

Trading went on after a maintenance before the book had filled again. BitMEX's index took the trade for the price, one of four by a
quarter each, and fell to 888.48; who was liquidated was refunded. https://blog.bitmex.com/market-disruption-event-gdax/

Through the parser and the feed of Coinbase, as GDAX is called now, from a tape.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache

from keeper.app.replay.series import Look
from tests.incidents.row import Row, percent
from tests.incidents.wire import BTC, MARKET, TICK, Tape, Told, looks, said

PRINT = Decimal("0.06")
BEGIN, END = 10.0, 14.0
COINBASE = "coinbase:BTC-USD"
BY_MEAN = MARKET.replace("method: median", "method: weighted_mean")


def printed(name: str, second: float, told: Told) -> Told:
    """One trade after another at six cents, and the book as it was."""
    if name == "coinbase" and BEGIN <= second < END:
        return Told(told.bid, told.ask, PRINT, told.at, told.number)
    return told


def swept(name: str, second: float, told: Told) -> Told:
    """And no bid left above it. The others are a cent apart."""
    off = {"binance": TICK, "okx": -TICK}.get(name, Decimal(0))
    told = Told(told.bid + off, told.ask + off, told.last + off, told.at, told.number)
    if name == "coinbase" and BEGIN <= second < END:
        return Told(PRINT, told.ask, PRINT, told.at, told.number)
    return told


@cache
def play(market: str = MARKET) -> list[Look]:
    return looks(Tape(30, swept).play(market), BEGIN, END)


def line() -> Row:
    found = play()
    there = [look.spot for look in found if look.spot is not None]
    worst = max(abs(spot - BTC) for spot in there)
    return Row(
        "GDAX, April 2017", "after a maintenance one of four exchanges trades bitcoin at 0.06 through an empty book",
        "a trade counts only where there is no narrow book; at 0.06 it is an outlier", f"{len(there)} of {len(found)} ticks",
        f"{worst:.2f} dollars", f"mean {percent((BTC - PRINT) / 4 / BTC)} (BitMEX published 888.48), median 0",
    )  # fmt: skip


def test_print__beside_a_standing_book__does_not_move_the_index_at_all() -> None:
    found = Tape(30, printed).play()
    for look in looks(found, 2, 30):
        assert look.spot == BTC
        assert look.refused == {}
    assert {price for _, price in said(found)} == {BTC}


def test_print__through_an_empty_book__moves_the_index_by_no_more_than_a_tick() -> None:
    found = play()
    assert all(look.refused == {COINBASE: "outlier"} for look in found[1:-1])
    assert all(look.spot is not None and abs(look.spot - BTC) <= TICK for look in found)


def test_print__in_an_index_by_weighted_mean__moves_it_by_no_more_than_a_tick() -> None:
    """As BitMEX's was: the rule that refuses is apart from the method."""
    found = play(BY_MEAN)
    assert all(look.spot is not None and abs(look.spot - BTC) <= TICK for look in found)


def test_venue__once_its_book_is_back__votes_again_at_once() -> None:
    after = looks(Tape(30, swept).play(), END + 0.5, 30)
    assert all(look.refused == {} for look in after)
