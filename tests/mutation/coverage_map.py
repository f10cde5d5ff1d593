"""Which tests come to which function, and how long each takes: seen once, before anything is changed."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

import pytest

Place = tuple[str, int]
"""(file, first line) of a function."""


@dataclass
class Watch:
    """A pytest plugin. `tests`: node ids by the function that they come to. `failed`: those that fail unchanged."""

    prefix: str
    tests: dict[Place, set[str]] = field(default_factory=lambda: defaultdict(set))
    seconds: dict[str, float] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    _codes: set[CodeType] = field(default_factory=set)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._codes, begun = set(), time.perf_counter()
        sys.setprofile(self._seen)
        try:
            return (yield)
        finally:
            sys.setprofile(None)
            self.seconds[item.nodeid] = time.perf_counter() - begun
            for code in self._codes:
                if code.co_filename.startswith(self.prefix):
                    self.tests[code.co_filename, code.co_firstlineno].add(item.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)

    def _seen(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call":
            self._codes.add(frame.f_code)
