"""What endpoints do wrong, each through a real socket, beside one that does right."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import aiohttp
import pytest

from keeper.devnet.simulator.catalogue import (
    delay,
    drop_reply,
    error,
    fee_outlier,
    garbage,
    hang,
    http_status,
    huge_body,
    lying_receipt,
    null,
    other_chain_id,
    rate_limited,
    redirect,
    refuse,
    stale_head,
    wrong_id,
)
from keeper.errors import RpcError
from tests.simulator.bench import NOBODY, SEND, Bench

EMITS_A_LOG = "0x60006000a000"  # PUSH1 0, PUSH1 0, LOG0, STOP
HEAD = {"jsonrpc": "2.0", "id": 5, "method": "eth_blockNumber", "params": []}


def sending(raw: str) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": 1, "method": SEND, "params": [raw]}


async def test_drop_reply__of_a_send__pools_the_transaction_and_answers_nothing(bench: Bench) -> None:
    bench.fault(drop_reply(), methods={SEND}, times=1)
    raw = bench.alice.raw(0)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await bench.send(raw)
    assert await bench.refusal(raw) == "already known"
    assert bench.sim.record.sent() == [bench.sim.pool.hashes()[0]] * 2
    assert bench.sim.record.of(SEND)[0].faults == ("drop_reply",)


async def test_refuse__of_a_send__pools_nothing(bench: Bench) -> None:
    bench.fault(refuse(), methods={SEND}, times=1)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await bench.send(bench.alice.raw(0))
    assert len(bench.sim.pool) == 0
    await bench.send(bench.alice.raw(0))


@pytest.mark.parametrize("performed", [False, True])
async def test_hang__until_cleared__then_answers(bench: Bench, performed: bool) -> None:
    switch = bench.fault(hang(performed=performed), methods={SEND}, times=1)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(bench.send(bench.alice.raw(0)))
        await switch.holding.wait()
        assert await bench.nonce(bench.alice, place=1) == 0, "the other endpoint answers"
        assert (len(bench.sim.pool), waiting.done()) == (int(performed), False)
        switch.clear()
        assert await waiting == bench.sim.pool.hashes()[0]


async def test_hang__of_a_client_that_gives_up__ends_with_the_simulator(bench: Bench) -> None:
    switch = bench.fault(hang())
    asking = asyncio.ensure_future(bench.ask("eth_blockNumber"))
    await switch.holding.wait()
    asking.cancel()
    await asyncio.wait([asking])
    assert asking.cancelled()
    assert await bench.ask("eth_blockNumber", place=1)


async def test_delay__of_one_call__is_at_least_that_long(bench: Bench) -> None:
    bench.fault(delay(0.05), times=1)
    now = asyncio.get_running_loop().time
    started = now()
    await bench.ask("eth_blockNumber")
    assert now() - started >= 0.05


async def test_null__of_a_receipt__hides_it_from_one_endpoint(bench: Bench) -> None:
    sent = await bench.send(bench.alice.raw(0))
    await bench.sim.mine()
    bench.fault(null(), methods={"eth_getTransactionReceipt"}, times=2)
    assert [await bench.receipt(sent) is None for _ in range(3)] == [True, True, False]
    bench.fault(null(), methods={"eth_getTransactionReceipt"})
    assert await bench.receipt(sent, place=1) is not None


async def test_error__with_code_text_and_data__replaces_the_answer(bench: Bench) -> None:
    bench.fault(error(-32005, "limit exceeded", {"see": "docs"}), methods={"eth_blockNumber"}, times=1)
    with pytest.raises(RpcError, match="limit exceeded") as caught:
        await bench.ask("eth_blockNumber")
    assert (caught.value.code, caught.value.data) == (-32005, {"see": "docs"})
    bench.fault(error(-32000, "internal error", performed=True), methods={SEND}, times=1)
    assert await bench.refusal(bench.alice.raw(0)) == "internal error"
    assert len(bench.sim.pool) == 1, "said no and did it"


async def test_wrong_id__is_answered_with_another(bench: Bench) -> None:
    bench.fault(wrong_id(), times=1)
    _, _, text = await bench.post(HEAD)
    assert json.loads(text)["id"] == "not yours"


async def test_other_chain_id__is_said_for_both_methods(bench: Bench) -> None:
    bench.fault(other_chain_id(10))
    assert (await bench.ask("eth_chainId"), await bench.ask("net_version")) == ("0xa", "10")
    assert await bench.ask("eth_chainId", place=1) == hex(31337)
    bench.sim.endpoints[0].faults.clear()
    assert await bench.ask("eth_chainId") == hex(31337)


@pytest.mark.parametrize(
    ("retry_after", "header"),
    [
        (7, "7"),
        (datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC), "Wed, 02 Jan 2030 03:04:05 GMT"),
        (None, None),
    ],
)
async def test_rate_limited__tells_when_to_come_again(
    bench: Bench, retry_after: float | datetime | None, header: str | None
) -> None:
    bench.fault(rate_limited(retry_after), times=1)
    status, headers, _ = await bench.post(sending(bench.alice.raw(0)))
    assert (status, headers.get("Retry-After")) == (429, header)
    assert len(bench.sim.pool) == 0


@pytest.mark.parametrize("performed", [False, True])
async def test_http_status__of_a_gateway__may_hide_that_the_node_acted(bench: Bench, performed: bool) -> None:
    bench.fault(http_status(504, b"gateway timeout", performed=performed), times=1)
    status, _, text = await bench.post(sending(bench.alice.raw(0)))
    assert (status, text, len(bench.sim.pool)) == (504, "gateway timeout", int(performed))


async def test_redirect__names_another_place(bench: Bench) -> None:
    bench.fault(redirect("http://127.0.0.1:1/"), times=1)
    status, headers, _ = await bench.post(HEAD)
    assert (status, headers["Location"]) == (307, "http://127.0.0.1:1/")


async def test_garbage__is_no_json(bench: Bench) -> None:
    bench.fault(garbage(), times=1)
    status, _, text = await bench.post(HEAD)
    assert (status, text) == (200, "<html>bad gateway</html>")


async def test_huge_body__comes_as_long_as_it_is_read(bench: Bench) -> None:
    bench.fault(huge_body(2**20), times=1)
    _, _, text = await bench.post(HEAD)
    assert len(json.loads(text)["result"]) == 2**20 + 2
    bench.fault(huge_body(2**34), times=1)
    async with bench.session.post(bench.sim.endpoints[0].url, json=HEAD) as answer:
        assert len(await answer.content.readexactly(2**20)) == 2**20
    assert await bench.ask("eth_blockNumber"), "the reader went away, and life goes on"


async def test_fee_outlier__reports_a_hundredfold(bench: Bench) -> None:
    true = await bench.ask("eth_feeHistory", 2, "latest", [50.0], place=1)
    price = int(await bench.ask("eth_gasPrice", place=1), 16)
    bench.fault(fee_outlier(100))
    said = await bench.ask("eth_feeHistory", 2, "latest", [50.0])
    for name in ("baseFeePerGas", "reward"):
        assert numbers(said[name]) == [100 * each for each in numbers(true[name])], name
    assert said["gasUsedRatio"] == true["gasUsedRatio"]
    assert int(await bench.ask("eth_gasPrice"), 16) == 100 * price
    bench.fault(fee_outlier(7), methods={"eth_getBlockByNumber"})
    block, lie = [await bench.ask("eth_getBlockByNumber", "latest", False, place=place) for place in (1, 0)]
    assert numbers(lie["baseFeePerGas"]) == [7 * each for each in numbers(block["baseFeePerGas"])]


def numbers(shown: object) -> list[int]:
    return [int(shown, 16)] if isinstance(shown, str) else [n for each in shown for n in numbers(each)]  # type: ignore[attr-defined]


async def test_lying_receipt__changes_what_was_mined_or_invents_it(bench: Bench) -> None:
    sent = await bench.send(bench.alice.raw(0))
    bench.fault(lying_receipt({"status": "0x0", "blockHash": "0x" + "77" * 32}))
    assert await bench.receipt(sent) is None
    await bench.sim.mine()
    lie, true = await bench.receipt(sent), await bench.receipt(sent, place=1)
    assert (lie["status"], lie["blockHash"], true["status"]) == ("0x0", "0x" + "77" * 32, "0x1")
    bench.fault(lying_receipt({"blockNumber": "0x2"}, invented=True), place=1)
    invented = await bench.receipt("0x" + "11" * 32, place=1)
    assert (invented["status"], invented["blockNumber"], invented["transactionHash"]) == (
        "0x1",
        "0x2",
        "0x" + "11" * 32,
    )


async def test_stale_head__sees_everything_as_of_then(bench: Bench) -> None:
    sent = await bench.send(bench.alice.raw(0, value=7))
    await bench.send(bench.bob.raw(0, to="", data=EMITS_A_LOG, gas=100_000))
    mined = await bench.sim.mine()
    head = (await bench.sim.mine()).number
    now = await bench.ask("eth_getBlockByNumber", "latest", False, place=1)
    bench.fault(stale_head(2))
    assert int(await bench.ask("eth_blockNumber"), 16) == head - 2
    assert int((await bench.ask("eth_getBlockByNumber", "latest", False))["number"], 16) == head - 2
    assert await bench.ask("eth_getBlockByNumber", hex(head), False) is None
    assert await bench.ask("eth_getBlockByHash", now["hash"], False) is None
    assert (await bench.nonce(bench.alice), await bench.nonce(bench.alice, place=1)) == (0, 1)
    assert await bench.nonce(bench.alice, "pending") == 1
    assert await bench.receipt(sent) is None
    assert (await bench.ask("eth_getTransactionByHash", sent))["blockNumber"] is None
    assert await bench.ask("eth_getBalance", NOBODY, "latest") == "0x0"
    assert await bench.ask("eth_getBalance", NOBODY) == "0x0"
    assert await bench.ask("eth_getBalance", NOBODY, hex(mined.number), place=1) == "0x7"
    assert [len(await bench.ask("eth_getLogs", {"fromBlock": "0x0"}, place=place)) for place in (0, 1)] == [0, 1]
    for at in (hex(head), {"blockHash": now["hash"]}, {"blockNumber": hex(head)}):
        with pytest.raises(RpcError, match="header not found"):
            await bench.ask("eth_call", {"to": NOBODY}, at)
        assert await bench.ask("eth_call", {"to": NOBODY}, at, place=1) == "0x"
    bench.sim.endpoints[0].faults.clear()
    assert await bench.receipt(sent) is not None


async def test_stale_head__catches_up_with_every_block(bench: Bench) -> None:
    sent = await bench.send(bench.alice.raw(0))
    await bench.sim.mine()
    bench.fault(stale_head(1))
    assert await bench.receipt(sent) is None
    await bench.sim.mine()
    assert await bench.receipt(sent) is not None


async def test_dead__endpoint__refuses_connections_and_comes_back_on_its_port(bench: Bench) -> None:
    endpoint = bench.sim.endpoints[0]
    url, switch = endpoint.url, bench.fault(hang(), methods={"eth_chainId"}, times=1)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(disconnected(bench))
        await switch.struck.wait()
        await endpoint.die()
        assert await waiting, "what was under way is cut"
    with pytest.raises(aiohttp.ClientConnectorError):
        await bench.ask("eth_blockNumber")
    assert await bench.ask("eth_blockNumber", place=1)
    await endpoint.revive()
    assert endpoint.url == url
    assert await bench.ask("eth_blockNumber")


async def disconnected(bench: Bench) -> bool:
    with pytest.raises(aiohttp.ClientConnectionError):
        await bench.ask("eth_chainId")
    return True


async def test_batch__of_three__is_answered_in_order_and_recorded_as_one_post(bench: Bench) -> None:
    requests = [
        ("eth_blockNumber", ()),
        ("eth_getTransactionCount", (bench.alice.address, "pending")),
        ("eth_nonsense", ()),
    ]
    first, second, third = await bench.rpc().batch(requests)
    assert (int(first, 16) >= 1, second, type(third)) == (True, "0x0", RpcError)
    assert bench.sim.record.posts("node-1") == 1
    assert [each.method for each in bench.sim.record.seen] == [method for method, _ in requests]


async def test_faults__in_a_batch__strike_their_calls_alone(bench: Bench) -> None:
    bench.fault(error(-32000, "busy"), methods={"eth_blockNumber"}, times=1)
    bench.fault(null(), methods={"eth_gasPrice"})
    first, price, second = await bench.rpc().batch(
        [("eth_blockNumber", ()), ("eth_gasPrice", ()), ("eth_blockNumber", ())]
    )
    assert (str(first), price, int(second, 16) >= 1) == ("eth_blockNumber: busy", None, True)


async def test_faults__several_at_once__all_strike(bench: Bench) -> None:
    """A late answer with the wrong id and a made-up chain, and a send that is both slow and dropped."""
    switches = [bench.fault(each, times=1) for each in (delay(0.01), wrong_id(), other_chain_id(10))]
    _, _, text = await bench.post({**HEAD, "method": "eth_chainId"})
    assert json.loads(text) == {"jsonrpc": "2.0", "id": "not yours", "result": "0xa"}
    assert [each.strikes for each in switches] == [1, 1, 1]
    bench.fault(delay(0.01), times=1)
    bench.fault(drop_reply(), times=1)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await bench.send(bench.alice.raw(0))
    assert bench.sim.record.seen[-1].faults == ("delay", "drop_reply")


async def test_record__of_an_endpoint__tells_who_was_sent_what(bench: Bench) -> None:
    await bench.ask("eth_blockNumber")
    assert bench.sim.record.sent() == []
    sent = await bench.send(bench.alice.raw(0), place=1)
    assert bench.sim.record.sent("node-2") == [sent]
    assert bench.sim.record.sent("node-1") == []
    assert bench.sim.record.of(SEND)[0].at_s <= asyncio.get_running_loop().time()
    bench.sim.record.clear()
    assert bench.sim.record.seen == []


async def test_body__that_is_no_json__gets_a_parse_error(bench: Bench) -> None:
    async with bench.session.post(bench.sim.endpoints[0].url, data=b"{") as answer:
        assert (await answer.json())["error"]["code"] == -32700


async def test_send__without_hex__is_an_invalid_argument(bench: Bench) -> None:
    for params in ([], ["0xzz"]):
        _, _, text = await bench.post({"jsonrpc": "2.0", "id": 1, "method": SEND, "params": params})
        assert json.loads(text)["error"]["code"] == -32602
