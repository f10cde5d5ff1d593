"""Deploying through a node that works a batch in any order, as JSON-RPC allows it to."""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from eth_account.typed_transactions import TypedTransaction
from hexbytes import HexBytes

from keeper.devnet.deploy import DeployParameters, deploy
from keeper.devnet.jsonrpc import JsonRpc
from keeper.devnet.node import AnvilNode
from keeper.domain.ids import address

_PARAMETERS = DeployParameters(signers=(address("0x" + "51" * 20),), quorum=1, super_quorum=1)
_DEPLOYER_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"


async def test_deploy__a_node_that_mines_each_transaction_and_works_batches_backwards__gets_them_in_order() -> None:
    """Anvil that got them out of order lets some lie: 4 of 161 deployments never ended."""
    nonces: list[int] = []
    async with AnvilNode() as node, aiohttp.ClientSession() as session:

        async def backwards(request: web.Request) -> web.Response:
            body = await request.json()
            sent = body if isinstance(body, list) else [body]
            answers = []
            for each in reversed(sent):
                if each["method"] == "eth_sendRawTransaction":
                    nonces.append(TypedTransaction.from_bytes(HexBytes(each["params"][0])).as_dict()["nonce"])
                async with session.post(node.url, json=each) as answer:
                    answers.append(await answer.json())
            return web.json_response(answers if isinstance(body, list) else answers[0])

        app = web.Application()
        app.router.add_post("/", backwards)
        async with TestServer(app) as server, asyncio.timeout(20):
            deployment = await deploy(str(server.make_url("/")), _DEPLOYER_KEY, _PARAMETERS)
        code = await JsonRpc(session, node.url).call("eth_getCode", deployment.exchange, "latest")
    assert len(code) > 2
    assert nonces == list(range(len(nonces)))
