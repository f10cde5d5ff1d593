"""bit.com second by second, and three looks at Deribit."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

from keeper.domain.grade import Grade
from keeper.domain.mark.averages import TickState
from keeper.domain.mark.basis import BasisState
from keeper.domain.mark.ema_basis import EmaBasis
from keeper.domain.mark.method import within
from keeper.domain.mark.moving import MovingState
from keeper.domain.mark.venues import Bitcom
from keeper.domain.numbers import E18, clamp, decimal_of
from keeper.domain.time import SECOND
from tests.validation.data import e18, observations
from tests.validation.marks import inputs, mark
from tests.validation.row import Row, relative

_ORDER_BAND_BPS = 150
_QUANTUM = Decimal("2.0366e-5")
Step = tuple[dict[str, Any], dict[str, Any]]


def rows() -> Sequence[Row]:
    steps = list(pairwise(_marks(observations("bitcom"))))
    left = [_stepped(Bitcom(), *step) - step[1]["mark"] for step in steps]
    deribit = observations("deribit_perp")
    return (
        Row(
            "bit.com",
            "bitcom",
            "mark `bitcom`: index + basis, 2/31 of a new sample each second",
            [relative(_stepped(Bitcom(), *step), step[1]["mark"]) for step in steps],
            Decimal("1.3e-5"),
        ),
        Row(
            "bit.com",
            "bitcom",
            "mark `bitcom`: what is left over is a multiple of 2.04e-5",
            sorted(abs(each - _QUANTUM * round(each / _QUANTUM)) for each in left)[:-1],
            Decimal("5e-8"),
            "price",
            Grade.CONSISTENT,
            "so only the sample's book differs from the one recorded. 29 of the 30 steps; the other leaves 3.23e-5, which is 2/31 of "
            "half a tick. Two leave 3.2e-5 and 4.1e-5, the others one quantum or none.",
        ),
        Row(
            "bit.com",
            "bitcom",
            "index + basis with a time constant of 30 s, the common misreading",
            [_residue(step) for step in steps],
            Decimal("5e-8"),
            "price",
            None,
            "the share of a new sample would be 1/30.5 instead of 2/31: what is left over has no quantum.",
        ),
        Row(
            "bit.com",
            "bitcom",
            "mark `ema_basis`: the same by elapsed time",
            [relative(_elapsed(*step), step[1]["mark"]) for step in steps],
            Decimal("1.3e-5"),
        ),
        Row(
            "Deribit",
            "deribit_perp",
            "order band: mark · (1 ± 1.5 %)",
            [error for each in deribit for error in _band(each)],
            Decimal("5e-5"),
            grade=Grade.CONSISTENT,
            note="the band follows the mark with some delay.",
        ),
        Row(
            "Deribit",
            "deribit_perp",
            "funding is 0 while |mark / index − 1| is within 0.05 % (2019) or 0.025 %",
            [abs(_undamped(each) - Decimal(each["current_funding"])) for each in deribit],
            Decimal(0),
            "rate",
            Grade.CONSISTENT,
            "all three are within the damper; none lies outside.",
        ),
    )


def _marks(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first row of each new mark: one a second."""
    return [each for before, each in pairwise([{"mark": None}, *found]) if each["mark"] != before["mark"]]


def _stepped(method: Bitcom, before: dict[str, Any], after: dict[str, Any]) -> Decimal:
    """The next mark from the basis that the one before implies."""
    basis, at = e18(before["mark"] - before["index"]), inputs(before).now
    state = MovingState(TickState((), basis, 1, method.samples, at // SECOND, basis, at))
    return mark(method, inputs(after), state)


def _residue(step: Step) -> Decimal:
    """60 samples of 2/61 are the nearest to a time constant of 30 s."""
    left = _stepped(Bitcom(samples=60, warm_pct=0), *step) - step[1]["mark"]
    return abs(left - _QUANTUM * round(left / _QUANTUM))


def _elapsed(before: dict[str, Any], after: dict[str, Any]) -> Decimal:
    """That venue lets each sample stand for the second before it."""
    method, at = EmaBasis(warm_pct=0), inputs(before).now
    basis = method.basis()
    sample = basis.sample(basis.distance(inputs(after).book, e18(after["index"]), inputs(after).now))
    average = e18(before["mark"] - before["index"]) * E18 // e18(before["index"])
    return mark(method, inputs(after), BasisState(average, sample, at, at, 30 * SECOND))


def _band(found: dict[str, Any]) -> tuple[Decimal, Decimal]:
    price = e18(found["mark"])
    low, high = within(1, price, _ORDER_BAND_BPS), within(2 * price, price, _ORDER_BAND_BPS)
    return relative(decimal_of(low), found["min_price"]), relative(decimal_of(high), found["max_price"])


def _undamped(found: dict[str, Any]) -> Decimal:
    """What of the premium is left beyond the damper."""
    premium = (e18(found["mark"]) - e18(found["index"])) * E18 // e18(found["index"])
    damper = E18 // (2000 if found["ts"] < 1_600_000_000_000 else 4000)
    return decimal_of(premium - clamp(premium, -damper, damper))
