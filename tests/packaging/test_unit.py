"""systemd/keeper@.service: right by systemd's own judgement, hardened, and true to the program."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from keeper.app import exitcodes
from keeper.settings.models import GlobalFile
from tests.architecture.code import ROOT

UNIT = ROOT / "systemd/keeper@.service"
BINARY = "/opt/keeper/venv/bin/keeper"
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here"
)


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *map(str, words)], capture_output=True, text=True, check=False, timeout=60
    )


def unit() -> dict[str, str]:
    """[Service] by key; a repeated key has its last value."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    parser.read_string(UNIT.read_text())
    return dict(parser["Service"])


@needs_systemd
def test_unit__by_systemd_itself__has_no_fault(tmp_path: Path) -> None:
    """With a program that exists in the place of ours, which is not installed where tests run."""
    copy = tmp_path / "keeper@main.service"
    copy.write_text(UNIT.read_text().replace(BINARY, "/bin/true"))
    done = run("verify", copy)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_unit__judged_by_its_exposure__scores_at_most_1_2() -> None:
    done = run("security", "--offline=true", "--threshold=12", UNIT)
    assert done.returncode == 0, done.stdout
    exposure = re.search(r"Overall exposure level .*: ([0-9.]+)", done.stdout)
    assert exposure is not None
    assert float(exposure[1]) <= 1.2


def test_unit__of_exit_codes__restarts_what_a_restart_can_cure() -> None:
    assert unit()["RestartPreventExitStatus"].split() == [
        str(code) for code in (exitcodes.USAGE, exitcodes.UNREADABLE, exitcodes.NO_PERMISSION, exitcodes.CONFIGURATION)
    ]
    assert unit()["Restart"] == "on-failure"


def test_unit__of_times__leaves_the_grace_and_ten_seconds() -> None:
    assert int(unit()["TimeoutStopSec"]) >= GlobalFile.model_fields["grace_s"].default + 10
    assert unit()["Type"] == "notify"
    assert int(unit()["WatchdogSec"]) >= 10


def test_unit__of_metrics__leaves_the_process_visible_to_itself() -> None:
    assert "ProcSubset" not in unit()


@pytest.mark.parametrize("key", ["ExecStartPre", "ExecStart", "ExecReload"])
def test_unit__of_commands__types_what_the_command_line_understands(key: str) -> None:
    words = unit()[key].split()
    assert words[0] == BINARY
    verb = words[1:-2]
    assert words[-2:] == ["--config", "/etc/keeper/%i.yaml"]
    done = subprocess.run(
        [sys.executable, "-m", "keeper", *verb, "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--config" in done.stdout


def test_program__without_writable_code__still_signs_and_serves() -> None:
    """MemoryDenyWriteExecute=yes, set by the process on itself: PR_SET_MDWE of prctl(2), Linux 6.3."""
    code = (
        "import ctypes, sys\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "if libc.prctl(65, 1, 0, 0, 0): sys.exit(99)\n"
        "import keeper.app.live, numpy, aiohttp\n"
        "from keeper.adapters.signers.curve import check_backend\n"
        "check_backend()\n"
        "try:\n    import uvloop; uvloop.new_event_loop().close()\nexcept ImportError: pass\n"
        "print(int(numpy.arange(1000).sum()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode == 99:
        pytest.skip("this kernel has no PR_SET_MDWE (Linux 6.3)")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "499500"
