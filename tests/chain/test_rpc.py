"""The transport against a node that lies, stalls and floods, and against a real one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from keeper.adapters.rpc import RpcChain
from keeper.adapters.rpc_http import RpcEndpoint
from keeper.adapters.rpc_pages import pages
from keeper.adapters.web3_provider import TransportProvider
from keeper.domain.chain import BlockRef, Call, Log, LogFilter, Query
from keeper.domain.ids import Hash, address
from keeper.errors import (
    ChainInconsistent,
    ConfigError,
    RateLimited,
    Reverted,
    RpcError,
    RpcUnavailable,
    TransientError,
    WrongChain,
)
from tests.chain.nodes import SECRET, served, transport
from tests.chain.stage import CHAIN_ID, RECORDED, Stage, Tally, selector
from tests.chain.stage import Log as Events

HASH = "0x" + "ab" * 32
ACCOUNT = address("0x" + "11" * 20)


def says_text(text: str, status: int = 200, **headers: str) -> Callable[..., web.Response]:
    return lambda request, body: web.Response(text=text, status=status, headers=headers)


def other_id(request: web.Request, body: Any) -> web.Response:
    return web.json_response({"jsonrpc": "2.0", "id": body["id"] + 1, "result": "0x1"})


async def never(request: web.Request, body: Any) -> web.Response:
    await asyncio.sleep(30)
    return web.Response()


BLOCK = {"number": "0x5", "hash": HASH, "parentHash": HASH, "timestamp": "0x64", "baseFeePerGas": "0x7"}
UNUSABLE: dict[str, Any] = {
    "another id": other_id,
    "null": {"result": None},
    "html": says_text("<html>please log in</html>"),
    "html with an error status": says_text("<html>bad gateway</html>", 502),
    "nothing": says_text(""),
    "deep": says_text("[" * 100_000 + "]" * 100_000),
    "not a quantity": {"result": "12"},
    "an underscore": {"result": "0x1_0"},
    "neither result nor error": {},
    "a list for one": lambda request, body: web.json_response([{"jsonrpc": "2.0", "id": body["id"], "result": "0x1"}]),
    "true for an id": lambda request, body: web.json_response({"jsonrpc": "2.0", "id": True, "result": "0x1"}),
    "unauthorised": says_text('{"error": "no such project"}', 401),
    "a null block": {"error": {"code": -32000, "message": "header not found"}},
}


@pytest.mark.parametrize("says", UNUSABLE.values(), ids=UNUSABLE.keys())
async def test_answer__unusable__is_unavailable_after_one_request(says: Any) -> None:
    async with served(says) as node, transport(node) as chain:
        with pytest.raises(RpcUnavailable) as raised:
            await chain.head_number()
        assert len(node.requests) == 1
        assert SECRET not in str(raised.value)


async def test_redirect__is_not_followed() -> None:
    async with served({"result": "0x1"}) as other, served(says_text("", 307, Location="/elsewhere")) as node:
        node.says = says_text("", 307, Location=other.url)
        async with transport(node) as chain:
            with pytest.raises(RpcUnavailable, match="redirect"):
                await chain.broadcast(b"\x02secret")
        assert other.requests == []


async def test_rate_limit__retry_after__is_told_and_kept() -> None:
    async with served(says_text("slow down", 429, **{"Retry-After": "7"})) as node, transport(node) as chain:
        with pytest.raises(RateLimited) as raised:
            await chain.head_number()
        assert raised.value.retry_after_s == 7
        with pytest.raises(RateLimited):
            await chain.head_number()
        assert len(node.requests) == 1


async def test_rate_limit__as_a_date__is_read_against_the_answers_own_clock() -> None:
    dates = {"Date": "Sat, 21 Nov 2026 10:00:00 GMT", "Retry-After": "Sat, 21 Nov 2026 10:00:30 GMT"}
    async with served(says_text("", 429, **dates)) as node, transport(node) as chain:
        with pytest.raises(RateLimited) as raised:
            await chain.head_number()
        assert raised.value.retry_after_s == 30


@pytest.mark.parametrize(
    "words", ["²", "soon", "Sat, 21 Nov 99999999999 10:00:00 GMT", "Sat, 21 Nov 2026 10:00:00 +99999999999999"]
)
async def test_rate_limit__with_a_time_that_is_none__is_one_and_the_next_endpoint_is_asked(words: str) -> None:
    limited = says_text("", 429, **{"Date": "Sat, 21 Nov 2026 10:00:00 GMT", "Retry-After": words})
    async with served(limited) as node, served({"result": hex(CHAIN_ID)}) as other:
        async with transport(node) as chain:
            with pytest.raises(RateLimited) as raised:
                await chain.head_number()
            assert raised.value.retry_after_s is None
        async with transport(node, other) as chain:
            assert await chain.head_number() == CHAIN_ID


@pytest.mark.parametrize("words", ["9" * 400, "999999999", "Sat, 21 Nov 9999 10:00:00 GMT"])
async def test_rate_limit__of_years__is_one_of_an_hour_for_who_waits_too(words: str) -> None:
    """Found: a retry would have slept for as long as the header said, which may be for ever."""
    limited = says_text("", 429, **{"Date": "Sat, 21 Nov 2026 10:00:00 GMT", "Retry-After": words})
    async with served(limited) as node, transport(node) as chain:
        with pytest.raises(RateLimited) as raised:
            await chain.head_number()
        assert raised.value.retry_after_s == 3600


async def test_rate_limit__in_the_body__is_one_too() -> None:
    refusal = {"error": {"code": -32005, "message": "daily request count exceeded, request rate limited"}}
    async with served(refusal) as node, transport(node) as chain:
        with pytest.raises(RateLimited):
            await chain.head_number()


@pytest.mark.parametrize("chunked", [False, True])
async def test_reply__too_long__is_refused_without_reading_it_all(chunked: bool) -> None:
    async def flood(request: web.Request, body: Any) -> web.StreamResponse:
        if not chunked:
            return web.Response(body=b"x" * 300_000)
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65_536)
        except ConnectionResetError:
            return response

    async with served(flood) as node, transport(node, max_reply_bytes=200_000) as chain:
        with pytest.raises(RpcUnavailable, match="more than 200000 bytes"):
            await chain.head_number()


async def test_hang__ends_with_the_methods_timeout() -> None:
    async with served(never) as node, transport(node, timeouts_s={"eth_blockNumber": 0.1}) as chain:
        with pytest.raises(RpcUnavailable, match=r"no answer within 0\.1 s"):
            await chain.head_number()


async def test_send__without_an_answer__is_not_repeated() -> None:
    async with served(never) as node, transport(node, timeouts_s={"eth_sendRawTransaction": 0.1}) as chain:
        with pytest.raises(RpcUnavailable):
            await chain.broadcast(b"\x02")
        assert len(node.requests) == 1


async def test_send__a_hash_that_is_none__is_an_unknown_outcome() -> None:
    async with served({"result": "0x07"}) as node, transport(node) as chain:
        with pytest.raises(RpcUnavailable):
            await chain.broadcast(b"\x02")


async def test_wrong_chain__is_found_before_the_first_use() -> None:
    log = Events()
    async with served({"result": "0x1"}, chain_id=1) as node, transport(node, log=log) as chain:
        with pytest.raises(WrongChain, match="serves chain 1"):
            await chain.broadcast(b"\x02")
        assert node.requests == []
        assert [level for level, _, _ in log.events] == ["critical"]


async def test_wrong_chain__found_later__ends_its_use() -> None:
    async with served({"result": "0x5"}) as node, transport(node) as chain:
        assert await chain.head_number() == 5
        node.chain_id = 10
        with pytest.raises(WrongChain):
            await chain.verify()
        with pytest.raises(WrongChain):
            await chain.head_number()


async def test_wrong_chain__of_one_of_two_while_the_other_takes_nothing__is_no_end() -> None:
    """The keeper ended with 78 when its second endpoint was away and the first had come back as another chain's."""
    async with (
        served({"result": "0x1"}, chain_id=1) as wrong,
        served({"error": {"code": -32000, "message": "txpool is full"}}) as right,
        transport(wrong, right) as chain,
    ):
        with pytest.raises(RpcUnavailable, match="serves chain 1"):
            await chain.broadcast(b"\x02")
        with pytest.raises(RpcError, match="pool is full"):
            await chain.broadcast(b"\x02")
        assert wrong.requests == []


