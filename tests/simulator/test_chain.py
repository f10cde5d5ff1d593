"""The mempool before a real chain: what is answered, mined, evicted and taken back, through real sockets."""

from __future__ import annotations

import random

from keeper.devnet.simulator import Fate, PoolRules, SimulatorOptions
from keeper.devnet.simulator.fees import random_walk, scripted
from tests.simulator.bench import GWEI, NOBODY, SEND, Bench
from tests.simulator.conftest import Opener


async def test_transaction__sent_to_one_endpoint__is_pooled_for_all_and_mined_on_request(bench: Bench) -> None:
    sent = await bench.send(bench.alice.raw(0))
    assert (await bench.nonce(bench.alice, "pending", place=1), await bench.nonce(bench.alice)) == (1, 0)
    pooled = await bench.ask("eth_getTransactionByHash", sent, place=1)
    assert (pooled["blockHash"], pooled["from"], pooled["maxFeePerGas"]) == (None, bench.alice.address, hex(100 * GWEI))
    assert await bench.receipt(sent) is None
    mined = await bench.sim.mine()
    assert mined.hashes == (sent,)
    assert int((await bench.receipt(sent, place=1))["status"], 16) == 1
    assert await bench.nonce(bench.alice) == 1
    assert await bench.sizes() == (0, 0)
    assert (await bench.ask("eth_getTransactionByHash", sent))["blockNumber"] == hex(mined.number)


async def test_pooled_transaction__shows_what_anvil_would_show(bench: Bench) -> None:
    """The same fields with the same values, but for where and how much: a client sees no difference."""
    for raw in (
        bench.alice.raw(0, data="0x01", gas=50_000),
        bench.alice.legacy(1, 99 * GWEI),
        bench.alice.listed(2, 98 * GWEI),
    ):
        sent = await bench.send(raw)
        pooled = await bench.ask("eth_getTransactionByHash", sent)
        await bench.sim.mine()
        mined = await bench.ask("eth_getTransactionByHash", sent)
        differ = {"blockHash", "blockNumber", "transactionIndex", "gasPrice", "blockTimestamp"}
        assert {k: v for k, v in pooled.items() if k not in differ} == {
            k: v for k, v in mined.items() if k not in differ
        }


async def test_refusals__over_the_wire__are_those_of_geth(bench: Bench) -> None:
    alice = bench.alice
    raw = alice.raw(0)
    await bench.send(raw)
    assert await bench.refusal(raw, place=1) == "already known"
    assert await bench.refusal(alice.raw(0, 2 * GWEI, 200 * GWEI)) == "replacement transaction underpriced"
    assert await bench.refusal(alice.raw(1, 5, 4)) == "max priority fee per gas higher than max fee per gas"
    assert await bench.refusal(alice.raw(1, gas=20_000)) == "intrinsic gas too low: gas 20000, minimum needed 21000"
    dear = alice.raw(1, GWEI, 10 * GWEI, gas=30_000_001)
    assert await bench.refusal(dear) == "exceeds block gas limit"
    costly = alice.raw(1, GWEI, 100 * GWEI, gas=30_000_001)
    assert await bench.refusal(costly) == "tx fee (3.00 ether) exceeds the configured cap (1.00 ether)"
    wrong = await bench.refusal(alice.raw(1, chainId=5))
    assert wrong == "invalid sender: invalid chain id for signer: have 5 want 31337"
    assert await bench.refusal("0x02") == "typed transaction too short"
    assert (await bench.refusal(alice.raw(1, value=10**20))).startswith(
        "insufficient funds for gas * price + value: balance 1"
    )
    await bench.sim.mine()
    assert await bench.refusal(raw) == "nonce too low: next nonce 1, tx nonce 0"
    assert await bench.refusal(alice.raw(0, 5 * GWEI)) == "nonce too low: next nonce 1, tx nonce 0"


