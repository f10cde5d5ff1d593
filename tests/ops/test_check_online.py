"""`keeper check` against a real chain and venues that speak their own REST dialects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest
from eth_account import Account

from keeper.adapters.clock import SystemClock
from keeper.app.check import check
from keeper.app.check_chain import market_findings
from keeper.app.findings import Finding
from keeper.app.registries import REGISTRIES
from keeper.devnet.deploy import BTC_USD, Deployment, DeployParameters, deploy
from keeper.devnet.jsonrpc import JsonRpc
from keeper.devnet.market import HiddenMarket
from keeper.devnet.node import AnvilNode
from keeper.devnet.venues import DEVNET_VENUES
from keeper.devnet.venues.perp import PerpServer
from keeper.domain.feed import PREMIUM_DERIVED, PREMIUM_REPORTED
from keeper.domain.ids import address
from keeper.settings.load import load
from tests.services.markets import chain_state
from tests.settings.examples import MARKET as EXAMPLE
from tests.settings.examples import written

REPORT, OTHER, SENDER = "11" * 32, "33" * 32, "22" * 32
DEPLOYER = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
VENUES = ("binance", "binance_perp", "coinbase", "kraken", "bitstamp")

MARKET = """\
market: BTC-USD
deployment: main
market_no: 1
sources:
  - {kind: binance, symbol: BTCUSDT, quote: USDT}
  - {kind: coinbase, symbol: BTC-USD}
  - {kind: kraken, symbol: BTC/USD}
  - {kind: bitstamp, symbol: btcusd}