async def test_wrong_chain__of_one_of_two__leaves_the_other() -> None:
    async with (
        served({"result": "0x1"}, chain_id=1) as wrong,
        served({"result": "0x5"}) as right,
        transport(wrong, right) as chain,
    ):
        assert await chain.head_number() == 5
        assert wrong.requests == []


async def test_failover__a_read_goes_on_to_the_next_and_stays_there_a_while() -> None:
    async with served(says_text("", 503)) as first, served({"result": "0x5"}) as second:
        async with transport(first, second) as chain:
            assert [await chain.head_number() for _ in range(3)] == [5, 5, 5]
        assert (len(first.requests), len(second.requests)) == (1, 3)


async def test_failover__nobody_answers__names_each() -> None:
    async with (
        served(says_text("", 503)) as first,
        served(says_text("", 500)) as second,
        transport(first, second) as chain,
    ):
        with pytest.raises(RpcUnavailable, match=r"node0 .*503; node1 .*500"):
            await chain.head_number()


async def test_failover__a_refusal_is_an_answer() -> None:
    refusal = {"error": {"code": -32601, "message": "the method does not exist"}}
    async with served(refusal) as first, served({"result": "0x5"}) as second, transport(first, second) as chain:
        with pytest.raises(RpcError) as raised:
            await chain.head_number()
        assert raised.value.code == -32601
        assert second.requests == []


