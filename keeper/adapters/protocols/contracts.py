"""The reference protocol's contracts as compiled plans. The ABIs beside this file are what the compiler gave."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from keeper.adapters.encoding.contract import ContractPlan, compile_contract


@dataclass(frozen=True, slots=True)
class Contracts:
    oracle: ContractPlan
    exchange: ContractPlan
    lens: ContractPlan


def load_abi(name: str) -> list[dict[str, Any]]:
    """The JSON ABI of PriceOracle, PerpExchange or PerpLens."""
    text = files(__package__).joinpath("abi", f"{name}.json").read_text(encoding="utf-8")
    abi: list[dict[str, Any]] = json.loads(text)
    return abi


@cache
def contracts() -> Contracts:
    """Compiled at the first use. Raises AbiMismatch."""
    return Contracts(*[compile_contract(load_abi(name)) for name in ("PriceOracle", "PerpExchange", "PerpLens")])
