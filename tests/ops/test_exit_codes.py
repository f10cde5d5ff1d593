"""The one table of exit codes, against what product and systemd unit promise."""

from __future__ import annotations

import inspect

import pytest

from keeper import errors
from keeper.app.exitcodes import exit_code

EXPECTED = {
    "ConfigError": 78,
    "WrongChain": 78,
    "KeyPermissionError": 77,
    "AlreadyRunning": 75,
    "StateCorrupt": 65,
    "StateTooNew": 65,
}


@pytest.mark.parametrize(
    "kind", [kind for _, kind in inspect.getmembers(errors, inspect.isclass)], ids=lambda kind: kind.__name__
)
def test_exit_code__of_each_error__is_the_promised_one(kind: type[errors.KeeperError]) -> None:
    assert exit_code(kind("x")) == EXPECTED.get(kind.__name__, 1)


def test_exit_code__of_a_group__is_that_of_its_most_specific_part() -> None:
    inner = ExceptionGroup("", [ValueError(), errors.ConfigError("x")])
    assert exit_code(ExceptionGroup("", [errors.RpcUnavailable("x"), inner])) == 78
    assert exit_code(ExceptionGroup("", [ValueError()])) == 1
    assert exit_code(KeyboardInterrupt()) == 130
