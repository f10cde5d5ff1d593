"""Exit codes, in one place. systemd's RestartPreventExitStatus= lists those that a restart cannot cure (sysexits.h)."""

from __future__ import annotations

from typing import TypeGuard

from keeper.errors import KeeperError

OK = 0
FAILED = 1
USAGE = 2
UNREADABLE = 65
ALREADY_RUNNING = 75
NO_PERMISSION = 77
CONFIGURATION = 78
INTERRUPTED = 130


def exit_code(error: BaseException) -> int:
    """What the program ends with because of `error`. Of a group the most specific, that is the highest, counts."""
    if isinstance(error, BaseExceptionGroup):
        return max(exit_code(part) for part in error.exceptions)
    if isinstance(error, KeeperError):
        return error.exit_code
    if isinstance(error, PermissionError) and error.filename is not None:
        return NO_PERMISSION
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return FAILED


def sentences(error: BaseException) -> list[str]:
    """What to tell of `error` instead of where it came from; nothing of a defect, which only its traceback explains."""
    leaves = _leaves(error)
    if exit_code(error) == FAILED and not all(isinstance(each, KeeperError) or _names_a_file(each) for each in leaves):
        return []
    return [f"{each.filename}: {each.strerror}" if _names_a_file(each) else str(each) for each in leaves]


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for part in error.exceptions for leaf in _leaves(part)]
    return [error]


def _names_a_file(error: BaseException) -> TypeGuard[OSError]:
    """What stands in the way of a file is the operator's to mend, wherever it is met."""
    return isinstance(error, OSError) and error.filename is not None
