"""Several endpoints of one chain: dead, slow, lagging, lying and disagreeing ones among honest ones."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import web

from keeper.adapters import rpc_codec as codec
from keeper.adapters.rpc import RpcChain
from keeper.adapters.rpc_http import RpcEndpoint
from keeper.domain.ids import Hash, address
from keeper.errors import ChainInconsistent, RateLimited, RpcError, RpcUnavailable
from tests.chain.nodes import Node, served, transport
from tests.chain.stage import CHAIN_ID, Log, Tally, eventually

HASH = "0x" + "ab" * 32
NOW_S = int(time.time())


class Fake:
    """A node with a head, a history, a fee and a word on what it is sent."""

    def __init__(
        self, head: int = 100, history: str = "aa", base_fee: int = 100, sends: Any = None, receipt: Any = None
    ) -> None:
        self.head, self.history, self.base_fee, self.receipt = head, history, base_fee, receipt
        self.sends = sends or {"result": HASH}
        self.asked: Counter[str] = Counter()
        self.pause_s = 0.0
        self.held = asyncio.Event()
        self.held.set()

    async def __call__(self, _request: web.Request, body: Any) -> web.Response:
        method = body["method"]
        self.asked[method] += 1
        await self.held.wait()
        await asyncio.sleep(self.pause_s)
        return web.json_response({"jsonrpc": "2.0", "id": body["id"], **self._answer(method, body["params"])})

    def _answer(self, method: str, params: Sequence[Any]) -> dict[str, Any]:
        if method == "eth_getBlockByNumber":
            number = self.head if params[0] == "latest" else int(params[0], 16)
            own = f"0x{self.history}{number:062x}"
            return {
                "result": {
                    "number": hex(number),
                    "hash": own,
                    "parentHash": HASH,
                    "baseFeePerGas": hex(self.base_fee),
                    "timestamp": hex(NOW_S - 100 + min(number, 100)),
                }
            }
        if method == "eth_getTransactionReceipt":
            return {"result": self.receipt}
        if method == "eth_feeHistory":
            return {"result": {"baseFeePerGas": [hex(self.base_fee)] * 6, "reward": [["0x1"]] * 5}}
        return self.sends if method == "eth_sendRawTransaction" else {"result": hex(self.head)}


class Several:
    """A transport to one node for each fake, in their order."""

    def __init__(self, chain: RpcChain, nodes: Sequence[Node], log: Log, meter: Tally) -> None:
        self.chain, self.nodes, self.log, self.meter = chain, nodes, log, meter


async def several(stack: AsyncExitStack, *fakes: Any, **options: Any) -> Several:
    nodes = [await stack.enter_async_context(served(fake)) for fake in fakes]
    log, meter = Log(), Tally()
    chain = await stack.enter_async_context(transport(*nodes, log=log, meter=meter, **options))
    return Several(chain, nodes, log, meter)


def names(log: Log, event: str) -> list[str]:
    return [keys["endpoint"] for keys in log.named(event)]


@pytest.mark.parametrize("wrong", [{"head": 90}, {"head": 1000}, {"history": "bb"}], ids=["lags", "ahead", "forked"])
async def test_compare__one_of_three_disagrees__is_not_read_from_until_it_agrees(wrong: dict[str, Any]) -> None:
    async with AsyncExitStack() as stack:
        liar, others = Fake(**wrong), [Fake(), Fake(head=101)]
        found = await several(stack, liar, *others)
        await found.chain.compare()
        assert names(found.log, "rpc.suspended") == ["node0"]
        await found.chain.head_number()
        assert liar.asked["eth_blockNumber"] == 0
        liar.head, liar.history = 101, "aa"
        await found.chain.compare()
        assert names(found.log, "rpc.readmitted") == ["node0"]
        await found.chain.head_number()
        assert liar.asked["eth_blockNumber"] == 1


async def test_compare__of_two__the_one_behind_is_left_alone_and_its_lag_is_told() -> None:
    async with AsyncExitStack() as stack:
        found = await several(stack, Fake(head=90), Fake())
        await found.chain.compare()
        assert names(found.log, "rpc.suspended") == ["node0"]
        assert found.meter.counts["keeper_rpc_head_lag_blocks", (("endpoint", "node0"),)] == 10


async def test_compare__all_but_the_liar_away__is_not_read_from_while_another_is_left() -> None:
    async with AsyncExitStack() as stack:
        liar, honest = Fake(head=50), Fake()
        found = await several(stack, liar, honest)
        await found.chain.compare()
        honest.held.clear()
        with pytest.raises(RpcUnavailable):
            await found.chain.head_number()
        assert liar.asked["eth_blockNumber"] == 0
        honest.held.set()


async def test_compare__a_single_endpoint__is_asked_nothing() -> None:
    async with AsyncExitStack() as stack:
        only = Fake(head=1)
        found = await several(stack, only)
        await found.chain.compare()
        assert not only.asked


async def test_run__compares_by_itself() -> None:
    async with AsyncExitStack() as stack:
        found = await several(stack, Fake(head=90), Fake(), Fake(), compare_every_s=0.01)
        task = asyncio.create_task(found.chain.run())
        await eventually(lambda: told(found.log, "rpc.suspended"), within_s=5)
        task.cancel()


async def told(log: Log, event: str) -> bool:
    return bool(log.named(event))


async def test_fees__one_of_three_asks_for_a_hundred_times_as_much__the_median_counts() -> None:
    async with AsyncExitStack() as stack:
        found = await several(stack, Fake(base_fee=10_000), Fake(base_fee=100), Fake(base_fee=102))
        assert (await found.chain.fees()).base_fee_wei == 102


async def test_fees__one_hangs__the_others_are_enough_and_it_is_asked_less() -> None:
    async with AsyncExitStack() as stack:
        slow = Fake()
        slow.held.clear()
        found = await several(stack, Fake(), slow, Fake())
        for _ in range(3):
            assert (await found.chain.fees()).base_fee_wei == 100
        assert slow.asked["eth_feeHistory"] == 1
        slow.held.set()


async def test_start__the_preferred_endpoint_hangs__is_not_waited_for() -> None:
    async def never(_request: web.Request) -> web.Response:
        await ended.wait()
        return web.Response()

    ended = asyncio.Event()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", never)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with served(Fake()) as node:
            hanging = f"http://127.0.0.1:{runner.addresses[0][1]}"
            async with transport(hanging, node, timeout_s=60.0) as chain, asyncio.timeout(10):
                assert await chain.head_number() == 100
    finally:
        ended.set()
        await runner.cleanup()


def receipt(block: str = "aa", status: int = 1, number: int = 90, logs: int = 1) -> dict[str, Any]:
    log = {"address": "0x" + "11" * 20, "topics": [HASH], "data": "0x", "logIndex": "0x0", "removed": False}
    block_hash = f"0x{block}{number:062x}"
    return {
        "transactionHash": HASH,
        "blockHash": block_hash,
        "blockNumber": hex(number),
        "status": hex(status),
        "gasUsed": "0x5208",
        "effectiveGasPrice": "0x1",
        "logs": [{**log, "blockNumber": hex(number), "blockHash": block_hash, "transactionHash": HASH}] * logs,
    }


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ([None, receipt()], 1),
        ([receipt("be"), receipt()], 1),
        ([receipt(status=0), receipt(), receipt()], 1),
        ([receipt(logs=0), receipt(), receipt()], 1),
        ([None, None], None),
        ([receipt("be"), None], 1),
    ],
    ids=["null", "another block", "outvoted", "without what it logged", "nobody knows", "the only one"],
)
async def test_receipt__one_endpoint_hides_it_or_lies__counts_as_most_tell_it(
    told: list[Any], status: int | None
) -> None:
    async with AsyncExitStack() as stack:
        found = await several(stack, *(Fake(receipt=each) for each in told))
        said = await found.chain.receipt(Hash(HASH))
        assert (None if said is None else said.status) == status
        if told[-1] is not None and said is not None:
            assert said.block_hash == told[-1]["blockHash"]
            assert len(said.logs) == len(told[-1]["logs"])


@pytest.mark.parametrize("other", [receipt(status=0), receipt(logs=0)], ids=["status", "logs"])
async def test_receipt__of_two_that_contradict_each_other__is_another_thing_than_none(other: Any) -> None:
    async with AsyncExitStack() as stack:
        found = await several(stack, Fake(receipt=other), Fake(receipt=receipt()))
        with pytest.raises(ChainInconsistent, match="contradict"):
            await found.chain.receipt(Hash(HASH))


@pytest.mark.parametrize(
    ("others", "seconded"),
    [
        ([receipt(status=0), None], True),
        ([None, None], False),
        ([receipt()], False),
        ([receipt(status=0, logs=0)], False),
        ([], True),
    ],
    ids=["another tells the same", "the others know of none", "success", "other logs", "it is the only endpoint"],
)
async def test_receipt__of_a_failure__is_more_than_one_endpoints_word(others: list[Any], seconded: bool) -> None:
    async with AsyncExitStack() as stack:
        found = await several(stack, *(Fake(receipt=each) for each in [receipt(status=0), *others]))
        told = codec.receipt(receipt(status=0))
        assert told is not None
        assert await found.chain.is_seconded(told) is seconded


async def test_receipt__only_the_liar_is_not_benched__its_word_on_a_failure_is_not_enough() -> None:
    async with AsyncExitStack() as stack:
        honest = Fake(receipt=receipt())
        found = await several(stack, Fake(receipt=receipt(status=0)), honest)
        honest.held.clear()
        await found.chain.fees()  # which benches the one that does not answer
        honest.held.set()
        told = await found.chain.receipt(Hash(HASH))
        assert told is not None
        assert not await found.chain.is_seconded(told)


async def test_receipt__nobody_answers_when_it_is_to_be_seconded__one_word_on_a_failure_is_not_enough() -> None:
    async with AsyncExitStack() as stack:
        liar, honest = Fake(receipt=receipt(status=0)), Fake(receipt=receipt())
        found = await several(stack, liar, honest)
        told = codec.receipt(receipt(status=0))
        assert told is not None
        await found.chain.verify()
        for each in (liar, honest):
            each.held.clear()
        assert not await found.chain.is_seconded(told)
        for each in (liar, honest):
            each.held.set()


@pytest.mark.parametrize(
    ("counts", "most"),
    [([1001, 1, 1], 1), ([1, 1001], 1), ([7, 7, 5], 7), ([7, 5, 4], 5), ([7], 7), ([7, 7, 5, 5], 5)],
)
async def test_count_of_most__one_endpoint_alone__does_not_raise_it(counts: list[int], most: int) -> None:
    async with AsyncExitStack() as stack:
        found = await several(stack, *(Fake(head=each) for each in counts))
        assert await found.chain.count_of_most(address("0x" + "11" * 20)) == most


async def test_count_of_most__only_one_of_two_answers__says_nothing() -> None:
    async with AsyncExitStack() as stack:
        silent = Fake()
        found = await several(stack, Fake(), silent)
        await found.chain.verify()
        silent.held.clear()
        with pytest.raises(RpcUnavailable, match="too few"):
            await found.chain.count_of_most(address("0x" + "11" * 20))
        silent.held.set()


async def test_reads__the_preferred_endpoint_is_slow__another_is_asked_until_it_is_quick_again() -> None:
    async with AsyncExitStack() as stack:
        slow, quick = Fake(), Fake()
        found = await several(stack, slow, quick)
        slow.pause_s = 0.6
        await found.chain.head_number()
        await found.chain.compare()
        asked = slow.asked["eth_blockNumber"]
        await found.chain.head_number()
        assert (slow.asked["eth_blockNumber"], quick.asked["eth_blockNumber"]) == (asked, 1)
        slow.pause_s = 0.0
        for _ in range(4):
            await found.chain.compare()
        await found.chain.head_number()
        assert slow.asked["eth_blockNumber"] == asked + 1


async def test_send__goes_to_all_at_once__the_first_that_takes_it_counts() -> None:
    async with AsyncExitStack() as stack:
        slow, refusing, quick = Fake(), Fake(sends=refused("nonce too low")), Fake()
        found = await several(stack, slow, refusing, quick)
        await found.chain.verify()
        slow.held.clear()
        async with asyncio.timeout(4):
            assert await found.chain.broadcast(b"\x02") == HASH
        assert [each.asked["eth_sendRawTransaction"] for each in (slow, refusing, quick)] == [1, 1, 1]
        slow.held.set()


def refused(words: str) -> dict[str, Any]:
    return {"error": {"code": -32000, "message": words}}


@pytest.mark.parametrize(
    ("said", "counts"),
    [
        (["exceeds block gas limit", "nonce too low: next nonce 7, tx nonce 6"], "nonce too low"),
        (["insufficient funds for gas * price + value", "transaction underpriced"], "transaction underpriced"),
        (["intrinsic gas too low", "exceeds block gas limit"], "gas"),
        (["already known", "replacement transaction underpriced"], "already known"),
    ],
)
async def test_send__refused_by_all__the_best_word_counts(said: list[str], counts: str) -> None:
    async with AsyncExitStack() as stack:
        found = await several(stack, *(Fake(sends=refused(words)) for words in said))
        with pytest.raises(RpcError, match=counts):
            await found.chain.broadcast(b"\x02")


async def test_send__one_refuses_for_good_and_one_is_dead__the_outcome_is_open() -> None:
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(served(Fake(sends=refused("intrinsic gas too low"))))
        chain = await stack.enter_async_context(transport("http://127.0.0.1:9", node))
        with pytest.raises(RpcUnavailable):
            await chain.broadcast(b"\x02")


@pytest.mark.parametrize(
    ("word", "asked"),
    [("insufficient funds for gas * price + value: balance 0", 1), ("intrinsic gas too low", 1), ("already known", 0)],
)
async def test_send__refused_by_all_but_one_that_failed_a_moment_ago__that_one_is_asked_too(
    word: str, asked: int
) -> None:
    async with AsyncExitStack() as stack:
        lying, honest = Fake(sends=refused(word)), Fake()
        found = await several(stack, lying, honest)
        await found.chain.verify()
        endpoint = found.chain._pool._endpoints[1]
        endpoint.failed(RpcUnavailable("hung"), asyncio.get_running_loop().time())
        if asked:
            assert await found.chain.broadcast(b"\x02") == HASH
        else:
            with pytest.raises(RpcError, match=word):
                await found.chain.broadcast(b"\x02")
        assert honest.asked["eth_sendRawTransaction"] == asked


async def test_send__refused_by_all_and_then_by_one_that_is_back__the_best_word_counts() -> None:
    async with AsyncExitStack() as stack:
        found = await several(stack, Fake(sends=refused("intrinsic gas too low")), Fake(sends=refused("nonce too low")))
        await found.chain.verify()
        found.chain._pool._endpoints[1].failed(RpcUnavailable("hung"), asyncio.get_running_loop().time())
        with pytest.raises(RpcError, match="nonce too low"):
            await found.chain.broadcast(b"\x02")


async def sent_to(*fakes: Fake) -> bool:
    return all(each.asked["eth_sendRawTransaction"] for each in fakes)


async def test_send__to_three__one_request_each_and_no_more() -> None:
    async with AsyncExitStack() as stack:
        fakes = [Fake() for _ in range(3)]
        found = await several(stack, *fakes)
        await found.chain.broadcast(b"\x02")
        await eventually(lambda: sent_to(*fakes), within_s=5)
        assert [each.asked["eth_sendRawTransaction"] for each in fakes] == [1, 1, 1]


async def test_close__with_a_send_under_way__leaves_nothing_behind() -> None:
    async with served(Fake()) as quick:
        hanging = Fake()
        async with served(hanging) as slow:
            async with transport(slow, quick) as chain:
                await chain.verify()
                hanging.held.clear()
                assert await chain.broadcast(b"\x02") == HASH
            assert not [task for task in asyncio.all_tasks() if "_sent" in repr(task.get_coro())]
            hanging.held.set()


async def test_write_only__is_sent_transactions_and_asked_nothing() -> None:
    async with AsyncExitStack() as stack:
        reading, relay = Fake(), Fake()
        nodes = [await stack.enter_async_context(served(fake)) for fake in (reading, relay)]
        endpoints = [RpcEndpoint(nodes[0].url, "node"), RpcEndpoint(nodes[1].url, "relay", write_only=True)]
        chain = await stack.enter_async_context(RpcChain(endpoints, CHAIN_ID, meter=Tally(), log=Log()))
        await chain.head_number()
        await chain.compare()
        await chain.fees()
        await chain.broadcast(b"\x02")
        await eventually(lambda: sent_to(reading, relay), within_s=5)
        assert dict(relay.asked) == {"eth_sendRawTransaction": 1}


async def test_plan__used_up__reads_wait_their_turn_and_a_transaction_does_not() -> None:
    async with AsyncExitStack() as stack:
        fake = Fake()
        node = await stack.enter_async_context(served(fake))
        endpoint = RpcEndpoint(node.url, "node", per_s=20)
        chain = await stack.enter_async_context(RpcChain([endpoint], CHAIN_ID, meter=Tally(), log=Log()))
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(25):
            await chain.head_number()
        assert loop.time() - began >= 5 / 20
        await chain.broadcast(b"\x02")
        answers = await asyncio.gather(*(chain.head_number() for _ in range(60)), return_exceptions=True)
        assert {type(each) for each in answers} == {int, RateLimited}
        assert fake.asked["eth_sendRawTransaction"] == 1


async def test_nonces__of_several_endpoints__as_each_tells_that_is_believed() -> None:
    async with AsyncExitStack() as stack:
        lags = Fake(head=90)
        found = await several(stack, Fake(), Fake(head=101), lags, {"error": {"code": -32000, "message": "away"}})
        await found.chain.compare()
        assert names(found.log, "rpc.suspended") == ["node2"]
        assert await found.chain.nonces(address("0x" + "11" * 20)) == {"node0": (100, 100), "node1": (101, 101)}
        assert lags.asked["eth_getTransactionCount"] == 0


async def test_nonces__no_endpoint_tells_them__is_no_answer() -> None:
    async with AsyncExitStack() as stack:
        found = await several(stack, {"error": {"code": -32000, "message": "away"}})
        with pytest.raises(RpcUnavailable, match="no endpoint tells the wallet's nonces"):
            await found.chain.nonces(address("0x" + "11" * 20))
