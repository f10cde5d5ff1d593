"""A chain without EIP-1559: one gas price, raised by the same rule, mined all the same."""

from __future__ import annotations

from keeper.adapters.rpc import RpcChain
from keeper.adapters.rpc_http import RpcEndpoint
from keeper.domain.chain import FeeMarket
from keeper.domain.transaction import IntentState
from tests.chain.proxy import proxied
from tests.chain.stage import CHAIN_ID, Log, Stage, Tally


async def test_legacy__stuck__is_replaced_by_a_higher_gas_price_and_mined_once(manual: Stage) -> None:
    async with proxied(manual.node.url, strict=False) as proxy:
        keeper = await manual.keeper(url=proxy.url, legacy_fees=True)
        intent = manual.intent(1)
        await keeper.inbox.put(intent)
        await keeper.until(lambda: len(proxy.sent) == 1)
        await manual.mine_without_us()
        await manual.mine_without_us()
        await keeper.until(lambda: len(proxy.sent) >= 2)
        assert all(not raw.startswith("0x02") for raw in proxy.sent)
        (pooled,) = await manual.pooled()
        assert (pooled["type"], pooled["nonce"]) == ("0x0", "0x0")
        await manual.rpc.call("evm_setBlockGasLimit", hex(30_000_000))
        await manual.mine()
        await keeper.outcome(intent, IntentState.CONFIRMED)
        assert await manual.count() == 1


async def test_fees__legacy__are_the_gas_price(automine: Stage) -> None:
    endpoint = RpcEndpoint(automine.node.url, "node")
    async with RpcChain([endpoint], CHAIN_ID, meter=Tally(), log=Log(), legacy_fees=True) as chain:
        asked = int(await automine.rpc.call("eth_gasPrice"), 16)
        assert await chain.fees() == FeeMarket(base_fee_wei=0, tip_wei=asked)