@pytest.mark.parametrize("code", [-32603, -32005, -32000], ids=["internal", "limit", "unnamed"])
async def test_failover__trouble_of_the_nodes_own__goes_on_to_the_next_and_is_told_when_all_have_it(code: int) -> None:
    refusal = {"error": {"code": code, "message": "query returned more than 10000 results"}}
    async with served(refusal) as first, served({"result": "0x5"}) as second, transport(first, second) as chain:
        assert await chain.head_number() == 5
    async with served(refusal) as first, served(refusal) as second, transport(first, second) as chain:
        with pytest.raises(RpcError, match=r"node0 .*10000 results"):
            await chain.head_number()
        assert len(second.requests) == 1


async def test_refused_connection__says_so_without_the_address() -> None:
    url = f"http://user:{SECRET}@127.0.0.1:9/{SECRET}?key={SECRET}"
    async with transport(url) as chain:
        with pytest.raises(RpcUnavailable) as raised:
            await chain.head_number()
    assert SECRET not in f"{raised.value}{raised.value!r}{chain._pool._config!r}"
    assert raised.value.__suppress_context__


async def test_echo__of_our_key_in_a_nodes_words__is_blotted_out() -> None:
    refusal = {"error": {"code": -32000, "message": f"project {SECRET}\x1b[31m is over its quota"}}
    async with served(refusal) as node, transport(node) as chain:
        with pytest.raises(RpcError) as raised:
            await chain.head_number()
    assert str(raised.value) == "node0 eth_blockNumber: project ***?[31m is over its quota"


@pytest.mark.parametrize("url", ["ws://host", "host:8545", "http://", "http://host:port/"])
def test_endpoint__not_an_http_address__is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigError) as raised:
        RpcEndpoint(f"{url}/{SECRET}")
    assert SECRET not in str(raised.value)


def test_endpoint__without_a_name__is_called_by_host_and_port() -> None:
    assert RpcEndpoint(f"https://u:{SECRET}@node.example:8545/{SECRET}").name == "node.example:8545"


