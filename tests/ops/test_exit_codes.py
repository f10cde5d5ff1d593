"""The one table of exit codes, against what product and systemd unit promise."""

from __future__ import annotations

import inspect

import pytest

from keeper import errors
from keeper.app.exitcodes import exit_code, sentences

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


def test_exit_code__of_a_file_that_is_closed_to_us__is_that_of_a_permission() -> None:
    assert exit_code(PermissionError(13, "Permission denied", "/some/file")) == 77
    assert exit_code(ExceptionGroup("", [PermissionError(1, "Operation not permitted", "/some/file")])) == 77
    assert exit_code(PermissionError(13, "Permission denied")) == 1
    assert exit_code(FileNotFoundError(2, "No such file or directory", "/some/file")) == 1


def test_exit_code__of_a_group__is_that_of_its_most_specific_part() -> None:
    inner = ExceptionGroup("", [ValueError(), errors.ConfigError("x")])
    assert exit_code(ExceptionGroup("", [errors.RpcUnavailable("x"), inner])) == 78
    assert exit_code(ExceptionGroup("", [ValueError()])) == 1
    assert exit_code(KeyboardInterrupt()) == 130


def test_sentences__of_files_and_our_own_errors__name_them_and_of_a_defect_there_are_none() -> None:
    closed = PermissionError(13, "Permission denied", "/some/file")
    missing = FileNotFoundError(2, "No such file or directory", "/other")
    assert sentences(closed) == ["/some/file: Permission denied"]
    assert sentences(ExceptionGroup("", [missing, errors.RpcUnavailable("x")])) == [
        "/other: No such file or directory",
        "x",
    ]
    assert sentences(ExceptionGroup("", [missing, ValueError("a defect")])) == []
    assert sentences(OSError(5, "Input/output error")) == []
