"""Revert data of the reference protocol, in words."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from keeper.adapters.encoding.abi import decode_all, tuple_of
from keeper.adapters.encoding.contract import ErrorPlan, codec_of
from keeper.adapters.protocols.contracts import contracts
from keeper.errors import AbiMismatch
from keeper.ports.protocol import Revert

PRICE_REASONS: Mapping[int, str] = {
    1: "unknown market",
    2: "zero price",
    3: "frozen",
    4: "old round",
    5: "deviation",
    6: "spread",
    7: "premium",
}
LIQUIDATION_REASONS: Mapping[int, str] = {
    1: "self or engine",
    2: "no position",
    3: "stale",
    4: "healthy",
    5: "size zero",
    6: "fund short",
}
_LOST_PRICE_RACE = frozenset({4})
_LOST_LIQUIDATION_RACE = frozenset({2, 4, 6})
_BENIGN = frozenset(
    {
        "CounterpartyUnhealthy",
        "FundNotEmpty",
        "FundShort",
        "FundingNotDue",
        "InvalidSize",
        "NoPosition",
        "NotBankrupt",
        "NotLiquidatable",
    }
)
"""Somebody else settled, closed, resized, used up or refilled first, or the prices came back."""

_PANICS: Mapping[int, str] = {
    0x01: "assertion failed",
    0x11: "arithmetic overflow",
    0x12: "division by zero",
    0x21: "not a value of the enumeration",
    0x32: "index out of bounds",
    0x41: "out of memory",
}
"""https://docs.soliditylang.org/en/latest/control-structures.html#panic-via-assert-and-error-via-require"""

_SELECTOR_SIZE = 4


def explain(data: bytes) -> Revert:
    """Never raises: foreign or damaged data is shown as it is."""
    if not data:
        return Revert("no reason", "the call failed without data: out of gas, or no such function", benign=False)
    plan = _errors().get(data[:_SELECTOR_SIZE])
    if plan is None:
        return Revert(f"0x{data[:_SELECTOR_SIZE].hex()}", f"unknown error, {len(data)} bytes", benign=False)
    try:
        values = decode_all(plan.inputs, data[_SELECTOR_SIZE:])
    except AbiMismatch as error:
        return Revert(plan.name, f"unreadable arguments: {error}", benign=False)
    return _described(plan, values)


def _described(plan: ErrorPlan, values: tuple[Any, ...]) -> Revert:
    if plan.name == "NothingAccepted":
        return _with_reasons(plan.name, values[0], PRICE_REASONS, _LOST_PRICE_RACE)
    if plan.name == "NothingLiquidated":
        return _with_reasons(plan.name, values[0], LIQUIDATION_REASONS, _LOST_LIQUIDATION_RACE)
    if plan.name == "Panic":
        return Revert(plan.name, _PANICS.get(values[0], f"code {values[0]:#x}"), benign=False)
    pairs = zip(plan.inputs.names, values, strict=True)
    return Revert(plan.name, ", ".join(f"{name}={value}" for name, value in pairs), plan.name in _BENIGN)


def _with_reasons(name: str, reasons: bytes, words: Mapping[int, str], lost_race: frozenset[int]) -> Revert:
    detail = ", ".join(words.get(reason, f"reason {reason}") for reason in reasons)
    return Revert(name, detail, benign=bool(reasons) and lost_race.issuperset(reasons))


@cache
def _errors() -> Mapping[bytes, ErrorPlan]:
    """Of all contracts, with the two that the compiler emits."""
    built_in = (
        ErrorPlan("Error", bytes.fromhex("08c379a0"), tuple_of([codec_of("string")], ["reason"])),
        ErrorPlan("Panic", bytes.fromhex("4e487b71"), tuple_of([codec_of("uint256")], ["code"])),
    )
    known = contracts()
    return {
        **known.oracle.errors,
        **known.exchange.errors,
        **known.lens.errors,
        **{plan.selector: plan for plan in built_in},
    }
