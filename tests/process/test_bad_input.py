"""Whatever an operator gets wrong ends in one clear message and the exit code that his supervisor understands."""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from keeper.adapters.signers.development_keys import DEVELOPMENT_ADDRESSES
from keeper.devnet.configure import Endpoints, Keys, Listing, address_of, market_documents, write_config
from keeper.devnet.deploy import Deployment
from keeper.domain.ids import address
from tests.process.stage import REPOSITORY, Edit, Stage, edited, stage

pytestmark = pytest.mark.timeout(240)

ANVIL_KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
"""Account 0 of https://getfoundry.sh/anvil/reference: everybody has it."""
LISTINGS = [
    *(Listing("binance", f"{base}USDT", base, "USDT") for base in ("BTC", "ETH")),
    *(Listing("coinbase", f"{base}-USD", base, "USD") for base in ("BTC", "ETH", "USDT")),
    *(Listing("kraken", f"{base}/USD", base, "USD") for base in ("BTC", "ETH", "USDT")),
    *(Listing("bitstamp", f"{base.lower()}usd", base, "USD") for base in ("BTC", "ETH", "USDT")),
]
NOWHERE = "127.0.0.1:9"
_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2


def written(directory: Path, edit: Edit | None = None) -> Path:
    """A configuration that is right, but for `edit`; nobody listens where it points."""
    somewhere = [address(address_of(os.urandom(32))) for _ in range(5)]
    deployment = Deployment(1234, 1, *somewhere, (1, 2))
    venues = {name: {"url": f"ws://{NOWHERE}/", "rest_url": f"http://{NOWHERE}"} for name in ("binance", "coinbase")}
    endpoints = Endpoints(f"http://{NOWHERE}", venues, 0)
    path = write_config(directory / "keeper", market_documents(LISTINGS, "perp"), deployment, Keys.fresh(), endpoints)
    if edit is not None:
        edited(path, edit)
    return path


def without_roots_eyes() -> None:
    """Root without these capabilities is denied what the mode denies: so that one test says the same to everybody."""
    if os.geteuid() == 0:
        for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
            if ctypes.CDLL(None, use_errno=True).prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
                raise OSError(ctypes.get_errno(), "prctl")


async def keeper(*words: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "keeper", *words,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, stdin=asyncio.subprocess.DEVNULL,
        preexec_fn=without_roots_eyes, cwd=REPOSITORY, env={**os.environ, "COLUMNS": "400", "NO_COLOR": "1"},
    )  # fmt: skip
    try:
        printed, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, printed.decode()


def unknown_key(settings: dict[str, Any], _markets: dict[str, Any]) -> None:
    settings["chain"]["confirmation"] = 1


def wrong_type(settings: dict[str, Any], _markets: dict[str, Any]) -> None:
    settings["chain"]["poll_s"] = "soon"


def unknown_venue(_settings: dict[str, Any], markets: dict[str, Any]) -> None:
    markets["BTC-USD"]["sources"][0]["kind"] = "binanse"


def too_large_a_quorum(_settings: dict[str, Any], markets: dict[str, Any]) -> None:
    markets["BTC-USD"]["index"]["min_sources"] = 12


def not_an_option(settings: dict[str, Any], _markets: dict[str, Any]) -> None:
    settings["venues"]["perp"] = {"rest_url": f"http://{NOWHERE}"}


def key_in_the_file(settings: dict[str, Any], _markets: dict[str, Any]) -> None:
    settings["signers"]["sender"] = {"kind": "key_file", "file": "0x" + "ab" * 32}


def missing_market(_settings: dict[str, Any], markets: dict[str, Any]) -> None:
    del markets["USDT-USD"]


