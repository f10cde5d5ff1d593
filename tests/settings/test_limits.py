"""Every numeric limit of the models holds: pydantic merges constraints of a type and of a field silently."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from keeper.settings.index_settings import IndexSettings
from keeper.settings.market import (
    GuardSettings,
    LiquidationSettings,
    MarketSettings,
    PublishSettings,
    SourceSettings,
)
from keeper.settings.models import ChainSettings, OpsSettings, ReportSettings

CHAIN = {"id": 1, "rpc": ("https://rpc.example.org",)}
SOURCE = {"kind": "kraken", "symbol": "BTC/USD"}
BEYOND: list[tuple[type[BaseModel], dict[str, object], str, object]] = [
    (ChainSettings, CHAIN, "id", 0),
    (ChainSettings, CHAIN, "bump_percent", 9),
    (ChainSettings, CHAIN, "bump_percent", 401),
    (ChainSettings, CHAIN, "confirmations", 0),
    (ChainSettings, CHAIN, "confirmations", 1001),
    (ChainSettings, CHAIN, "finality_blocks", 0),
    (ChainSettings, CHAIN, "finality_blocks", 1_000_001),
    (ChainSettings, CHAIN, "orphan_after_blocks", 0),
    (ChainSettings, CHAIN, "orphan_after_s", 0),
    (ChainSettings, CHAIN, "poll_s", 0),
    (ChainSettings, CHAIN, "poll_s", float("nan")),
    (ChainSettings, CHAIN, "poll_s", float("inf")),
    (OpsSettings, {}, "port", 65536),
    (OpsSettings, {}, "port", -1),
    (ReportSettings, {}, "ttl_s", 0),
    (ReportSettings, {}, "ttl_s", 3601),
    (SourceSettings, SOURCE, "weight", 0),
    (SourceSettings, SOURCE, "weight", 1001),
    (SourceSettings, SOURCE, "multiplier", "0"),
    (SourceSettings, SOURCE, "multiplier", "-1"),
    (SourceSettings, SOURCE, "symbol", "BTC USD"),
    (IndexSettings, {"method": "median"}, "max_deviation_bps", 0),
    (IndexSettings, {"method": "median"}, "max_deviation_bps", 10_001),
    (IndexSettings, {"method": "median"}, "pair_bps", -1),
    (PublishSettings, {}, "deviation_bps", 0),
    (PublishSettings, {}, "ride_along_bps", 0),
    (PublishSettings, {}, "ride_along_heartbeat_pct", 101),
    (GuardSettings, {}, "max_jump_bps", 0),
    (LiquidationSettings, {}, "max_batch", 33),
    (MarketSettings, {"market": "A-B", "sources": (SOURCE,), "index": {"method": "median"}}, "market_no", 2**32),
]


@pytest.mark.parametrize(("model", "right", "field", "wrong"), BEYOND)
def test_limit__exceeded__is_refused(
    model: type[BaseModel], right: dict[str, object], field: str, wrong: object
) -> None:
    model.model_validate(right)
    with pytest.raises(ValidationError) as refused:
        model.model_validate({**right, field: wrong})
    assert [found["loc"] for found in refused.value.errors()] == [(field,)]
