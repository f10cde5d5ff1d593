from __future__ import annotations

import subprocess
import sys

from tests.architecture.code import ROOT


def test_import_contracts__whole_package__are_kept() -> None:
    """pyproject.toml's contracts: floors, a pure domain, services that meet only in app."""
    command = [
        sys.executable,
        "-c",
        "import sys; from importlinter.cli import lint_imports_command as run; sys.exit(run())",
    ]
    done = subprocess.run([*command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
