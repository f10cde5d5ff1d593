"""Every account's slack E − MM against new prices, in one pass over columns.

One row per account: `base` = margin + Σ (quote + ⌊size · entry index⌋), and a size per market. At marks p and funding
indices c, E ≈ base + Σ size · (p − c) and MM ≈ Σ max over tiers of rate · |size| · p − K. Both differ from the exact
integers by rounding that has a bound (`_band`), so a row beyond it is sure and a row within it is judged exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from keeper.domain.account import Account
from keeper.domain.ids import Address
from keeper.domain.margin import FUNDING_SCALE, PRICE_SCALE, Markets, Terms, health_in, tier_offsets
from keeper.domain.numbers import BPS, fdiv

Floats = npt.NDArray[np.float64]

CHUNK = 8_192
"""Rows worked on at a time: their columns stay in the processor's cache."""
UNIT_ROUNDOFF = 2.0**-53
_FIRST_CAPACITY = 1_024


@dataclass(frozen=True, slots=True)
class Judged:
    """`sure` are below the ratio beyond any rounding; `doubtful` are within `band_units` of it."""

    sure: tuple[Address, ...]
    doubtful: tuple[Address, ...]
    band_units: float


@dataclass(frozen=True, slots=True)
class _Coefficients:
    """One market at one instant: mark and worth per size, each tier's (maintenance per |size|, offset), in units."""

    column: int
    mark: float
    worth: float
    lines: tuple[tuple[float, float], ...]