conversions: {USDT: USDT-USD}
index: {method: median, min_sources: 3}
book: {kind: perp, symbol: BTC-USD}
mark: {method: index}
funding: {premium: derived}
publish: {heartbeat_s: 30}
assert: {penalty_bps: 40, cap: "0.0075", interval_s: 3600, tiers: [{floor_units: 0, mmr_bps: 50}, {floor_units: 50000000000, mmr_bps: 100}, {floor_units: 250000000000, mmr_bps: 250}, {floor_units: 1000000000000, mmr_bps: 500}]}
"""
PERPS = "{method: hyperliquid, references: [{kind: binance_perp, symbol: XBTUSDT, quote: USDT}]}"
INDEX = """\
market: USDT-USD
sources: [{kind: kraken, symbol: USDT/USD}, {kind: coinbase, symbol: USDT-USD}, {kind: bitstamp, symbol: usdtusd}]
index: {method: median}
"""


@dataclass
class Stage:
    """A chain with the protocol, and venues. What `findings` checks is right but for the one mistake asked for."""

    node: AnvilNode
    deployment: Deployment
    venues: dict[str, dict[str, str]]
    directory: Path

    def keeper_yaml(self) -> str:
        d = self.deployment
        venues = "\n".join(
            f"  {name}: {{{', '.join(f'{key}: {url!r}' for key, url in options.items())}}}"
            for name, options in self.venues.items()
        )
        return (
            f'chain: {{id: 31337, rpc: ["{self.node.url}"]}}\n'
            f'deployments: {{main: {{protocol: reference, oracle: "{d.oracle}", exchange: "{d.exchange}", lens: "{d.lens}"}}}}\n'
            "signers: {reports: [{kind: key_file, file: report.key}], sender: {kind: key_file, file: sender.key}}\n"
            f"venues:\n{venues}\nmarkets: ['*-USD.yaml']\n"
        )

    async def findings(self, broken: str = "", old: str = "", new: str = "") -> list[Finding]:
        texts = {"keeper.yaml": self.keeper_yaml(), "BTC-USD.yaml": MARKET, "USDT-USD.yaml": INDEX}
        texts |= {"report.key": REPORT, "sender.key": SENDER}
        if broken:
            assert old in texts[broken]
            texts[broken] = texts[broken].replace(old, new, 1)
        for name, text in texts.items():
            (self.directory / name).write_text(text)
            (self.directory / name).chmod(0o600)
        settings = load(self.directory / "keeper.yaml", REGISTRIES, {})
        return await asyncio.to_thread(check, settings, offline=False, environ={})


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    market = HiddenMarket(SystemClock())
    signers = tuple(sorted(address(Account.from_key(key).address) for key in (REPORT, OTHER)))
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(AnvilNode())
        parameters = DeployParameters(signers=signers, quorum=2, super_quorum=2, markets=(BTC_USD,))
        deployment = await deploy(node.url, DEPLOYER, parameters)
        async with aiohttp.ClientSession() as session:
            rich = [address(Account.from_key(SENDER).address), hex(10**18)]
            await JsonRpc(session, node.url).call("anvil_setBalance", *rich)
        venues = {}
        for name in VENUES:
            server = await stack.enter_async_context(DEVNET_VENUES[name](market))
            venues[name] = server.options()
        book = await stack.enter_async_context(PerpServer(SystemClock(), ("BTC-USD",)))
        await book.publish_book("BTC-USD", [(Decimal("64000.5"), Decimal(1))], [(Decimal(64001), Decimal(2))])
        venues["perp"] = book.options()
        yield Stage(node, deployment, venues, tmp_path)


def rows(findings: list[Finding], status: str) -> list[tuple[str, str, int]]:
    return [(found.subject, found.check, found.code) for found in findings if found.status == status]


async def test_check__of_what_is_right__finds_nothing_but_the_missing_co_signer(stage: Stage) -> None:
    found = await stage.findings()
    assert rows(found, "fail") == []
    assert rows(found, "warn") == [("deployments.main", "quorum", 0)]
    prices = [finding for finding in found if finding.check == "kraken:BTC/USD"]
    assert prices[0].detail.startswith("6")


async def test_check__of_each_mistake__names_it_and_its_exit_code(stage: Stage) -> None:
    """One stage for all: a chain and four venues are not restarted for each."""
    oracle = stage.deployment.oracle
    table = [
        ("keeper.yaml", "id: 31337", "id: 31338", (f"rpc {stage.node.url.removeprefix('http://')}", "chain id", 78)),
        ("keeper.yaml", oracle, "0x" + "77" * 20, ("deployments.main.oracle", "code", 78)),
        ("keeper.yaml", "markets:", "report: {ttl_s: 121}\nmarkets:", ("deployments.main", "report.ttl_s", 78)),
        ("report.key", REPORT, "44" * 32, ("deployments.main", "signer", 77)),
        ("sender.key", SENDER, "55" * 32, ("signers.sender", "balance", 1)),
        ("BTC-USD.yaml", "market_no: 1", "market_no: 2", ("BTC-USD", "market_no", 78)),
        ("BTC-USD.yaml", "symbol: BTC/USD", "symbol: BTCC/USD", ("BTC-USD", "kraken:BTCC/USD", 78)),
        ("BTC-USD.yaml", "symbol: btcusd", 'symbol: btcusd, multiplier: "0.001"', ("BTC-USD", "bitstamp:btcusd", 78)),
        ("BTC-USD.yaml", "{method: index}", PERPS, ("BTC-USD", "binance_perp:XBTUSDT", 78)),
        ("BTC-USD.yaml", "perp, symbol: BTC-USD", "perp, symbol: NO-USD", ("BTC-USD", "perp:NO-USD", 78)),
        ("keeper.yaml", stage.venues["perp"]["url"], "ws://127.0.0.1:9/book", ("BTC-USD", "perp:BTC-USD", 1)),
        ("BTC-USD.yaml", "penalty_bps: 40", "penalty_bps: 41", ("BTC-USD", "assert.penalty_bps", 78)),
        ("BTC-USD.yaml", "mmr_bps: 500", "mmr_bps: 501", ("BTC-USD", "assert.tiers", 78)),
        ("BTC-USD.yaml", '"0.0075"', '"0.0076"', ("BTC-USD", "assert.cap", 78)),
    ]
    for file, old, new, expected in table:
        assert expected in rows(await stage.findings(file, old, new), "fail"), (file, new)


async def test_check__of_a_rule_that_is_another__says_both_as_they_are_written(stage: Stage) -> None:
    found = await stage.findings("BTC-USD.yaml", '"0.0075"', '"0.0076"')
    said = {finding.check: finding.detail for finding in found if finding.status == "fail"}
    assert said == {"assert.cap": "the file says 0.0076, the chain 0.0075"}


async def test_check__of_a_currency_that_is_not_at_par__compares_what_it_is_worth(stage: Stage) -> None:
    """A thousandth of a dollar is written as a currency of its own: the market is right, though its figures differ."""
    mills = INDEX.replace("market: USDT-USD", "market: MILL-USD").replace("symbol: ", 'multiplier: "0.001", symbol: ')
    (stage.directory / "MILL-USD.yaml").write_text(mills)
    book = 'symbol: BTC/USD, quote: MILL, multiplier: "1000"}'
    market = MARKET.replace("symbol: BTC/USD}", book).replace(
        "conversions: {", 'conversions: {MILL: {index: MILL-USD, low: "0.0009", high: "0.0011"}, '
    )
    found = await stage.findings("BTC-USD.yaml", MARKET, market)
    assert rows(found, "fail") == []
    wrong = market.replace('multiplier: "1000"', 'multiplier: "1"')
    assert rows(await stage.findings("BTC-USD.yaml", MARKET, wrong), "fail") == [("BTC-USD", "kraken:BTC/USD", 78)]


async def test_check__of_the_own_book__listens_to_it(stage: Stage) -> None:
    found = await stage.findings()
    (book,) = [finding for finding in found if finding.check == "perp:BTC-USD"]
    assert (book.status, book.detail) == ("ok", "its book: 64000.5 bid, 64001 asked")
    found = await stage.findings("keeper.yaml", stage.venues["perp"]["url"], "ws://127.0.0.1:9/book")
    (book,) = [finding for finding in found if finding.check == "perp:BTC-USD"]
    assert book.detail == "the venue did not answer: connection refused at 127.0.0.1:9, the address in venues.perp.url"


async def test_check__of_a_funding_method__warns_where_the_chain_charges_otherwise(stage: Stage) -> None:
    """The devnet's market: kind 0, mark against index, hourly, interest 0.01 %, clamp 0.05 %, cap 0.75 %."""
    plain = "method: interest_clamp, sample: mark, interval_s: 3600, cap: 0.0075"
    same = await stage.findings("BTC-USD.yaml", "premium: derived", f"premium: derived, {plain}")
    assert [finding.status for finding in same if finding.check == "funding.method"] == ["ok"]
    other = await stage.findings("BTC-USD.yaml", "premium: derived", f"premium: derived, {plain}, clamp: 0.0003")
    (warned,) = [finding for finding in other if finding.check == "funding.method"]
    assert (warned.status, warned.code) == ("warn", 0)
    assert "clamp of interest_clamp is 0.0003, the chain's 0.0005" in warned.detail
    never = await stage.findings("BTC-USD.yaml", "premium: derived", "premium: derived, method: deribit")
    assert "cannot charge by deribit" in next(f for f in never if f.check == "funding.method").detail


