"""What is installed is what runs: the package's data is in the wheel, and the lock file covers what it asks for."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from keeper import __version__
from tests.architecture.code import ROOT, tracked

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built from a copy of what is tracked, so that nothing lying around gets in and nothing is left behind."""
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("wheel")
    for name in tracked():
        if name.startswith("keeper/") or name in ("pyproject.toml", "README.md", "LICENSE"):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-c", f"from setuptools import build_meta as b; b.build_wheel({str(out)!r})"]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return zipfile.ZipFile(next(out.glob("*.whl")))


def test_wheel__of_this_tree__holds_every_file_of_the_package(wheel: zipfile.ZipFile) -> None:
    wanted = {
        name
        for name in tracked()
        if name.startswith("keeper/") and name.endswith((".py", ".json", ".sol", ".sql", ".typed"))
    }
    assert wanted - set(wheel.namelist()) == set()


def test_wheel__of_this_tree__names_itself_and_its_command(wheel: zipfile.ZipFile) -> None:
    info = f"perp_keeper-{__version__}.dist-info"
    assert "keeper = keeper.cli:main" in wheel.read(f"{info}/entry_points.txt").decode()
    metadata = wheel.read(f"{info}/METADATA").decode()
    assert "Name: perp-keeper\n" in metadata
    assert "License-Expression: Apache-2.0\n" in metadata
    assert f"{info}/licenses/LICENSE" in wheel.namelist()


def _pinned(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==([^ ]+) \\$", (ROOT / name).read_text(), re.MULTILINE))


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_lock__of_dependencies__pins_each_of_them(lock: str) -> None:
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["fast"]]
    names = {re.split(r"[=<>]", text)[0].replace(".", "-").lower() for text in wanted}
    assert names - _pinned(lock).keys() == set()


def test_locks__of_run_and_development__pin_the_same_versions() -> None:
    run, development = _pinned("requirements.lock"), _pinned("requirements-dev.lock")
    assert {name: development[name] for name in run} == run
    assert _pinned("requirements-build.lock")["setuptools"] == development["setuptools"]


def test_container__by_its_file__runs_as_nobody_with_a_probe_of_its_own() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert "\nUSER 65532:65532\n" in text
    assert "--require-hashes --only-binary :all:" in text
    assert "curl" not in text
    assert "wget" not in text
    probe = re.search(r'HEALTHCHECK .*CMD \[".*", "-I", "-c", "([^"]*)"\]', text, re.DOTALL)
    assert probe is not None
    compile(probe[1], "HEALTHCHECK", "exec")
    assert not re.search(r"FROM [^$\n]*@sha256", text), "no digest that nobody here has pulled"


def test_image__by_its_ignore_file__takes_only_what_it_needs() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == {
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "requirements.lock",
        "requirements-build.lock",
        "keeper",
    }


def test_make__of_each_target__is_there_and_installs_nothing_global() -> None:
    text = (ROOT / "Makefile").read_text()
    for target in ("demo", "test", "check", "contracts", "bench", "lock", "clean"):
        assert re.search(rf"^{target}:", text, re.MULTILINE), target
    assert "npm install" not in text
    assert " -g" not in text
    assert "npm ci" in text
    assert "--ignore-scripts" in text


def test_ci__script__is_executable_and_strict() -> None:
    script = Path(ROOT / ".ci/run")
    assert script.stat().st_mode & 0o111 == 0o111
    assert "set -euo pipefail" in script.read_text()
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
