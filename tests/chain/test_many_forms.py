"""A nonce that was bumped as often as it may be, at a node whose plan allows few requests a second."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from keeper.adapters.clock import SystemClock
from keeper.adapters.rpc import RpcChain
from keeper.adapters.rpc_http import RpcEndpoint
from keeper.domain.chain import Call
from keeper.domain.fees import Fees
from keeper.domain.ids import Address, DeploymentId, Hash
from keeper.domain.time import Timestamp
from keeper.domain.transaction import Attempt, Intent, Lane, Purpose, TxRecord, TxState
from keeper.domain.txerrors import SendAnswer
from keeper.domain.txsteps import sent, signed
from keeper.services.outbox.receipts import Receipts
from keeper.services.outbox.wallet import Wallet
from tests.chain.nodes import served
from tests.chain.stage import CHAIN_ID, Log, Tally
from tests.model.memory_ledger import MemoryLedger
from tests.model.world import SIGNER

FORMS = 40
BLOCK = {"number": "0x5", "hash": "0x" + "aa" * 32, "parentHash": "0x" + "ab" * 32, "timestamp": "0x5"}


def form(number: int) -> Hash:
    return Hash(f"0x{number:064x}")


def bumped() -> TxRecord:
    call = Call(Address("0x" + "c0" * 20), b"", 0, 100_000)
    wanted = Intent("1" * 32, DeploymentId("d"), Lane.FUNDING, "1", call, Timestamp(1), None, ())
    tx = TxRecord(CHAIN_ID, SIGNER.address, 0)
    for number in range(FORMS):
        fees, purpose = Fees(100 + number, 1 + number), Purpose.BUMP if number else Purpose.CALL
        tx = signed(tx, Attempt(form(number), b"%d" % number, purpose, wanted, fees, 100_000, Timestamp(1), 1))
        tx = sent(tx, form(number), SendAnswer.ACCEPTED, Timestamp(1))
    return tx


def mined(winner: Hash) -> Any:
    receipt = {"transactionHash": winner, "status": "0x1", "blockNumber": "0x5", "blockHash": BLOCK["hash"]}
    receipt |= {"gasUsed": "0x5208", "effectiveGasPrice": "0x1", "logs": []}

    def says(_request: web.Request, body: Any) -> web.Response:
        own = body["method"] == "eth_getTransactionReceipt"
        found = (receipt if body["params"][0] == winner else None) if own else BLOCK
        return web.json_response({"jsonrpc": "2.0", "id": body["id"], "result": found})

    return says


@pytest.mark.parametrize("winner", [0, FORMS - 1], ids=["first", "last"])
@pytest.mark.parametrize("endpoints", [1, 2])
async def test_forty_forms__at_ten_requests_a_second__the_mined_one_is_found(winner: int, endpoints: int) -> None:
    log, meter = Log(), Tally()
    async with served(mined(form(winner))) as node:
        some = [RpcEndpoint(node.url, f"node{place}", per_s=10) for place in range(endpoints)]
        async with RpcChain(some, CHAIN_ID, meter=meter, log=log) as chain:
            explain: Any = None  # nothing reverts here
            wallet = Wallet("w", CHAIN_ID, chain, SIGNER, MemoryLedger(), explain, SystemClock(), log, meter)
            wallet.desk.open[0] = bumped()
            await Receipts(wallet).find(1)
    found = wallet.desk.open[0]
    assert found.state is TxState.MINED
    assert found.receipt is not None
    assert found.receipt.tx_hash == form(winner)
