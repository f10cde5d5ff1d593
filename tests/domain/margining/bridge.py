"""Random contracts, tiers and positions, and short ways to write numbers."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from hypothesis import strategies as st

from keeper.domain.margining.contracts import Contract, Kind
from keeper.domain.margining.isolated import Isolated
from keeper.domain.margining.tiers import TierTable, tier_table
from keeper.domain.numbers import E18


def e18(text: str | int) -> int:
    return int(Decimal(text).scaleb(18))


kinds = st.sampled_from(list(Kind))
prices = st.integers(0, 30).flatmap(lambda digits: st.integers(10**10, 10**10 * 10**digits + 1))
sizes = st.builds(lambda size, sign: size * sign, st.integers(10**12, 10**24), st.sampled_from([1, -1]))
rates = st.builds(Fraction, st.integers(1, 150), st.integers(300, 400))
multipliers = st.sampled_from([Fraction(1), Fraction(1, 1000), Fraction(100), Fraction(7, 3)])


@st.composite
def tables(draw, scale=E18):
    rises = draw(st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 60)), max_size=6))
    floor, rate = 0, draw(st.integers(1, 200))
    rows = [(0, Fraction(rate, 1000))]
    for rise, more in rises:
        floor, rate = floor + rise * scale, rate + more
        rows.append((floor, Fraction(rate, 1000)))
    table = tier_table(rows)
    assert isinstance(table, TierTable)
    return table


@st.composite
def positions(draw, kind=kinds):
    """Of up to 50 × leverage either way round, so that some are liquidatable at the entry and some never."""
    contract = Contract(draw(kind), draw(multipliers))
    size, entry = draw(sizes), draw(prices)
    worth = abs(contract.worth(size, entry))
    share = draw(st.fractions(Fraction(1, 100), Fraction(3, 2), max_denominator=1000))
    scale = max(1, int(worth) // 10**5)
    return Isolated(contract, size, entry, int(worth * share), draw(tables(scale)))