@pytest.mark.parametrize(
    ("edit", "fragments"),
    [
        (unknown_key, ("keeper.yaml:", "chain.confirmation", "did you mean confirmations?")),
        (wrong_type, ("keeper.yaml:", "chain.poll_s")),
        (unknown_venue, ("BTC-USD.yaml:", "sources[0].kind", "unknown venue; did you mean binance?")),
        (too_large_a_quorum, ("BTC-USD.yaml:", "index.min_sources", "asks for 12 sources of the 4 that the file has")),
        (not_an_option, ("keeper.yaml:", "venues.perp.rest_url", "unknown option of perp")),
        (key_in_the_file, ("keeper.yaml:",)),
        (missing_market, ("BTC-USD.yaml:", "conversions.USDT", "no market file for USDT-USD")),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_file__with_a_fault__then_its_place_is_named_with_code_78(
    tmp_path: Path, edit: Edit, fragments: tuple[str, ...]
) -> None:
    path = written(tmp_path, edit)
    code, printed = await keeper("run", "--config", str(path))
    assert code == 78, printed
    for fragment in fragments:
        assert fragment in printed
    assert "Traceback" not in printed
    assert "ab" * 32 not in printed


async def test_file__with_a_key_twice__then_both_places_are_named(tmp_path: Path) -> None:
    path = written(tmp_path)
    with path.open("a") as file:
        file.write("log:\n  level: debug\n")
    code, printed = await keeper("check", "--offline", "--config", str(path))
    assert code == 78
    assert "keeper.yaml:" in printed
    assert "log" in printed
    assert "twice" in printed or "already" in printed or "duplicate" in printed


def world_readable(key: Path) -> None:
    key.chmod(0o644)


def gone(key: Path) -> None:
    key.unlink()


def link(key: Path) -> None:
    key.rename(key.with_name("elsewhere"))
    key.symlink_to("elsewhere")


def known_to_everybody(key: Path) -> None:
    key.write_text("0x" + ANVIL_KEY.hex())


def no_key(key: Path) -> None:
    key.write_text("hello\n")


@pytest.mark.parametrize(
    ("spoil", "expected", "fragment"),
    [
        (world_readable, 77, "has mode 0644: others can use it; run: chmod 600"),
        (gone, 77, "cannot be read: No such file or directory"),
        (link, 77, "is a symbolic link"),
        (known_to_everybody, 77, "is printed in the manual of a development node and may not act on chain 1234"),
        (no_key, 77, "does not hold a private key (64 hexadecimal digits)"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_key__that_must_not_be_used__then_run_and_check_refuse_it(
    tmp_path: Path, spoil: Callable[[Path], None], expected: int, fragment: str
) -> None:
    assert address_of(ANVIL_KEY) in DEVELOPMENT_ADDRESSES
    path = written(tmp_path)
    spoil(path.parent / "keys" / "sender")
    for code, printed in await asyncio.gather(
        keeper("run", "--config", str(path)), keeper("check", "--offline", "--config", str(path))
    ):
        assert fragment in printed
        assert code == expected, printed
        assert "Traceback" not in printed
        assert ANVIL_KEY.hex() not in printed


async def test_markets__in_a_directory_that_may_not_be_read__then_pattern_and_cause_are_named(tmp_path: Path) -> None:
    path = written(tmp_path)
    markets = path.parent / "markets"
    markets.chmod(0)
    try:
        code, printed = await keeper("check", "--offline", "--config", str(path))
    finally:
        markets.chmod(0o700)
    assert code == 78, printed
    assert f"markets[0]: no file matches markets/*.yaml: {markets} cannot be read: Permission denied" in printed


async def test_key__that_cannot_be_read__then_77(tmp_path: Path) -> None:
    path = written(tmp_path)
    (path.parent / "keys" / "sender").chmod(0)
    code, printed = await keeper("run", "--config", str(path))
    assert code == 77
    assert "cannot be read: Permission denied" in printed


@dataclass(frozen=True)
class Online:
    """One fault that only shows against a chain and venues. `verbs` are those that must notice."""

    name: str
    edit: Edit
    fragments: tuple[str, ...]
    code: int
    verbs: tuple[str, ...] = ("check",)


def unknown_names(_settings: dict[str, Any], markets: dict[str, Any]) -> None:
    markets["BTC-USD"]["sources"][-1]["symbol"] += "X"
    markets["ETH-USD"]["market_no"] = 9


def another_chain(settings: dict[str, Any], _markets: dict[str, Any]) -> None:
    settings["chain"]["id"] = 4321


def no_contract(settings: dict[str, Any], _markets: dict[str, Any]) -> None:
    settings["deployments"]["main"]["oracle"] = "0x" + "12" * 20


ONLINE = (
    Online("names", unknown_names, ("not listed", "has no market 9"), 78),
    Online("chain", another_chain, ("4321",), 78, ("check", "run")),
    Online("contract", no_contract, ("0x" + "12" * 20,), 78, ("check", "run")),
)


async def test_world__does_not_fit_the_files__then_check_says_so_and_run_ends(tmp_path: Path) -> None:
    async with stage(tmp_path, chain_id=1234) as scene:
        code, printed = await keeper("check", "--config", str(scene.configure(name="right")))
        assert code == 0, printed
        cases = [(case, verb, scene.configure(case.edit, case.name)) for case in ONLINE for verb in case.verbs[:1]]
        cases += [
            (case, verb, scene.configure(any_port(case.edit), f"{case.name}-{verb}"))
            for case in ONLINE
            for verb in case.verbs[1:]
        ]
        found = await asyncio.gather(*(keeper(verb, "--config", str(path)) for _, verb, path in cases))
        problems = [
            f"{verb} with a wrong {case.name}: {code}\n{printed[-3000:]}"
            for (case, verb, _), (code, printed) in zip(cases, found, strict=True)
            if code != case.code or not all(each in printed for each in case.fragments) or "Traceback" in printed
        ]
        assert not problems, "\n".join(problems)
        await asyncio.gather(taken_places(scene), foreign_signer(scene))


def any_port(edit: Edit) -> Edit:
    """So that several may run at once."""

    def edits(settings: dict[str, Any], markets: dict[str, Any]) -> None:
        edit(settings, markets)
        settings["ops"]["port"] = 0

    return edits


async def taken_places(scene: Stage) -> None:
    """A port that another program has: 78. A state directory that another keeper has: 75."""
    with socket.create_server(("127.0.0.1", scene.ops_port)):
        code, printed = await keeper("run", "--config", str(scene.configure(name="port")))
    assert code == 78, printed
    assert f"port {scene.ops_port} of 127.0.0.1 is in use by another program" in printed

    first = await scene.keeper(scene.configure(name="first"))
    await first.until(lambda _status: True)
    code, printed = await keeper("run", "--config", str(first.config))
    assert code == 75, printed
    assert f"is held by process {first.process.pid}" in printed
    assert "Traceback" not in printed
    assert await first.stop() == 0


async def foreign_signer(scene: Stage) -> None:
    """A report key that the oracle does not know: check says 77."""
    path = scene.configure(name="signer")
    stranger = os.urandom(32)
    (path.parent / "keys" / "report-1").write_text("0x" + stranger.hex())
    code, printed = await keeper("check", "--config", str(path))
    assert code == 77, printed
    assert f"{address_of(stranger)} is not one of the oracle's signers" in printed
