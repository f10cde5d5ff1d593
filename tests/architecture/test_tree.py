"""What must not stand in the repository: addresses of registries, paths of a machine, promises instead of code."""

from __future__ import annotations

import re

from tests.architecture.code import ROOT, tracked

LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-build.lock")
MACHINE = re.compile(r"/(?:home|root|Users|work|mnt)/[A-Za-z0-9_.-]+/")
PROMISES = re.compile(r"\b(?:TODO|FIXME|XXX)\b|raise NotImplementedError")


def _texts(*suffixes: str) -> dict[str, str]:
    return {name: (ROOT / name).read_text(errors="replace") for name in tracked() if name.endswith(suffixes)}


def test_lock_files__of_python__carry_hashes_and_no_address() -> None:
    for name in LOCKS:
        lines = [line for line in (ROOT / name).read_text().splitlines() if not line.startswith("#")]
        assert not [line for line in lines if "://" in line or line.startswith("-")], name
        pinned = [line for line in lines if re.match(r"[a-z0-9]", line)]
        assert pinned, name
        assert all(re.fullmatch(r"[a-z0-9._-]+==[^ ]+ \\", line) for line in pinned), name
        assert sum("--hash=sha256:" in line for line in lines) >= len(pinned), name


def test_lock_file__of_npm__carries_hashes_and_no_address() -> None:
    for folder in ("keeper/devnet", "tests/onchain"):
        text = (ROOT / folder / "package-lock.json").read_text()
        assert '"resolved"' not in text
        assert "integrity" in text


def test_tracked_files__of_any_kind__name_no_path_of_a_machine() -> None:
    suffixes = (
        ".py",
        ".md",
        ".toml",
        ".yaml",
        ".yml",
        ".json",
        ".mjs",
        ".sol",
        ".service",
        ".lock",
        "Makefile",
        "Dockerfile",
    )
    found = {name: hit[0] for name, text in _texts(*suffixes).items() if (hit := MACHINE.search(text))}
    assert found.pop("tests/architecture/test_tree.py", None) is None
    assert not found


def test_code__of_the_package__leaves_nothing_for_later() -> None:
    found = {
        name for name, text in _texts(".py", ".sol").items() if name.startswith("keeper/") and PROMISES.search(text)
    }
    assert not found


def test_package_indices__in_build_files__are_left_to_the_machine() -> None:
    for name in ("Makefile", "Dockerfile", "pyproject.toml", ".ci/run"):
        assert "index-url" not in (ROOT / name).read_text().replace("--no-emit-index-url", ""), name
