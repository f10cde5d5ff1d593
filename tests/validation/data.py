"""Recorded observations, numbers as the decimals that they were written as."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

VENUES = Path(__file__).parents[1] / "data" / "venues"


def observations(name: str) -> list[dict[str, Any]]:
    """Lines of `tests/data/venues/NAME.jsonl`."""
    text = (VENUES / f"{name}.jsonl").read_text()
    return [json.loads(line, parse_float=Decimal) for line in text.splitlines()]


def golden() -> dict[str, dict[str, Any]]:
    """Worked examples by their `id`."""
    found = json.loads((VENUES / "golden_vectors.json").read_text(), parse_float=Decimal)
    return {vector["id"]: vector for vector in found}


def e18(value: Decimal | int) -> int:
    """Exactly; raises ValueError where more than 18 digits would be cut."""
    scaled = Decimal(value).scaleb(18)
    if scaled != int(scaled):
        raise ValueError(f"{value} has more than 18 decimals")
    return int(scaled)
