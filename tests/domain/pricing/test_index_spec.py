"""A spec that could never work is refused with its name."""

from __future__ import annotations

import pytest

from keeper.domain.ids import SourceId
from keeper.domain.index import IndexSpec, PegSpec, SourceSpec
from keeper.domain.index_methods import TrimmedMean
from tests.domain.pricing.builders import BTC, USDT, spec, usd


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_sources": 2}, "needs allow_two"),
        ({"min_sources": 1, "allow_two": True}, "never below 2"),
        ({"min_sources": 4, "allow_two": True}, "contradicts"),
        ({"min_sources": 5}, "exceeds its 4 sources"),
        ({"min_quote_groups": 2}, "does not fit its 1 quote groups"),
        ({"min_quote_groups": 0}, "does not fit"),
        ({"max_deviation_bps": 0}, "max_deviation_bps"),
        ({"max_deviation_bps": 600}, "max_dispersion_bps"),
        ({"max_spread_bps": -1}, "negative"),
        ({"frozen_after_ns": 0}, "frozen_after_ns"),
    ],
)
def test_index_spec__impossible_choice__is_refused_by_name(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        usd("a", "b", "c", "d", **options)
    assert str(caught.value).startswith("BTC-USD: ")


def test_index_spec__currency_without_conversion__is_refused() -> None:
    with pytest.raises(ValueError, match="no conversion from EUR, USDT to USD"):
        spec({"a": "USD", "b": "USDT", "c": "EUR"}, conversions={})


def test_index_spec__own_currency_converted__is_refused() -> None:
    with pytest.raises(ValueError, match="must not be converted"):
        usd("a", "b", "c", conversions={"USD": PegSpec(USDT)})


def test_index_spec__source_twice__is_refused() -> None:
    twice = (SourceSpec(SourceId("a"), "USD"),) * 3
    with pytest.raises(ValueError, match="named twice"):
        IndexSpec(BTC, twice, min_quote_groups=1)


@pytest.mark.parametrize("field", ["weight", "max_age_ns", "quiet_max_ns", "multiplier_e18"])
def test_source_spec__not_positive__is_refused(field: str) -> None:
    with pytest.raises(ValueError, match=f"v:X: {field} must be positive"):
        SourceSpec(SourceId("v:X"), "USD", **{field: 0})  # type: ignore[arg-type]


def test_peg_spec__empty_band__is_refused() -> None:
    with pytest.raises(ValueError, match="USDT-USD"):
        PegSpec(USDT, 2, 1)


def test_spec__trims_all_but_nobody__is_refused() -> None:
    names = ("a", "b", "c", "d", "e")
    with pytest.raises(ValueError, match="trim 2 needs min_sources above 4"):
        usd(*names, method=TrimmedMean(2), min_sources=4)
    assert usd(*names, method=TrimmedMean(2), min_sources=5).min_sources == 5
