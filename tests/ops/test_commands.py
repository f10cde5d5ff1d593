"""The command line as a shell sees it: exit codes, standard output, standard error."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from keeper import __version__
from keeper.domain.mark import MARK_METHODS
from keeper.domain.rates import FUNDING_METHODS
from tests.architecture.code import ROOT
from tests.settings.examples import GLOBAL, MARKET, written

KEYS = {"report.key": "11" * 32, "sender.key": "22" * 32}


def keeper(*words: str | Path, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "HOME": str(cwd),
        "NO_COLOR": "1",
        "COLUMNS": "400",
        **environ,
    }
    command = [sys.executable, "-m", "keeper", *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = written(tmp_path)
    for name, key in KEYS.items():
        (tmp_path / name).write_text(key)
        (tmp_path / name).chmod(0o600)
    return path


def test_version__asked__is_the_package_s(tmp_path: Path) -> None:
    done = keeper("version", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{__version__}\n", "")
    assert json.loads(keeper("version", "--json", cwd=tmp_path).stdout) == {"version": __version__}


@pytest.mark.parametrize(
    "words",
    [
        ["runn"],
        ["run", "--confg", "x"],
        ["price"],
        ["demo", "--for", "soon"],
        ["demo", "--for", "²s"],
        ["ctl", "explode"],
    ],
)
def test_usage__that_is_wrong__exits_2_and_helps(tmp_path: Path, words: list[str]) -> None:
    done = keeper(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Usage:" in done.stderr


def test_check_offline__of_a_right_configuration__exits_0(config: Path) -> None:
    done = keeper("check", "--offline", "--config", config, cwd=config.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 failures" in done.stdout
    assert "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a" in done.stdout, "the address of the report key"
    assert "11" * 32 not in done.stdout + done.stderr


def test_check_offline__as_json__is_for_programs(config: Path) -> None:
    done = keeper("check", "--offline", "--json", "--config", config, cwd=config.parent)
    answer = json.loads(done.stdout)
    assert answer["exit_code"] == 0
    assert {finding["status"] for finding in answer["findings"]} == {"ok"}


def test_check_offline__of_faults_as_json__lists_them_for_programs(tmp_path: Path) -> None:
    path = written(tmp_path, keeper=GLOBAL.replace("id: 31337", "id: x"), BTC=MARKET.replace("kraken", "krakn"))
    done = keeper("check", "--offline", "--json", "--config", path.name, cwd=tmp_path)
    assert done.returncode == 78
    answer = json.loads(done.stdout)
    assert answer["exit_code"] == 78
    assert [(found["subject"], found["check"], found["status"]) for found in answer["findings"]] == [
        ("keeper.yaml:1:9", "chain.id", "fail"),
        ("markets/BTC-USD.yaml:7:6", "sources[2].kind", "fail"),
    ]
    assert answer["findings"][1]["detail"] == "unknown venue; did you mean kraken?"


@pytest.mark.parametrize("verb", [["check", "--offline"], ["run"], ["config", "show"]])
def test_configuration__with_faults__exits_78_and_lists_them(tmp_path: Path, verb: list[str]) -> None:
    path = written(
        tmp_path, BTC=MARKET.replace("kraken", "krakn").replace("min_sources: 3, min", "min_sources: 9, min")
    )
    done = keeper(*verb, "--config", path.name, cwd=tmp_path)
    assert done.returncode == 78
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "keeper: 2 faults in the configuration:",
        "  markets/BTC-USD.yaml:7:6: sources[2].kind: unknown venue; did you mean kraken?",
        "  markets/BTC-USD.yaml:9:40: index.min_sources: asks for 9 sources of the 3 that the file has",
    ]


def test_configuration__that_is_missing__exits_78(tmp_path: Path) -> None:
    done = keeper("check", "--offline", cwd=tmp_path)
    assert done.returncode == 78
    assert "config/keeper.yaml: cannot be read: No such file or directory" in done.stderr


@pytest.mark.parametrize(("mode", "says"), [(0o644, "chmod 600"), (0o640, "chmod 600")])
@pytest.mark.parametrize("verb", [["check", "--offline"], ["run"]])
def test_key__that_others_can_read__exits_77(config: Path, verb: list[str], mode: int, says: str) -> None:
    key = config.parent / "sender.key"
    key.chmod(mode)
    done = keeper(*verb, "--config", config, cwd=config.parent)
    assert done.returncode == 77, done.stdout + done.stderr
    assert says in done.stdout + done.stderr
    assert stat.S_IMODE(key.stat().st_mode) == mode, "it complains and changes nothing"


def test_key__that_is_a_link__exits_77(config: Path) -> None:
    key = config.parent / "sender.key"
    key.rename(config.parent / "elsewhere.key")
    key.symlink_to(config.parent / "elsewhere.key")
    done = keeper("check", "--offline", "--config", config, cwd=config.parent)
    assert done.returncode == 77
    assert "symbolic link" in done.stdout


def test_key__known_to_everybody__is_refused_off_a_local_chain(tmp_path: Path, config: Path) -> None:
    """The first key of every development node, on a chain with money."""
    (tmp_path / "sender.key").write_text("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
    assert keeper("check", "--offline", "--config", config, cwd=tmp_path).returncode == 0
    config.write_text(GLOBAL.replace("31337", "1"))
    done = keeper("check", "--offline", "--config", config, cwd=tmp_path)
    assert done.returncode == 77
    assert "make your own key" in done.stdout


def test_key__that_signs_and_sends__is_refused(config: Path) -> None:
    (config.parent / "sender.key").write_text(KEYS["report.key"])
    done = keeper("check", "--offline", "--config", config, cwd=config.parent)
    assert done.returncode == 77
    assert "the same key as signers.reports[0]" in done.stdout


def test_credential__of_systemd__is_found_in_its_directory(tmp_path: Path, config: Path) -> None:
    config.write_text(GLOBAL.replace("file: sender.key", "file: cred:sender"))
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "sender").write_text(KEYS["sender.key"])
    (credentials / "sender").chmod(0o440)
    words = ("check", "--offline", "--config", config)
    assert keeper(*words, cwd=tmp_path, CREDENTIALS_DIRECTORY=str(credentials)).returncode == 0
    assert keeper(*words, cwd=tmp_path).returncode == 78


def test_rpc_url__in_a_file__is_read_and_never_shown(config: Path) -> None:
    config.write_text(GLOBAL.replace('"http://127.0.0.1:8545"', '"file:rpc.url"'))
    url = config.parent / "rpc.url"
    url.write_text("https://rpc.example.org/v2/s3cr3t-canary\n")
    url.chmod(0o600)
    done = keeper("check", "--offline", "--config", config, cwd=config.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rpc.example.org" in done.stdout
    shown = keeper("config", "show", "--config", config, cwd=config.parent)
    assert "s3cr3t-canary" not in done.stdout + done.stderr + shown.stdout + shown.stderr
    url.write_text("http://10.0.0.9/s3cr3t-canary")
    done = keeper("check", "--offline", "--config", config, cwd=config.parent)
    assert done.returncode == 78
    assert "s3cr3t-canary" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "words",
    [["ctl", "status"], ["ctl", "pause", "BTC-USD"], ["price", "BTC-USD", "--trace"], ["accounts", "--at-risk"]],
)
def test_order__without_a_running_keeper__exits_1_and_says_where_it_looked(config: Path, words: list[str]) -> None:
    done = keeper(*words, "--config", config, cwd=config.parent)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("keeper: no keeper runs here: there is no socket at")


@pytest.mark.parametrize("words", [["explain", "5"], ["verify", "--last", "3"]])
def test_state__that_is_nowhere__is_named_and_not_taken_for_one_without_such_a_price(
    config: Path, words: list[str]
) -> None:
    done = keeper(*words, "--state", "nowhere", "--config", config, cwd=config.parent)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "keeper: no evidence at nowhere\n"


def test_config_show__of_defaults__names_every_setting_and_the_hash(config: Path) -> None:
    shown = json.loads(keeper("config", "show", "--config", config, cwd=config.parent).stdout)
    assert shown["ops"]["port"] == 9464
    assert shown["chain"]["rpc"] == ["http://127.0.0.1:8545"]
    assert len(shown["hash"]) == 64
    assert shown["signers"]["sender"] == {"kind": "key_file", "file": "sender.key"}


def test_config_schema__for_editors__is_json_schema(tmp_path: Path) -> None:
    for words in (["config", "schema"], ["config", "schema", "--market"]):
        schema = json.loads(keeper(*words, cwd=tmp_path).stdout)
        assert schema["type"] == "object"
        assert schema["additionalProperties"] is False


def test_config_schema__of_a_market__has_every_mark_method_with_its_options_and_grade(tmp_path: Path) -> None:
    schema = json.loads(keeper("config", "schema", "--market", cwd=tmp_path).stdout)
    kinds = {kind["properties"]["method"]["const"]: kind for kind in schema["$defs"]["MarkSettings"]["oneOf"]}
    assert set(kinds) == set(MARK_METHODS)
    assert kinds["binance"]["properties"]["samples"] == {"default": 60, "type": "integer"}
    assert kinds["binance"]["additionalProperties"] is False
    assert kinds["bitmex_dated"]["required"] == ["method", "expires_at_s"]
    assert kinds["gate"]["properties"]["mark_tick"] == {"default": "", "type": ["string", "number"]}
    assert all("max_step_bps" in kind["properties"] for kind in kinds.values())
    assert kinds["hip3"]["properties"]["max_step_bps"] == {"default": 100, "type": "integer"}
    listed = schema["x-methods"]["mark"]
    assert listed["bitmex"]["grade"] == "reproduced"
    assert (listed["binance"]["form"], listed["binance"]["grade"]) == ("moving_median", "consistent")
    assert listed["binance"]["options"] == {"samples": 60, "every_s": 5}
    assert listed["gate"]["source"].startswith("gate.com")


def test_config_schema__of_a_market__has_every_funding_method_with_its_options_and_grade(tmp_path: Path) -> None:
    schema = json.loads(keeper("config", "schema", "--market", cwd=tmp_path).stdout)
    plain, *rated = schema["$defs"]["FundingSettings"]["oneOf"]
    assert set(plain["properties"]) == {"method", "premium", "impact_notional", "sample_s"}
    assert plain["properties"]["method"] == {"const": None}
    kinds = {kind["properties"]["method"]["const"]: kind for kind in rated}
    assert set(kinds) == set(FUNDING_METHODS)
    assert all(kind["additionalProperties"] is False for kind in (plain, *rated))
    binance = kinds["binance"]["properties"]
    assert binance["interval_s"] == {"default": 28800, "type": "integer"}
    assert binance["interest"] == {"default": "0.0001", "type": ["string", "number"]}
    assert binance["cap"] == {"default": "0.02", "type": ["string", "number", "null"]}
    assert binance["max_change"] == {"default": None, "type": ["string", "number", "null"]}
    assert "consistent: binance.com" in kinds["binance"]["description"]
    version = binance["versions"]["items"]
    assert version["required"] == ["from"]
    assert version["additionalProperties"] is False
    assert {"from", "cap", "clamp"} <= set(version["properties"])
    assert "method" not in version["properties"]
    assert "FundingVersion" not in schema["$defs"]
    assert "$ref" not in json.dumps(kinds)
    listed = schema["x-methods"]["funding"]
    assert {name: each["grade"] for name, each in listed.items()} == {
        name: method.grade.value for name, method in FUNDING_METHODS.items()
    }
    assert listed["hyperliquid"]["options"]["cap"] == "0.04"
    assert listed["hyperliquid"]["options"]["interval_s"] == 3600
    assert listed["gate"]["form"].startswith("F = (P + clamp(i − P, ±c))")


def test_config_schema__of_a_market__lets_no_settings_take_any_key(tmp_path: Path) -> None:
    """An editor that takes every key sees no slip of the pen."""
    schema = json.loads(keeper("config", "schema", "--market", cwd=tmp_path).stdout)
    shapes = [shape for part in schema["$defs"].values() for shape in part.get("oneOf", [part])]
    assert all(shape["additionalProperties"] is False for shape in shapes if "properties" in shape)


def test_defect__in_a_verb__exits_1_with_a_traceback_without_locals(tmp_path: Path) -> None:
    """A crash is a crash: the traceback shows where, not what was in the variables."""
    code = (
        "import keeper.cli as cli\n"
        "def broken(config):\n    secret = 's3cr3t-canary'\n    raise RuntimeError('defect ' + str(len(secret)))\n"
        "cli._settings = broken\nimport sys; sys.argv = ['keeper', 'config', 'show']\ncli.main()\n"
    )
    (tmp_path / "crash.py").write_text(code.replace("'s3cr3t-canary'", "'s3cr3t-' + 'canary'"))
    clean = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "crash.py"], cwd=tmp_path, env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "RuntimeError: defect 13" in done.stderr
    assert "s3cr3t-canary" not in done.stderr


def test_start__of_the_command_line__imports_no_heavy_library(tmp_path: Path) -> None:
    """`keeper version` and the container's probe answer at once."""
    code = "import sys, keeper.cli; print(sorted({'web3', 'aiohttp', 'numpy', 'pydantic', 'eth_account'} & set(sys.modules)))"
    clean = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=clean, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_pause__in_its_help_and_in_the_documents__names_all_that_it_stops(tmp_path: Path) -> None:
    told = [" ".join(keeper("ctl", "pause", "--help", cwd=tmp_path).stdout.split())]
    for name, key in (
        ("operations.md", "`keeper ctl pause MARKET` |"),
        ("alerts.md", "`keeper ctl pause MARKET` stops"),
    ):
        text = (ROOT / "docs" / name).read_text()
        told.append(text[text.index(key) :].partition("\n\n")[0].partition("\n| ")[0])
    for words in told:
        assert "liquidat" in words, words
        assert "funding" in words, words