async def test_reply__in_time_but_of_another_block__is_inconsistent() -> None:
    async with served({"result": BLOCK}) as node, transport(node) as chain:
        assert (await chain.block(5)) == BlockRef(5, Hash(HASH), Hash(HASH), 100, 7)
        with pytest.raises(ChainInconsistent):
            await chain.block(6)


async def test_logs__outside_of_the_range__are_inconsistent() -> None:
    log = {
        "address": ACCOUNT,
        "topics": [HASH],
        "data": "0x",
        "blockNumber": "0x9",
        "blockHash": HASH,
        "transactionHash": HASH,
        "logIndex": "0x0",
    }
    async with served({"result": [log]}) as node, transport(node) as chain:
        with pytest.raises(ChainInconsistent):
            await chain.logs(LogFilter((ACCOUNT,)), 1, 8)
        assert len(await chain.logs(LogFilter((ACCOUNT,)), 1, 9)) == 1


@pytest.mark.parametrize(
    "error",
    [
        {"code": 3, "message": "execution reverted", "data": "0x08c379a0"},
        {"code": -32000, "message": "execution reverted", "data": {"data": "0x08c379a0"}},
        {"code": -32015, "message": "VM execution error.", "data": "Reverted 0x08c379a0"},
        {"code": -32603, "message": "reverted", "data": {"originalError": {"data": "0x08c379a0"}}},
    ],
)
async def test_revert__wherever_its_data_is(error: dict[str, Any]) -> None:
    async with served({"error": error}) as node, transport(node) as chain:
        with pytest.raises(Reverted) as raised:
            await chain.simulate(Call(ACCOUNT, b""), ACCOUNT, "latest")
        assert raised.value.data == bytes.fromhex("08c379a0")


async def test_batch__answers_in_any_order__are_matched_by_id() -> None:
    def backwards(request: web.Request, body: list[Any]) -> web.Response:
        answers = [{"jsonrpc": "2.0", "id": call["id"], "result": call["params"][0]["data"]} for call in body]
        return web.json_response(answers[::-1])

    query = Query(tuple(Call(ACCOUNT, bytes([number])) for number in range(5)), list)
    async with served(backwards) as node, transport(node) as chain:
        assert await chain.ask(query, "latest") == [bytes([number]) for number in range(5)]
        assert len(node.requests) == 1


@pytest.mark.parametrize("lose", [0, 1])
async def test_batch__an_answer_missing_or_twice__is_unavailable(lose: int) -> None:
    def torn(request: web.Request, body: list[Any]) -> web.Response:
        answers = [{"jsonrpc": "2.0", "id": call["id"], "result": "0x"} for call in body]
        return web.json_response(answers[1:] if lose else [*answers[1:], answers[1]])

    query = Query((Call(ACCOUNT, b""),) * 3, list)
    async with served(torn) as node, transport(node) as chain:
        with pytest.raises(RpcUnavailable):
            await chain.ask(query, "latest")


async def test_batch__refused_as_a_whole__is_a_refusal() -> None:
    refusal = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "batch too large"}}
    query = Query((Call(ACCOUNT, b""),) * 3, list)
    async with served(lambda request, body: web.json_response(refusal)) as node, transport(node) as chain:
        with pytest.raises(RpcError, match="batch too large"):
            await chain.ask(query, "latest")


async def test_requests__are_counted_by_outcome() -> None:
    meter = Tally()
    async with served({"result": "0x5"}) as node, transport(node, meter=meter) as chain:
        await chain.head_number()
        node.says = says_text("", 500)
        with pytest.raises(TransientError):
            await chain.head_number()
    name = "keeper_rpc_requests_total"
    assert meter.total(name, endpoint="node0", method="eth_blockNumber", outcome="ok") == 1
    assert meter.total(name, endpoint="node0", method="eth_blockNumber", outcome="unavailable") == 1


