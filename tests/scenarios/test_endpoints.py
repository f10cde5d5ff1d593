"""Endpoints that lag, hang, ask for patience or say what nobody has ever said."""

from __future__ import annotations

import random
import string

import pytest

from keeper.devnet.simulator.catalogue import error, hang, http_status, lying_receipt, null, rate_limited
from keeper.domain.transaction import IntentState, Lane
from keeper.domain.txerrors import SendAnswer, classify
from tests.chain.stage import DEPLOYMENT
from tests.domain.transactions.test_txerrors import SAYINGS
from tests.scenarios.stage import RECEIPT, SEND, Scene

CONFIRMED = IntentState.CONFIRMED
QUICK = {"timeout_s": 0.3}


async def test_t19__receipt_null_from_a_lagging_endpoint__the_others_are_asked(scene: Scene) -> None:
    """The preferred endpoint has lost its index for good: far longer than a nonce may be without a receipt."""
    scene.sim.endpoints[0].faults.add(null(), methods={RECEIPT})
    keeper = await scene.keeper(orphan_after_blocks=3)
    intent = scene.wallet.intent(1)
    await keeper.inbox.put(intent)
    await keeper.pooled()
    await scene.mine(keeper)
    await scene.pass_by(keeper, count=5)
    await keeper.outcome(intent, CONFIRMED)
    assert not scene.wallet.log.named("wallet.used_elsewhere")
    assert await scene.is_settled(effects=1, nonces=1)


async def test_t19__receipt_null_from_all_of_them_for_a_while__is_no_evidence(scene: Scene) -> None:
    scene.everywhere(null(), {RECEIPT})
    keeper = await scene.keeper(orphan_after_blocks=6)
    intent = scene.wallet.intent(1)
    await keeper.inbox.put(intent)
    await keeper.pooled()
    await scene.mine(keeper)
    await scene.pass_by(keeper, count=5)
    assert keeper.tx().missing_since is not None
    assert len(set(scene.sent())) == 1, "no other nonce"
    scene.heal()
    await scene.pass_by(keeper)
    await keeper.outcome(intent, CONFIRMED)
    assert keeper.tx().missing_since is None
    assert not scene.wallet.log.named("wallet.used_elsewhere")


async def test_t19__receipt_without_its_logs_from_the_preferred_endpoint__the_others_are_believed(scene: Scene) -> None:
    """A receipt that leaves out the proof of the effect would have the intent done a second time."""
    scene.sim.endpoints[0].faults.add(lying_receipt({"logs": []}))
    keeper = await scene.keeper()
    intent = scene.wallet.intent(1)
    await keeper.inbox.put(intent)
    await keeper.pooled()
    await scene.mine(keeper)
    await scene.pass_by(keeper, count=5)
    assert (await keeper.outcome(intent, CONFIRMED, IntentState.NO_EFFECT)).state is CONFIRMED
    assert await scene.is_settled(effects=1, nonces=1)


async def test_t19__receipt_of_a_form_that_was_not_mined__the_one_that_was_is_looked_for_all_the_same(
    scene: Scene,
) -> None:
    """One endpoint makes up receipts of all forms, in a block that is not there; a third form is mined."""
    keeper = await scene.keeper(orphan_after_blocks=3)
    intent = scene.wallet.intent(1)
    await keeper.inbox.put(intent)
    await keeper.pooled()
    while len(keeper.attempts()) < 3:
        await scene.pass_by(keeper)
    scene.sim.endpoints[1].faults.add(lying_receipt({"blockHash": "0x" + "be" * 32}, invented=True))
    await scene.mine(keeper)
    await scene.pass_by(keeper, count=6)
    await keeper.outcome(intent, CONFIRMED)
    assert not scene.wallet.log.named("wallet.used_elsewhere")
    assert await scene.is_settled(effects=1, nonces=1)


@pytest.mark.parametrize("word", ["failure", "nothing logged"])
async def test_t19__endpoints_that_contradict_each_other_about_a_receipt__are_waited_for_and_told(
    scene: Scene, word: str
) -> None:
    scene.sim.endpoints[0].faults.add(lying_receipt({"status": "0x0"} if word == "failure" else {"logs": []}))
    scene.sim.endpoints[2].faults.add(null(), methods={RECEIPT})
    keeper = await scene.keeper(orphan_after_blocks=3)
    intent, log = scene.wallet.intent(1), scene.wallet.log
    await keeper.inbox.put(intent)
    await keeper.pooled()
    await scene.mine(keeper)
    await scene.pass_by(keeper, count=8)
    assert [each["nonce"] for each in log.named("tx.disputed")] == [0], "once"
    assert [each["nonce"] for each in log.named("tx.undecided")] == [0], "once, when it lasts"
    assert len(set(scene.sent())) == 1, "no other nonce"
    scene.heal()
    await scene.pass_by(keeper)
    await keeper.outcome(intent, CONFIRMED)
    assert not log.named("wallet.used_elsewhere")
    assert await scene.is_settled(effects=1, nonces=1)


