"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from keeper.app.exitcodes import CONFIGURATION, FAILED, OK
from keeper.errors import KeeperError
from keeper.settings.faults import SettingsRefused

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of `keeper check`. `code` is the exit code that a failure asks for."""

    subject: str
    check: str
    status: Status
    detail: str = ""
    code: int = OK


def ok(subject: str, check: str, detail: str = "") -> Finding:
    return Finding(subject, check, "ok", detail)


def warn(subject: str, check: str, detail: str) -> Finding:
    return Finding(subject, check, "warn", detail)


def fail(subject: str, check: str, detail: str, code: int = FAILED) -> Finding:
    return Finding(subject, check, "fail", detail, code)


def misconfigured(subject: str, check: str, detail: str) -> Finding:
    return fail(subject, check, detail, CONFIGURATION)


def unsettled(refused: SettingsRefused) -> list[Finding]:
    """Every fault of the configuration: its place, its field, what is wrong."""
    return [misconfigured(fault.place, fault.field, fault.message) for fault in refused.faults]


def failed_by(subject: str, check: str, error: KeeperError) -> Finding:
    return fail(subject, check, str(error), error.exit_code)