class AccountColumns:
    """`put` what changed, then ask for the set at any prices. ENGINE and accounts without a position are never in it."""

    def __init__(self, engine: Address) -> None:
        self._engine = engine
        self._rows: dict[Address, int] = {}
        self._addresses = np.empty(_FIRST_CAPACITY, dtype=object)
        self._columns: dict[int, int] = {}
        self._base: Floats = np.full(_FIRST_CAPACITY, np.inf)
        self._sizes: Floats = np.zeros((0, _FIRST_CAPACITY))
        self._absolute: Floats = np.zeros((0, _FIRST_CAPACITY))
        self._largest: tuple[float, Floats] | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def put_all(self, accounts: Iterable[Account]) -> None:
        for account in accounts:
            self.put(account)

    def sync(self, accounts: Mapping[Address, Account], changed: Iterable[Address]) -> None:
        """After a mirror's `apply_block` or `rewind`: one that is gone counts as empty."""
        for address in changed:
            self.put(accounts.get(address) or Account(address))

    def put(self, account: Account) -> None:
        """Adds the account, or replaces its row."""
        row = self._row(account.address)
        self._sizes[:, row] = 0.0
        self._absolute[:, row] = 0.0
        base = account.margin_units
        for number, position in account.positions.items():
            column = self._column(number)
            base += position.quote_units + fdiv(position.size_e18 * position.cum_entry_e36, FUNDING_SCALE)
            self._sizes[column, row] = position.size_e18
            self._absolute[column, row] = abs(position.size_e18)
        judged = bool(account.positions) and account.address != self._engine
        self._base[row] = base if judged else np.inf
        self._largest = None

    def judge(self, markets: Markets, ratio_bps: int = BPS) -> Judged:
        """Who is below E / MM = `ratio_bps`: liquidatable at 10,000. Raises KeyError if a held market has no terms."""
        coefficients = self._coefficients(markets, ratio_bps)
        band = self._band(coefficients, ratio_bps)
        sure: list[Address] = []
        doubtful: list[Address] = []
        for start in range(0, len(self), CHUNK):
            slack = self._slack(start, min(start + CHUNK, len(self)), coefficients)
            near = np.flatnonzero(slack < band)
            definite = slack[near] < -band
            sure += self._addresses[start + near[definite]].tolist()
            doubtful += self._addresses[start + near[~definite]].tolist()
        return Judged(tuple(sure), tuple(doubtful), band)

    def below(self, accounts: Mapping[Address, Account], markets: Markets, ratio_bps: int = BPS) -> tuple[Address, ...]:
        """The exact set: sure rows, and those doubtful ones that `keeper.domain.margin` confirms."""
        judged = self.judge(markets, ratio_bps)
        confirmed = (a for a in judged.doubtful if _is_below(accounts[a], markets, ratio_bps))
        return (*judged.sure, *confirmed)

    def _slack(self, start: int, stop: int, coefficients: Sequence[_Coefficients]) -> Floats:
        """base + Σ (size · worth − max of the tiers' lines) of some rows."""
        slack = self._base[start:stop].copy()
        line, highest = np.empty_like(slack), np.empty_like(slack)
        for market in coefficients:
            absolute = self._absolute[market.column, start:stop]
            np.multiply(self._sizes[market.column, start:stop], market.worth, out=line)
            slack += line
            np.multiply(absolute, market.lines[0][0], out=highest)
            for slope, offset in market.lines[1:]:
                np.multiply(absolute, slope, out=line)
                line -= offset
                np.maximum(highest, line, out=highest)
            slack -= highest
        return slack

    def _coefficients(self, markets: Markets, ratio_bps: int) -> tuple[_Coefficients, ...]:
        """Python's int / int is correctly rounded, so each coefficient is within half a unit in the last place."""
        _, largest = self._magnitudes()
        found = []
        for number, column in self._columns.items():
            if not largest[column]:
                continue
            terms = markets[number]
            # One division of the exact difference: no cancellation.
            worth = (terms.mark_e18 * 10**18 - terms.cum_e36) / FUNDING_SCALE
            lines = _lines(terms, ratio_bps, largest[column])
            found.append(_Coefficients(column, terms.mark_e18 / PRICE_SCALE, worth, lines))
        return tuple(found)

    def _band(self, coefficients: Sequence[_Coefficients], ratio_bps: int) -> float:
        """A bound of |slack − (E − MM · ratio)| over all rows.

        Integers: each position rounds its value, its funding and its base by less than 1 unit, its notional and its
        maintenance by less than 1 unit times the ratio. Floats: each coefficient, size and product is off by at most
        3 roundings, a line by at most 11 (the line that wins is not negative, so its offset is no larger than its
        product), and adding up 2 terms a market by as many again; all relative to the sum of magnitudes.
        """
        base, largest = self._magnitudes()
        ratio, count = max(1.0, ratio_bps / BPS), len(coefficients)
        magnitude = base
        for market in coefficients:
            magnitude += largest[market.column] * (abs(market.worth) + ratio * market.mark)
        return (4.0 + 2.0 * ratio) * count + (4 * count + 32) * UNIT_ROUNDOFF * float(magnitude)

    def _magnitudes(self) -> tuple[float, Floats]:
        """The largest |base| and the largest |size| of each column."""
        if self._largest is None:
            rows = len(self)
            base = np.abs(self._base[:rows])
            finite = base[np.isfinite(base)]
            sizes = self._absolute[:, :rows].max(axis=1, initial=0.0)
            self._largest = float(finite.max(initial=0.0)), sizes
        return self._largest

    def _row(self, address: Address) -> int:
        row = self._rows.get(address)
        if row is None:
            row = self._rows[address] = len(self._rows)
            if row == len(self._base):
                self._base = np.concatenate([self._base, np.full(row, np.inf)])
                self._sizes = np.hstack([self._sizes, np.zeros_like(self._sizes)])
                self._absolute = np.hstack([self._absolute, np.zeros_like(self._absolute)])
                self._addresses = np.concatenate([self._addresses, np.empty(row, dtype=object)])
            self._addresses[row] = address
        return row

    def _column(self, number: int) -> int:
        column = self._columns.get(number)
        if column is None:
            column = self._columns[number] = len(self._columns)
            empty = np.zeros((1, len(self._base)))
            self._sizes = np.vstack([self._sizes, empty])
            self._absolute = np.vstack([self._absolute, empty])
        return column


def _lines(terms: Terms, ratio_bps: int, largest_size: float) -> tuple[tuple[float, float], ...]:
    """The tiers' lines times the ratio, without those that lie above every position by a wide margin."""
    tiers, worth = terms.parameters.tiers, largest_size * (terms.mark_e18 / PRICE_SCALE)
    return tuple(
        (tier.mmr_bps * ratio_bps * terms.mark_e18 / (BPS * BPS * PRICE_SCALE), offset * ratio_bps / (BPS * BPS))
        for tier, offset in zip(tiers, tier_offsets(tiers), strict=True)
        if tier.floor_units <= 2 * worth or tier.floor_units == 0
    )


def _is_below(account: Account, markets: Markets, ratio_bps: int) -> bool:
    found = health_in(account, markets)
    return bool(account.positions) and found.equity * BPS < found.maintenance * ratio_bps
