"""The JSON Schema names what may be written, as it is written."""

from __future__ import annotations

import dataclasses

from keeper.domain.index_methods import INDEX_METHODS
from keeper.domain.outlier_rules import OUTLIER_RULES
from keeper.settings.market import MarketSettings
from keeper.settings.models import GlobalFile

SHAPES = MarketSettings.model_json_schema(by_alias=True)["$defs"]


def test_schema__of_whatever_has_options__knows_no_key_of_that_name() -> None:
    everything = {**SHAPES, **GlobalFile.model_json_schema(by_alias=True)["$defs"]}
    assert all("options" not in shape.get("properties", {}) for shape in everything.values())
    assert everything["MarkSettings"]["additionalProperties"] is True


def test_schema__of_an_index__names_every_option_and_grade() -> None:
    for shape, key, registry in (
        (SHAPES["IndexSettings"], "method", INDEX_METHODS),
        (SHAPES["OutlierSettings"], "rule", OUTLIER_RULES),
    ):
        assert shape["additionalProperties"] is False
        for name, kind in registry.items():
            assert f"`{name}` ({kind.grade.value})" in shape["properties"][key]["description"]
            for option in dataclasses.fields(kind):  # type: ignore[arg-type]
                assert name in shape["properties"][option.name]["description"]


def test_schema__of_an_index__takes_a_name_alone() -> None:
    for key in ("outliers", "ladder"):
        assert {"type": "string"} in SHAPES["IndexSettings"]["properties"][key]["anyOf"]