async def test_real_node__every_verb_answers(automine: Stage) -> None:
    async with transport(automine.node.url) as chain:
        head = await chain.head()
        assert await chain.chain_id() == CHAIN_ID
        assert await chain.block(head.number) == head
        assert await chain.block(head.number + 100) is None
        assert await chain.receipt(Hash(HASH)) is None
        assert await chain.balance(automine.signer.address, head) == 10**20
        assert await chain.nonce(automine.signer.address, "pending") == 0
        assert len(await chain.code(automine.counter, head)) > 100
        assert (await chain.fees()).base_fee_wei > 0
        record = Call(automine.counter, selector("record(uint256)") + (1).to_bytes(32, "big"))
        assert await chain.estimate_gas(record, ACCOUNT) > 40_000
        count = Query(
            (Call(automine.counter, selector("count()")),) * 2, lambda words: [int.from_bytes(w) for w in words]
        )
        assert await chain.ask(count, head) == [0, 0]
        with pytest.raises(Reverted):
            await chain.simulate(Call(automine.counter, selector("refuse(uint256)") + bytes(32)), ACCOUNT, head)


async def test_real_node__a_block_that_was_reorganised_away__is_not_read_as_another(automine: Stage) -> None:
    count = Query((Call(automine.counter, selector("count()")),), list)
    async with transport(automine.node.url) as chain:
        await automine.mine()
        head = await chain.head()
        await automine.rpc.call("anvil_reorg", 1, [])
        with pytest.raises(RpcUnavailable):
            await chain.ask(count, head)


async def test_pages__real_logs__cover_every_block_once(automine: Stage) -> None:
    async with transport(automine.node.url) as chain:
        for number in range(1, 8):
            await automine.record_as_other(number)
        where = LogFilter((automine.counter,), (RECORDED,))
        await _until_head(chain, 9)
        last = await chain.head_number()
        found = [page async for page in pages(chain, where, 0, last, span=2)]
        assert [page.first for page in found] == [0, *(page.last + 1 for page in found[:-1])]
        assert found[-1].last == last
        rounds = [int(log.topics[1], 16) for page in found for log in page.logs]
        assert rounds == list(range(1, 8))


class Narrow:
    """A ChainReader's logs() that refuses more than `most` blocks."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.asked: list[int] = []

    async def logs(self, where: LogFilter, first: int, last: int) -> tuple[Log, ...]:
        self.asked.append(last - first + 1)
        if last - first + 1 > self.most:
            raise RpcError("query returned more than 10000 results", -32005)
        return ()


async def test_pages__refused__halve_and_grow_again() -> None:
    node = Narrow(100)
    found = [page async for page in pages(node, LogFilter((ACCOUNT,)), 1, 2000, span=1000)]  # type: ignore[arg-type]
    assert sum(page.last - page.first + 1 for page in found) == 2000
    assert node.asked[:5] == [1000, 500, 250, 125, 62]
    assert node.asked[5] == 94


async def test_pages__one_block_refused__raises() -> None:
    with pytest.raises(RpcError):
        assert [page async for page in pages(Narrow(0), LogFilter((ACCOUNT,)), 1, 9)] == []  # type: ignore[arg-type]


async def test_web3__on_our_transport__costs_one_request_and_fetches_nothing_else(automine: Stage) -> None:
    from web3 import AsyncWeb3
    from web3.exceptions import ContractLogicError

    meter = Tally()
    async with transport(automine.node.url, meter=meter) as chain:
        w3 = AsyncWeb3(TransportProvider(chain))
        assert w3.provider.global_ccip_read_enabled is False
        assert await w3.is_connected()
        assert await w3.eth.block_number == await chain.head_number()
        to = w3.to_checksum_address(automine.counter)
        with pytest.raises(ContractLogicError):
            await w3.eth.call({"to": to, "data": "0x" + (selector("refuse(uint256)") + bytes(32)).hex()})  # type: ignore[typeddict-item]
    assert meter.total("keeper_rpc_requests_total", method="eth_call") == 1


async def _until_head(chain: RpcChain, number: int) -> None:
    async with asyncio.timeout(5):
        for _ in iter(int, 1):
            if await chain.head_number() >= number:
                return
