"""`keeper check` reads each contract once and says what it found."""

from __future__ import annotations

from pathlib import Path

from keeper.app.check_onchain import check_onchain
from keeper.app.registries import REGISTRIES
from keeper.settings.load import load
from tests.onchain.stage import Stage
from tests.onchain.test_chainlink import HIGH, LOW, feed_of, proxied
from tests.onchain.test_pyth import FEED, told
from tests.settings.examples import GLOBAL, written


async def test_check__of_contracts_and_sequencer__says_what_each_holds(stage: Stage, tmp_path: Path) -> None:
    good, clipped, uptime = await feed_of(stage), await feed_of(stage), await feed_of(stage, 0, 0, 1)
    await good.answer(7 * LOW)
    await clipped.answer(HIGH)
    await uptime.answer(0)
    pyth = await told(stage, 42, 0, 0)
    link, high = await proxied(stage, good), await proxied(stage, clipped)
    text = f"""\
onchain:
  GOOD: {{kind: chainlink, address: "{link.at}", heartbeat_s: 3600}}
  HIGH: {{kind: chainlink, address: "{high.at}", heartbeat_s: 3600}}
  MISS: {{kind: pyth, address: "{pyth.at}", feed: "0x{"ab" * 32}"}}
  PYTH: {{kind: pyth, address: "{pyth.at}", feed: "{FEED}"}}
  VOID: {{kind: uniswap_v3, address: "0x{"cd" * 20}", base: "0x{"cd" * 20}", min_liquidity: 1}}
""" + GLOBAL.replace("{id: 31337,", f'{{id: 31337, sequencer_feed: "{uptime.aggregator.at}",')
    settings = load(written(tmp_path, keeper=text), REGISTRIES, {})
    found = await check_onchain(settings, stage.chain, await stage.chain.head())
    shown = {finding.subject: (finding.check, finding.status, finding.detail) for finding in found}
    assert shown["onchain.GOOD"][:2] == ("chainlink", "ok")
    assert shown["onchain.GOOD"][2].startswith("0.07, ")
    assert shown["onchain.HIGH"][:2] == ("chainlink", "warn")
    assert "the aggregator's own limit" in shown["onchain.HIGH"][2]
    assert shown["onchain.MISS"] == ("pyth", "fail", "no feed 0xabababab… there")
    assert shown["onchain.PYTH"][:2] == ("pyth", "ok")
    assert shown["onchain.VOID"][:2] == ("uniswap_v3", "fail")
    assert "no contract at that address" in shown["onchain.VOID"][2]
    assert shown["chain"][:2] == ("sequencer_feed", "fail")
    assert shown["chain"][2].startswith("grace: up for ")
