"""The node and the deployment: what the demo and everybody's chain tests stand on."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from eth_account import Account

from keeper.devnet.artifacts import ARTIFACT_DIR, load
from keeper.devnet.deploy import BTC_USD, ETH_USD, Deployment, DeployParameters, deploy
from keeper.devnet.jsonrpc import JsonRpc
from keeper.devnet.node import AnvilFailed, AnvilNode, AnvilNotFound, NodeOptions, find_anvil
from keeper.domain.ids import address
from keeper.errors import Reverted, RpcError
from tests.evm.chain import named
from tests.evm.world import SIGNERS

KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
"""The first of the accounts that anvil funds."""


def test_find_anvil__where_there_is_none__says_in_one_line_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AnvilNotFound) as caught:
        find_anvil(tmp_path)
    assert str(caught.value) == f"anvil is not installed; type: npm ci --ignore-scripts --prefix {tmp_path}"


def test_find_anvil__on_the_path__is_taken_when_none_is_beside_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = tmp_path / "anvil"
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_anvil(tmp_path / "elsewhere") == binary


async def test_node__after_start__has_a_block_with_a_real_time__and_is_gone_after_stop() -> None:
    node = AnvilNode(NodeOptions(timestamp_s=1_800_000_000))
    await node.start()
    pid = node.pid
    assert pid is not None
    async with aiohttp.ClientSession() as session:
        block = await JsonRpc(session, node.url).call("eth_getBlockByNumber", "latest", False)
        assert int(block["timestamp"], 16) >= 1_800_000_000
        await node.stop()
        await node.stop()
        with pytest.raises(aiohttp.ClientConnectionError):
            await JsonRpc(session, node.url).call("eth_chainId")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_node__on_a_port_in_use__fails_at_once() -> None:
    async with AnvilNode() as first:
        taken = int(first.url.rsplit(":", 1)[1])
        with pytest.raises(AnvilFailed, match="in use"):
            await AnvilNode(NodeOptions(port=taken)).start()


async def test_node__that_ends_at_once__fails_with_what_it_printed(tmp_path: Path) -> None:
    broken = tmp_path / "anvil"
    broken.write_text("#!/bin/sh\necho no such hardfork\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(AnvilFailed, match="no such hardfork"):
        await AnvilNode(binary=broken).start()


async def test_node__that_ignores_the_polite_signal__is_killed(tmp_path: Path) -> None:
    stubborn = tmp_path / "anvil"
    stubborn.write_text("#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 0.05; done\n")
    stubborn.chmod(0o755)
    node = AnvilNode(NodeOptions(start_timeout_s=0.3, stop_grace_s=0.2), binary=stubborn)
    with pytest.raises(AnvilFailed, match="did not answer"):
        await node.start()
    assert node.pid is None


async def test_rpc_batch__with_one_refusal__keeps_the_other_answers() -> None:
    async with AnvilNode() as node, aiohttp.ClientSession() as session:
        number, refused = await JsonRpc(session, node.url).batch([("eth_blockNumber", []), ("eth_nothing", [])])
        assert number == "0x1"
        assert isinstance(refused, RpcError)


@pytest.mark.parametrize("options", [NodeOptions(), NodeOptions(mining=False), NodeOptions(block_time_s=1)])
async def test_deploy__on_every_kind_of_mining__configures_what_was_asked(options: NodeOptions) -> None:
    parameters = DeployParameters(
        SIGNERS[:3], guardians=(named("guardian"),), operators=(named("operator"),), owner=named("owner")
    )
    async with AnvilNode(options) as node, aiohttp.ClientSession() as session:
        d = await deploy(node.url, KEY, parameters, mine=not options.mining)
        assert d.deployer == address(Account.from_key(KEY).address)
        assert Deployment.from_json(json.loads(json.dumps(d.to_json()))) == d
        assert d.market_nos == (1, 2)
        rpc = JsonRpc(session, node.url)
        exchange, oracle = load("PerpExchange"), load("PriceOracle")
        totals = await rpc.call("eth_call", {"to": d.exchange, "data": "0x" + exchange.call("totals").hex()}, "latest")
        held = parameters.insurance_units
        assert exchange.result("totals", bytes.fromhex(totals[2:])) == (1, held, 0, 0, 0, held)
        for contract, abi in ((d.exchange, exchange), (d.oracle, oracle)):
            pending = await rpc.call(
                "eth_call", {"to": contract, "data": "0x" + abi.call("pendingOwner").hex()}, "latest"
            )
            assert abi.result("pendingOwner", bytes.fromhex(pending[2:])) == (named("owner"),)
        code = await rpc.call("eth_getCode", d.token, hex(d.block_number))
        assert len(code) > 2


async def test_deploy__of_something_that_the_contracts_refuse__names_the_step() -> None:
    wrong = replace(BTC_USD, feed=replace(BTC_USD.feed, interval_s=7))
    async with AnvilNode() as node:
        with pytest.raises(Reverted, match=r"PriceOracle\.configureFeed"):
            await deploy(node.url, KEY, DeployParameters(SIGNERS[:3], markets=(wrong, ETH_USD)))


def test_artifacts__keep_to_the_size_limit_of_eip_170() -> None:
    names = sorted(path.stem for path in ARTIFACT_DIR.glob("*.json"))
    assert names == ["HostileToken", "PerpExchange", "PerpLens", "PriceOracle", "QuoteToken"]
    assert all(load(name).runtime_bytes < 24_576 for name in names)
