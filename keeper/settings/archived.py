"""A configuration as decisions name it, read back: what prices were computed by, whatever the files say today."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from keeper.domain.ids import IndexId, MarketId
from keeper.domain.index_spec import IndexSpec
from keeper.domain.market import MarketPlan
from keeper.domain.pricing import components
from keeper.errors import ConfigError
from keeper.settings.market import MarketSettings
from keeper.settings.specs import index_spec, market_plan


@dataclass(frozen=True, slots=True)
class ArchivedConfig:
    """`specs` are all indices, rates before their users; `chain_id` and `deployments` (as written) what was published to.

    `plans` are without their sessions, whose calendars are found by name in `markets`.
    """

    hash: str
    plans: Mapping[MarketId, MarketPlan]
    specs: tuple[IndexSpec, ...]
    chain_id: int
    deployments: Mapping[str, Mapping[str, Any]]
    markets: Mapping[MarketId, MarketSettings]

    def specs_of(self, indices: Sequence[IndexId]) -> tuple[IndexSpec, ...]:
        return tuple(spec for spec in self.specs if spec.id in indices)


def archived_config(text: str) -> ArchivedConfig:
    """Reads what `Settings.decisive` wrote. Raises ConfigError for what this version does not understand."""
    named = hashlib.sha256(text.encode()).hexdigest()
    try:
        document = json.loads(text)
        markets = [MarketSettings.model_validate(_written(each)) for each in document["markets"]]
        groups = components([index_spec(market) for market in markets])
        plans = {
            market.id: replace(market_plan(market), config_hash=named) for market in markets if not market.is_index_only
        }
        specs = tuple(spec for group in groups for spec in group)
        deployments = {name: _written(chosen) for name, chosen in document["deployments"].items()}
        by_name = {market.id: market for market in markets}
        return ArchivedConfig(named, plans, specs, int(document["chain"]["id"]), deployments, by_name)
    except (ValueError, KeyError, TypeError, ValidationError, ConfigError) as error:
        raise ConfigError(f"configuration {named[:12]} cannot be read by this version: {error}") from None


def _written(shown: Any) -> Any:
    """As the reader of YAML gives it: the options of a kind stand beside it, and a sequence is a tuple."""
    if isinstance(shown, dict):
        options = shown.get("options")
        rest = shown if not isinstance(options, dict) else {**shown, **options}
        return {key: _written(each) for key, each in rest.items() if key != "options" or not isinstance(options, dict)}
    return tuple(_written(each) for each in shown) if isinstance(shown, list) else shown
