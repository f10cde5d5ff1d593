"""Exit codes, in one place. systemd's RestartPreventExitStatus= lists those that a restart cannot cure (sysexits.h)."""

from __future__ import annotations

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
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return FAILED
