"""One change in a process of its own: the tests that come to the function must notice."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import CodeType, FunctionType
from typing import Any

import pytest

from tests.mutation.coverage_map import Watch
from tests.mutation.plan import ROOT
from tests.mutation.sites import Site, mutated

OPTIONS = (
    *("-q", "-x", "-n0", "--no-header", "--no-summary", "-p", "no:cacheprovider"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)
_PATIENCE_S = 5.0


class Fate(StrEnum):
    KILLED = "killed"
    TIMEOUT = "timeout"
    """Never came to an end: noticed."""
    SURVIVED = "survived"
    UNSEEN = "unseen"
    """No test comes to the function."""


@dataclass(frozen=True, slots=True)
class Trial:
    site: Site
    said: str
    fate: Fate
    seconds: float = 0.0


@dataclass(slots=True)
class Running:
    site: Site
    said: str
    pid: int
    begun: float
    until: float

    def ended(self) -> Trial | None:
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        seconds = time.monotonic() - self.begun
        if pid:
            code = os.waitstatus_to_exitcode(status)
            return Trial(self.site, self.said, Fate.SURVIVED if code == 0 else Fate.KILLED, seconds)
        if time.monotonic() > self.until:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            return Trial(self.site, self.said, Fate.TIMEOUT, seconds)
        return None


def begin(site: Site, watch: Watch) -> Running | Trial:
    """Forks; the child changes the function and runs its tests, the quick ones first."""
    code, said = mutated(ROOT, site)
    tests = sorted(watch.tests.get((str(ROOT / site.path), site.first_line), ()), key=watch.seconds.__getitem__)
    if not tests:
        return Trial(site, said, Fate.UNSEEN)
    begun = time.monotonic()
    allowed = _PATIENCE_S + 6 * sum(watch.seconds[test] for test in tests)
    pid = os.fork()
    if pid == 0:
        _child(site, code, tests)
    return Running(site, said, pid, begun, begun + allowed)


def _child(site: Site, code: CodeType, tests: Sequence[str]) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    status = 1
    try:
        function_at(site).__code__ = code
        status = int(pytest.main([*OPTIONS, *tests]))
    finally:
        os._exit(status)


def function_at(site: Site) -> FunctionType:
    """The live function, whoever imported it: only its code is exchanged."""
    owner: Any = importlib.import_module(site.path.removesuffix(".py").replace("/", "."))
    *classes, name = site.qualname.split(".")
    for each in classes:
        owner = vars(owner)[each]
    found = next(_unwrapped(vars(owner)[name]))
    if found.__code__.co_firstlineno != site.first_line:
        raise LookupError(f"{site}: another function of that name came later")
    return found


def _unwrapped(value: Any) -> Iterator[FunctionType]:
    for each in (
        value,
        getattr(value, "fget", None),
        getattr(value, "__func__", None),
        getattr(value, "__wrapped__", None),
    ):
        if isinstance(each, FunctionType):
            yield each


def observed(tests: Sequence[str]) -> Watch:
    """Runs the tests once, unchanged, in this process, so that the children inherit everything imported."""
    watch = Watch(str(ROOT / "keeper/domain"))
    code = pytest.main([*(option for option in OPTIONS if option != "-x"), *tests], plugins=[watch])
    if code != 0:
        sys.exit(f"unchanged, the tests fail: {', '.join(watch.failed[:5]) or code}")
    return watch
