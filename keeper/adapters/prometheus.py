"""Meter on prometheus-client, over the declared table. A name or label that is not in it is a defect, and raises."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from keeper.adapters.metric_table import METRICS, TABLE, Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MAX_SERIES = 2_000
_OTHER = "other"

Child = Counter | Gauge | Histogram


class PrometheusMeter:
    """`known` gives the values of labels that are known at the start: their series exist, at 0, from the first scrape.

    A counter that first appears with its first increment hides that increment from rate() and increase().
    """

    def __init__(self, known: Mapping[str, Sequence[str]] | None = None) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._families: dict[str, Child] = {metric.name: _family(metric, self._registry) for metric in TABLE}
        self._children: dict[tuple[str, ...], Child] = {}
        self._counters: dict[tuple[object, ...], Counter] = {}
        self._counted: dict[tuple[object, ...], float] = {}
        """Since the last scrape: a counter of the library takes a lock, and two thousand ticks a second are counted."""
        self._series = dict.fromkeys(METRICS, 0)
        for metric in TABLE:
            self._open_known(metric, known or {})

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        key = (name, *labels.items())
        if amount >= 0 and key in self._counted:
            self._counted[key] += amount
        else:
            self._count_first(key, name, amount, labels)

    def gauge(self, name: str, value: float, **labels: str) -> None:
        child = self._child(name, labels)
        if not isinstance(child, Gauge):
            raise TypeError(f"{name} is no gauge")
        child.set(value)

    def observe(self, name: str, value: float, **labels: str) -> None:
        child = self._child(name, labels)
        if not isinstance(child, Histogram):
            raise TypeError(f"{name} is no histogram")
        child.observe(value)

    def exposition(self) -> bytes:
        """The text that a scrape gets."""
        for key, amount in self._counted.items():
            self._counters[key].inc(amount)
        self._counted = dict.fromkeys(self._counted, 0)
        return generate_latest(self._registry)

    def _count_first(self, key: tuple[object, ...], name: str, amount: float, labels: Mapping[str, str]) -> None:
        """Opens the series. One that is refused is not remembered, so that each of its counts says so."""
        child = self._child(name, labels)
        if not isinstance(child, Counter):
            raise TypeError(f"{name} is no counter")
        child.inc(amount)
        if (name, *(str(labels[label]) for label in METRICS[name].labels)) in self._children:
            self._counters[key], self._counted[key] = child, 0

    def _open_known(self, metric: Metric, known: Mapping[str, Sequence[str]]) -> None:
        if metric.labels and all(label in known for label in metric.labels):
            for values in itertools.product(*(known[label] for label in metric.labels)):
                self._child(metric.name, dict(zip(metric.labels, values, strict=True)))

    def _child(self, name: str, labels: Mapping[str, str]) -> Child:
        key = (name, *labels.values())
        child = self._children.get(key)
        if child is None or tuple(labels) != METRICS[name].labels:
            child = self._opened(name, labels)
        return child

    def _opened(self, name: str, labels: Mapping[str, str]) -> Child:
        metric = METRICS.get(name)
        if metric is None:
            raise ValueError(f"{name} is not declared in keeper/adapters/metric_table.py")
        if set(labels) != set(metric.labels):
            raise ValueError(
                f"{name} has labels {', '.join(metric.labels) or 'none'}, not {', '.join(labels) or 'none'}"
            )
        values = tuple(str(labels[label]) for label in metric.labels)
        key = (name, *values)
        if key in self._children:
            return self._children[key]
        family = self._families[name]
        if self._series[name] >= MAX_SERIES:
            self.count("keeper_series_refused_total")
            values, key = (_OTHER,) * len(values), (name, *(_OTHER,) * len(values))
        self._series[name] += 1
        return self._children.setdefault(key, family.labels(*values) if metric.labels else family)


def _family(metric: Metric, registry: CollectorRegistry) -> Child:
    if metric.kind == "counter":
        return Counter(metric.name, metric.meaning, metric.labels, registry=registry)
    if metric.kind == "gauge":
        return Gauge(metric.name, metric.meaning, metric.labels, registry=registry)
    return Histogram(metric.name, metric.meaning, metric.labels, registry=registry, buckets=metric.buckets)