@pytest.mark.parametrize(("kind", "warned"), [(PREMIUM_REPORTED, ["funding.premium"]), (PREMIUM_DERIVED, [])])
def test_check__of_a_premium_that_nobody_samples__warns_where_the_chain_goes_by_it(
    tmp_path: Path, kind: int, warned: list[str]
) -> None:
    """Without a book each batch reports a premium of 0."""
    silent = "\n".join(line for line in EXAMPLE.splitlines() if not line.startswith("funding:"))
    market = load(written(tmp_path, BTC=silent), REGISTRIES, {}).market("BTC-USD")
    state = chain_state({1: 64_000})
    state = replace(state, feeds={1: replace(state.feeds[1], premium_kind=kind)})
    found = [finding.check for finding in market_findings(market, state) if finding.status == "warn"]
    assert [check for check in found if check == "funding.premium"] == warned


async def test_check__of_a_venue_that_is_away__fails_without_blaming_the_configuration(stage: Stage) -> None:
    url = stage.venues["kraken"]["rest_url"]
    found = await stage.findings("keeper.yaml", url, "http://127.0.0.1:9")
    assert ("BTC-USD", "kraken:BTC/USD", 1) in rows(found, "fail")
    (told,) = [each.detail for each in found if each.check == "kraken:BTC/USD"]
    assert told == "the venue did not answer: REST of BTC/USD: connection refused"


