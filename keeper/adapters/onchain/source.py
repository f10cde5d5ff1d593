"""A price that a contract holds, described: what to ask at a head, and how to understand it. No I/O.

What rarely changes (decimals, bounds, tokens) is learnt once and kept as `Known`; what was learnt may ask for more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from keeper.adapters.encoding.addresses import checked_address
from keeper.adapters.encoding.contract import FunctionPlan, compile_contract
from keeper.domain.chain import BlockRef, Call
from keeper.domain.ids import Address
from keeper.domain.time import Timestamp
from keeper.errors import AbiMismatch, ConfigError, Reverted

Answer = bytes | Reverted
"""What a call returned, or why it did not."""
Known = Any
"""A source's own record of what it has learnt, None at the start."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A price with the contract's own time. `detail` is for people."""

    price_e18: int
    observed_at: Timestamp
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a contract's word is no price. `reason` is one word for logs."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Learnt:
    """No price yet: ask again at the same head, knowing this."""

    known: Known


class OnchainSource(Protocol):
    """`told_every_s`: how old its newest price may properly be, which a market's `max_age_s` has to allow."""

    @property
    def told_every_s(self) -> float: ...

    def calls(self, known: Known, /) -> tuple[Call, ...]: ...

    def read(self, known: Known, answers: Sequence[Answer], at: BlockRef, /) -> Reading | Unusable | Learnt:
        """`answers` to `calls(known)` at block `at`. Raises AbiMismatch for an answer that is none."""
        ...


def normalized(source: object, *names: str) -> None:
    """Lower-cases the addresses of a frozen source. Raises ConfigError for one with a wrong checksum."""
    for name in names:
        try:
            object.__setattr__(source, name, checked_address(getattr(source, name)))
        except ValueError as error:
            raise ConfigError(f"{name}: {error}") from None


def view(name: str, inputs: Sequence[str], outputs: Sequence[str]) -> FunctionPlan:
    """A function of a contract by the types of its signature."""
    entry = {
        "type": "function",
        "name": name,
        "inputs": [{"name": "", "type": kind} for kind in inputs],
        "outputs": [{"name": "", "type": kind} for kind in outputs],
    }
    return compile_contract([entry]).functions[name]


def ask(to: Address, function: FunctionPlan, *arguments: Any) -> Call:
    return Call(to, function.calldata(*arguments))


def result(function: FunctionPlan, answer: Answer) -> tuple[Any, ...]:
    """Raises AbiMismatch, also for a call that was refused."""
    if isinstance(answer, Reverted):
        raise AbiMismatch(f"{function.name} is refused: {revert_words(answer)}")
    return function.result(answer)


_ERROR = view("Error", ["string"], [])
_PANIC = view("Panic", ["uint256"], [])


def revert_words(refusal: Reverted) -> str:
    """The text of `Error(string)`, the code of a panic, or the selector of a contract's own error."""
    data = refusal.data
    for known in (_ERROR, _PANIC):
        if data[:4] == known.selector:
            try:
                return f"{known.inputs.items[0].decode(data[4:], _start(known))[0]}"
            except AbiMismatch:
                break
    return f"0x{data[:4].hex()}" if data else "without a reason"


def _start(function: FunctionPlan) -> int:
    """A text stands behind its offset."""
    return 32 if function.inputs.items[0].dynamic else 0