async def test_replacement__by_a_tenth__is_the_one_that_is_mined(bench: Bench) -> None:
    first = await bench.send(bench.alice.raw(0, 2 * GWEI, 100 * GWEI))
    second = await bench.send(bench.alice.raw(0, 2 * GWEI * 11 // 10, 110 * GWEI))
    assert (await bench.sim.mine()).hashes == (second,)
    assert await bench.receipt(first) is None
    assert await bench.ask("eth_getTransactionByHash", first) is None


async def test_base_fee__above_the_cap__leaves_it_stuck_until_it_falls(bench: Bench) -> None:
    sent = await bench.send(bench.alice.raw(0, GWEI, 20 * GWEI))
    await bench.sim.set_base_fee(50 * GWEI)
    assert (await bench.sim.mine()).hashes == ()
    assert await bench.sizes() == (1, 0), "anvil would have thrown it out"
    assert await bench.nonce(bench.alice, "pending") == 1
    late = await bench.send(bench.bob.raw(0, GWEI, 10 * GWEI))
    await bench.sim.set_base_fee(19 * GWEI)
    assert (await bench.sim.mine()).hashes == (sent,)
    await bench.sim.set_base_fee(9 * GWEI)
    assert (await bench.sim.mine()).hashes == (late,)


async def test_block__of_several_senders__is_ordered_by_effective_tip_and_nonce(bench: Bench) -> None:
    await bench.sim.set_base_fee(10 * GWEI)
    slow = await bench.send(bench.alice.raw(0, 1 * GWEI))
    behind = await bench.send(bench.alice.raw(1, 9 * GWEI))
    fast = await bench.send(bench.bob.legacy(0, 15 * GWEI))
    assert (await bench.sim.mine()).hashes == (fast, slow, behind)


async def test_gap__filled__is_mined_at_once(bench: Bench) -> None:
    later = await bench.send(bench.alice.raw(1))
    assert await bench.sizes() == (0, 1)
    assert (await bench.sim.mine()).hashes == ()
    first = await bench.send(bench.alice.raw(0))
    assert await bench.sizes() == (2, 0)
    assert (await bench.sim.mine()).hashes == (first, later)


async def test_drop__of_the_first__frees_its_nonce_and_queues_the_rest(bench: Bench) -> None:
    first, second = [await bench.send(bench.alice.raw(nonce)) for nonce in (0, 1)]
    assert await bench.sim.drop(first)
    assert await bench.nonce(bench.alice, "pending") == 0
    assert await bench.ask("eth_getTransactionByHash", first) is None
    content = await bench.ask("txpool_contentFrom", bench.alice.address)
    assert (content["pending"], list(content["queued"])) == ({}, ["1"])
    assert await bench.send(bench.alice.raw(0)) == first, "the same bytes are welcome again"
    assert (await bench.sim.mine()).hashes == (first, second)


async def test_txpool_content__names_senders_as_geth_does(bench: Bench) -> None:
    sent = await bench.send(bench.alice.raw(0))
    await bench.send(bench.bob.raw(4))
    content = await bench.ask("txpool_content")
    assert content["pending"][bench.alice.account.address]["0"]["hash"] == sent
    assert list(content["queued"][bench.bob.account.address]) == ["4"]


async def test_reorg__of_two_blocks__puts_transactions_back_into_the_pool(bench: Bench) -> None:
    hashes = []
    for nonce in range(2):
        hashes.append(await bench.send(bench.alice.raw(nonce)))
        await bench.sim.mine()
    waiting = await bench.send(bench.alice.raw(2))
    before = await bench.ask("eth_getBlockByNumber", "latest", False)
    await bench.sim.reorg(2)
    after = await bench.ask("eth_getBlockByNumber", "latest", False)
    assert (after["number"], after["transactions"]) == (before["number"], [])
    assert after["hash"] != before["hash"]
    assert [await bench.receipt(each) for each in hashes] == [None, None]
    assert (await bench.nonce(bench.alice), await bench.nonce(bench.alice, "pending")) == (0, 3)
    assert (await bench.sim.mine()).hashes == (*hashes, waiting)


async def test_reorg__with_fates__keeps_one_loses_one_and_pools_one(bench: Bench) -> None:
    kept, pooled, lost = [await bench.send(bench.alice.raw(nonce)) for nonce in range(3)]
    await bench.sim.mine()
    old = (await bench.receipt(kept))["blockHash"]
    await bench.sim.reorg(1, Fate.POOLED, {kept: Fate.MINED, lost: Fate.LOST})
    again = await bench.receipt(kept)
    assert int(again["status"], 16) == 1
    assert again["blockHash"] != old
    assert bench.sim.pool.hashes() == [pooled]
    assert (await bench.sim.mine()).hashes == (pooled,)
    assert await bench.ask("eth_getTransactionByHash", lost) is None


async def test_balance__emptied__drops_what_waited(bench: Bench) -> None:
    await bench.send(bench.alice.raw(0))
    await bench.sim.fund(bench.alice.address, 10)
    assert await bench.sizes() == (0, 0)
    assert (await bench.refusal(bench.alice.raw(0))).startswith(
        "insufficient funds for gas * price + value: balance 10,"
    )


async def test_pool__declared_full__refuses_until_it_is_not(bench: Bench) -> None:
    bench.sim.pool.full = True
    assert await bench.refusal(bench.alice.raw(0)) == "txpool is full"
    bench.sim.pool.full = False
    await bench.send(bench.alice.raw(0))


async def test_block_gas_limit__crowded_out__leaves_the_cheaper_waiting(bench: Bench) -> None:
    await bench.ask("evm_setBlockGasLimit", hex(50_000))
    await bench.sim.refresh()
    cheap = await bench.send(bench.alice.raw(0, 1 * GWEI, gas=30_000))
    rich = await bench.send(bench.bob.raw(0, 5 * GWEI, gas=30_000))
    assert (await bench.sim.mine()).hashes == (rich,)
    assert (await bench.sim.mine()).hashes == (cheap,)


async def test_random_traffic__of_sixty_blocks__mines_just_what_the_pool_chose(opened: Opener) -> None:
    """anvil takes all that the simulated miner hands it, in that order: the two agree about what is valid."""
    chance = random.Random(3)
    options = SimulatorOptions(endpoints=1, walk=random_walk(random.Random(5), 5 * GWEI, 60 * GWEI))
    async with opened(options) as bench:
        for _ in range(60):
            for signer in (bench.alice, bench.bob):
                nonce = await bench.nonce(signer) + chance.randint(0, 3)
                tip = chance.randint(1, 20)
                raw = signer.raw(nonce, tip * GWEI, (tip + chance.randint(0, 60)) * GWEI)
                status, _, _ = await bench.post({"jsonrpc": "2.0", "id": 1, "method": SEND, "params": [raw]})
                assert status == 200
            chosen = tuple(tx.hash for tx in bench.sim.pool.choose())
            mined = await bench.sim.mine()
            assert (mined.hashes, mined.left_out) == (chosen, ())
        assert await bench.nonce(bench.alice) > 10


async def test_base_fee__scripted__is_what_each_block_has(opened: Opener) -> None:
    fees = [7 * GWEI, 70 * GWEI, 30 * GWEI]
    async with opened(SimulatorOptions(endpoints=1, walk=scripted(fees))) as bench:
        await bench.sim.mine(4)
        told = await bench.ask("eth_feeHistory", 3, "latest", [])
        assert [int(each, 16) for each in told["baseFeePerGas"]] == [*fees, fees[-1]]


async def test_interval__halted__mines_no_more_until_it_is_resumed(opened: Opener) -> None:
    async with opened(SimulatorOptions(endpoints=1, block_time_s=0.01)) as bench:
        mined = bench.sim.chain.mined
        async with mined:
            await mined.wait_for(lambda: bench.sim.chain.blocks >= 3)
        bench.sim.halt()
        async with bench.sim.chain.turn:
            before = bench.sim.chain.blocks
        sent = await bench.send(bench.alice.raw(0))
        assert await bench.receipt(sent) is None
        assert bench.sim.chain.blocks == before
        bench.sim.resume()
        async with mined:
            await mined.wait_for(lambda: len(bench.sim.pool) == 0)
        assert await bench.receipt(sent) is not None


async def test_automine__with_anvils_own_methods__serves_code_that_expects_anvil(opened: Opener) -> None:
    """Deployments go through an endpoint as they go to anvil."""
    async with opened(SimulatorOptions(endpoints=1, automine=True)) as bench:
        own = (await bench.ask("eth_accounts"))[0]
        sent = await bench.ask("eth_sendTransaction", {"from": own, "to": NOBODY, "value": "0x1"})
        assert await bench.receipt(sent) is not None
        assert await bench.receipt(await bench.send(bench.alice.raw(0))) is not None
        await bench.ask("evm_setAutomine", False)
        pooled = await bench.send(bench.alice.raw(1))
        await bench.ask("anvil_setNextBlockBaseFeePerGas", hex(200 * GWEI))
        await bench.ask("evm_mine")
        assert await bench.receipt(pooled) is None
        await bench.ask("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
        await bench.ask("anvil_mine", "0x2")
        assert await bench.receipt(pooled) is not None
        await bench.ask("anvil_reorg", 2, [])
        assert bench.sim.pool.hashes() == [pooled]
        await bench.ask("anvil_dropTransaction", pooled)
        assert await bench.sizes() == (0, 0)


async def test_account_limit__of_other_clients__can_be_asked_for(opened: Opener) -> None:
    async with opened(SimulatorOptions(endpoints=1, rules=PoolRules(account_limit=1, min_tip=GWEI))) as bench:
        await bench.send(bench.alice.raw(0))
        assert await bench.refusal(bench.alice.raw(1)) == "account limit exceeded: pooled 1 txs"
        text = "transaction underpriced: gas tip cap 1, minimum needed 1000000000"
        assert await bench.refusal(bench.bob.raw(0, 1)) == text