async def test_check__of_a_chain_that_is_away__still_tells_about_the_venues(stage: Stage) -> None:
    found = await stage.findings("keeper.yaml", stage.node.url, "http://127.0.0.1:9")
    assert rows(found, "fail") == [("rpc 127.0.0.1:9", "chain id", 1)]
    assert ("BTC-USD", "coinbase:BTC-USD", 0) in rows(found, "ok")


PUSHER, POOR, SMART = "66" * 32, "77" * 32, "88" * 32
APART = "sender: {kind: key_file, file: sender.key}"
WALLETS = (
    f"{APART}, wallets: {{pusher: {{kind: key_file, file: pusher.key}}, cranker: {{kind: key_file, file: cranker.key}}}}, "
    "lanes: {price: pusher, funding: cranker}"
)


async def test_check__of_several_wallets__looks_at_each(stage: Stage) -> None:
    async with aiohttp.ClientSession() as session:
        rpc = JsonRpc(session, stage.node.url)
        for key in (PUSHER, SMART):
            await rpc.call("anvil_setBalance", Account.from_key(key).address, hex(10**17))
        delegation = "0xef0100" + "42" * 20
        await rpc.call("anvil_setCode", Account.from_key(SMART).address, delegation)
    for name, key in (("pusher.key", PUSHER), ("cranker.key", POOR)):
        (stage.directory / name).write_text(key)
        (stage.directory / name).chmod(0o600)
    found = await stage.findings("keeper.yaml", APART, WALLETS)
    assert rows(found, "fail") == [("signers.wallets.cranker", "balance", 1)]
    told = {(each.subject, each.check): each.detail for each in found if each.subject.startswith("signers.")}
    assert told["signers.wallets.pusher", "balance"] == "0.1 coins"
    assert told["signers.sender", "delegation"] == told["signers.wallets.pusher", "delegation"] == "none"

    (stage.directory / "cranker.key").write_text(SMART)
    found = await stage.findings("keeper.yaml", APART, WALLETS)
    (refused,) = [each for each in found if each.status == "fail"]
    assert (refused.subject, refused.check) == ("signers.wallets.cranker", "delegation")
    assert "is delegated to 0x" + "42" * 20 in refused.detail

    for same, words in ((PUSHER, "its nonces have one owner"), (REPORT, "a report key must hold no funds")):
        (stage.directory / "cranker.key").write_text(same)
        found = await stage.findings("keeper.yaml", APART, WALLETS)
        assert [each for each in found if each.check == "key apart" and each.code == 77 and words in each.detail]


async def test_check__of_streams__tells_which_announce_heads(stage: Stage) -> None:
    good = stage.node.ws_url
    found = await stage.findings("keeper.yaml", "chain: {", f'chain: {{streams: ["{good}", "ws://127.0.0.1:9"], ')
    assert (f"stream {good.removeprefix('ws://')}", "heads", 0) in rows(found, "ok")
    assert ("stream 127.0.0.1:9", "heads", 0) in rows(found, "warn"), "polling goes on without it"