async def test_t19__a_price_whose_receipt_is_contradicted__keeps_no_newer_price_waiting(scene: Scene) -> None:
    scene.sim.endpoints[0].faults.add(lying_receipt({"logs": []}))
    scene.sim.endpoints[2].faults.add(null(), methods={RECEIPT})
    keeper, log = await scene.keeper(orphan_after_blocks=3), scene.wallet.log
    prices = [scene.wallet.intent(number, Lane.PRICE) for number in (1, 2)]
    for count, price in enumerate(prices, 1):
        keeper.prices.put(DEPLOYMENT, price)
        await keeper.until(lambda count=count: len(set(scene.sent())) == count)
        await scene.mine(keeper)
        await scene.pass_by(keeper, count=2)
    assert [each["nonce"] for each in log.named("tx.disputed")] == [0, 1]
    assert await scene.wallet.mined_nonce() == 2
    scene.heal()
    await scene.pass_by(keeper)
    for price in prices:
        await keeper.outcome(price, CONFIRMED)
    assert await scene.is_settled(effects=2, nonces=2)


async def test_t20__the_preferred_endpoint_hangs__the_others_answer_within_the_timeout(scene: Scene) -> None:
    keeper = await scene.keeper(transport=QUICK)
    await scene.mine(keeper)
    hung = scene.sim.endpoints[0].faults.add(hang())
    intent = scene.wallet.intent(1)
    started = keeper.wallet.clock.now()
    await keeper.inbox.put(intent)
    await keeper.pooled()
    await scene.mine(keeper)
    await keeper.outcome(intent, CONFIRMED)
    assert hung.strikes > 0
    assert keeper.wallet.clock.now() - started < 5 * 10**9
    assert await scene.is_settled(effects=1, nonces=1)


async def test_t20__all_of_them_hang__told_and_gone_on_with_afterwards(scene: Scene) -> None:
    keeper = await scene.keeper(transport=QUICK)
    await scene.mine(keeper)
    held = scene.everywhere(hang())
    intent, log = scene.wallet.intent(1), scene.wallet.log
    await keeper.until(lambda: bool(log.named("chain.unreachable")))
    await keeper.inbox.put(intent)
    await keeper.until(lambda: all(each.strikes for each in held))
    scene.heal()
    await keeper.until(lambda: bool(log.named("chain.reachable")))
    await scene.mine(keeper)
    await scene.mine(keeper)
    await keeper.outcome(intent, CONFIRMED, within_s=20)
    assert await scene.is_settled(effects=1, nonces=1)


async def test_t21__endpoints_that_ask_for_silence_get_it__and_nothing_is_lost(scene: Scene) -> None:
    keeper = await scene.keeper()
    await scene.mine(keeper)
    strict, flapping, good = scene.sim.endpoints
    told = strict.faults.add(rate_limited(1), times=1)
    draw = random.Random(21)
    intents = [scene.wallet.intent(number) for number in range(1, 9)]
    for intent in intents:
        flapping.faults.add(http_status(draw.choice((429, 500, 502, 503))), times=draw.randint(1, 2))
        await keeper.inbox.put(intent)
        await keeper.until(lambda intent=intent: keeper.wallet.desk.is_active(intent.id))
        await scene.mine(keeper)
    await scene.mine(keeper)
    await keeper.until(lambda: told.strikes == 1)
    for intent in intents:
        await keeper.outcome(intent, CONFIRMED)
    (limited,) = [
        each for each in scene.sim.record.seen if "rate_limited" in each.faults and each.endpoint == strict.name
    ]
    later = [each.at_s - limited.at_s for each in scene.sim.record.seen if each.endpoint == strict.name]
    under_way = 0.2  # what was sent before the answer had come
    assert not [gap for gap in later if under_way < gap < 1.0], "Retry-After is kept, also by transactions"
    assert scene.sim.record.of(SEND, good.name)
    assert await scene.is_settled(effects=8, nonces=8)


@pytest.mark.parametrize(("words", "answer"), SAYINGS.items())
def test_t34__every_word_of_the_table__has_its_class(words: str, answer: SendAnswer) -> None:
    assert classify(words) is answer


def test_t34__any_other_words__are_unknown_and_never_free_a_nonce() -> None:
    draw = random.Random(34)
    for _ in range(5000):
        words = "".join(draw.choices(string.printable, k=draw.randint(0, 60)))
        assert classify(words) in SendAnswer
    for words in ("unknown transaction type 3", "unknown error", "method handler crashed", "upstream unavailable"):
        assert classify(words) is SendAnswer.UNKNOWN, words


async def test_t34__words_that_nobody_knows__are_counted_and_do_not_stop_it(scene: Scene) -> None:
    scene.everywhere(error(-32000, "flux capacitor out of range"), {SEND}, times=1)
    keeper = await scene.keeper()
    price = scene.wallet.intent(1, Lane.PRICE)
    keeper.prices.put(DEPLOYMENT, price)
    await keeper.pooled()
    assert scene.wallet.meter.total("keeper_tx_attempts_total", answer="unknown", purpose="price") == 1
    assert "flux capacitor" in scene.wallet.log.named("tx.refused")[0]["error"], "and told word for word"
    await scene.mine(keeper)
    await keeper.outcome(price, CONFIRMED)
    assert await scene.is_settled(effects=1, nonces=1)
