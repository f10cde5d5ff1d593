"""The meter speaks from its table and from nothing else."""

from __future__ import annotations

import pytest

from keeper.adapters.metric_table import TABLE
from keeper.adapters.prometheus import MAX_SERIES, PrometheusMeter


@pytest.mark.parametrize(
    ("verb", "name", "labels"),
    [
        ("count", "keeper_unheard_of_total", {}),
        ("count", "keeper_reports_total", {}),
        (
            "count",
            "keeper_reports_total",
            {"market": "BTC-USD", "trigger": "first", "outcome": "done", "account": "0x"},
        ),
        ("gauge", "keeper_ready", {"market": "BTC-USD"}),
    ],
)
def test_meter__of_an_undeclared_name_or_label__raises(verb: str, name: str, labels: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=name):
        getattr(PrometheusMeter(), verb)(name, 1, **labels)


def test_meter__of_another_kind__raises() -> None:
    meter = PrometheusMeter()
    with pytest.raises(TypeError, match="no counter"):
        meter.count("keeper_ready")
    with pytest.raises(TypeError, match="no gauge"):
        meter.gauge("keeper_rpc_seconds", 1, endpoint="a")
    with pytest.raises(TypeError, match="no histogram"):
        meter.observe("keeper_ready", 1)


def test_series__with_known_labels__exist_before_the_first_event() -> None:
    meter = PrometheusMeter({"market": ["BTC-USD", "ETH-USD"], "reason": ["quorum"]})
    text = meter.exposition().decode()
    for market in ("BTC-USD", "ETH-USD"):
        assert f'keeper_index_withheld_total{{market="{market}",reason="quorum"}} 0.0' in text
        assert f'keeper_index_price{{market="{market}"}} 0.0' in text


def test_labels__in_any_order__name_one_series() -> None:
    meter = PrometheusMeter()
    meter.count("keeper_reports_total", market="BTC-USD", trigger="first", outcome="done")
    meter.count("keeper_reports_total", 2, outcome="done", trigger="first", market="BTC-USD")
    assert 'keeper_reports_total{market="BTC-USD",outcome="done",trigger="first"} 3.0' in meter.exposition().decode()


def test_counts__between_two_scrapes__add_up() -> None:
    meter, text = PrometheusMeter(), ""
    for _ in range(3):
        meter.count("keeper_quotes_received_total", source="okx:BTC-USDT")
        meter.count("keeper_quotes_received_total", 0.5, source="okx:BTC-USDT")
        text = meter.exposition().decode()
    assert 'keeper_quotes_received_total{source="okx:BTC-USDT"} 4.5' in text
    with pytest.raises(ValueError, match="non-negative"):
        meter.count("keeper_quotes_received_total", -1, source="okx:BTC-USDT")


def test_counts__beyond_the_limit_of_series__each_say_so() -> None:
    meter = PrometheusMeter()
    for number in range(MAX_SERIES + 1):
        meter.count("keeper_quotes_received_total", source=f"s{number}")
    for _ in range(2):
        meter.count("keeper_quotes_received_total", source="one too many")
    text = meter.exposition().decode()
    assert 'keeper_quotes_received_total{source="other"} 3.0' in text
    assert "keeper_series_refused_total 3.0" in text


def test_series__beyond_the_limit__are_gathered_and_counted() -> None:
    """A label that grows without end must not take the process with it."""
    meter = PrometheusMeter()
    for number in range(MAX_SERIES + 5):
        meter.gauge("keeper_index_price", number, market=f"M{number}-USD")
    text = meter.exposition().decode()
    assert text.count("keeper_index_price{") == MAX_SERIES + 1
    assert "keeper_series_refused_total 5.0" in text


def test_table__of_metrics__follows_the_naming_rules() -> None:
    for metric in TABLE:
        assert metric.name.startswith("keeper_")
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert not {"account", "tx_hash", "hash", "error"} & set(metric.labels), metric.name
        if metric.kind == "histogram":
            assert metric.name.endswith(("_seconds", "_blocks")), metric.name
    assert len({metric.name for metric in TABLE}) == len(TABLE)
