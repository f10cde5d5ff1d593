"""What the chain itself says: its id, the contracts, who may sign, the rules that a market file restates."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from keeper.adapters.clock import SystemClock
from keeper.adapters.prometheus import PrometheusMeter
from keeper.adapters.protocols import PROTOCOLS
from keeper.adapters.rpc import RpcChain
from keeper.adapters.rpc_dialogue import Ended
from keeper.adapters.rpc_http import RpcEndpoint
from keeper.adapters.rpc_stream import StreamEndpoint, greet
from keeper.app.check_onchain import check_onchain
from keeper.app.endpoints import rpc_endpoints, stream_endpoints
from keeper.app.exitcodes import NO_PERMISSION
from keeper.app.findings import Finding, fail, failed_by, misconfigured, ok, warn
from keeper.app.quiet import Quiet
from keeper.domain.chain import BlockRef
from keeper.domain.exchange import ChainState, FeedState, MarketParameters
from keeper.domain.feed import PREMIUM_DERIVED, PREMIUM_REPORTED
from keeper.domain.ids import Address, DeploymentId
from keeper.domain.numbers import decimal_of, text_of
from keeper.domain.rates.fold import RatePlan
from keeper.domain.rates.reach import contradictions
from keeper.domain.time import to_seconds
from keeper.errors import KeeperError, Reverted
from keeper.ports.protocol import PerpProtocol
from keeper.settings.market import AssertSettings, MarketSettings
from keeper.settings.models import Settings, sender_place
from keeper.settings.options import build
from keeper.settings.specs import rate_plan

_OLD_HEAD_S = 60
_DELEGATED = bytes.fromhex("ef0100")
"""How the code of an account begins that has delegated itself: https://eips.ethereum.org/EIPS/eip-7702"""


async def check_chain(settings: Settings, addresses: Mapping[str, str], environ: Mapping[str, str]) -> list[Finding]:
    """`addresses` of the signers by their place in keeper.yaml."""
    try:
        endpoints, streams = rpc_endpoints(settings, environ), stream_endpoints(settings, environ)
    except KeeperError:
        return []  # check_files has said so
    findings = [await _endpoint(settings, endpoint) for endpoint in endpoints]
    if all(finding.status == "fail" for finding in findings):
        return findings
    findings += [await _stream(settings, endpoint) for endpoint in streams]
    async with _chain(settings, *endpoints) as chain:
        try:
            head = await chain.head()
            findings += await _senders(settings, chain, addresses, head)
            for name in settings.deployments:
                findings += await _Deployment(settings, name, chain, head).findings(addresses)
            findings += await check_onchain(settings, chain, head)
        except KeeperError as error:
            findings.append(failed_by("chain", "reads", error))
    return findings


def _chain(settings: Settings, *endpoints: RpcEndpoint) -> RpcChain:
    return RpcChain(endpoints, settings.chain.id, meter=PrometheusMeter(), log=Quiet())


async def _endpoint(settings: Settings, endpoint: RpcEndpoint) -> Finding:
    subject = f"rpc {endpoint.name}"
    try:
        async with _chain(settings, endpoint) as chain:
            head = await chain.head()
    except KeeperError as error:
        return failed_by(subject, "chain id", error)
    age_s = to_seconds(SystemClock().now()) - head.timestamp_s
    detail = f"chain {settings.chain.id}, block {head.number}, {age_s} s old"
    return warn(subject, "chain id", detail) if age_s > _OLD_HEAD_S else ok(subject, "chain id", detail)


async def _senders(settings: Settings, chain: RpcChain, addresses: Mapping[str, str], head: BlockRef) -> list[Finding]:
    places = [sender_place(name) for name in settings.signers.senders]
    found = [await _sender(chain, place, Address(addresses[place]), head) for place in places if place in addresses]
    return [finding for findings in found for finding in findings]


async def _stream(settings: Settings, endpoint: StreamEndpoint) -> Finding:
    """Heads are polled without it, so only another chain is a fault."""
    subject = f"stream {endpoint.name}"
    try:
        await greet(endpoint, settings.chain.id)
    except Ended as ended:
        if ended.reason == "wrong_chain":
            return misconfigured(subject, "heads", f"it serves chain {ended.detail}, not {settings.chain.id}")
        return warn(subject, "heads", " ".join(filter(None, (ended.reason, ended.detail))))
    return ok(subject, "heads", "subscribed")


async def _sender(chain: RpcChain, place: str, wallet: Address, head: BlockRef) -> list[Finding]:
    """What pays for gas, and nothing that would act or pay in the wallet's name."""
    balance, code = await chain.balance(wallet, head), await chain.code(wallet, head)
    paid = ok(place, "balance", f"{decimal_of(balance).normalize():f} coins")
    if not balance:
        paid = fail(place, "balance", f"{wallet} has nothing to pay gas with")
    if code.startswith(_DELEGATED):
        to = code.removeprefix(_DELEGATED).hex()
        why = f"{wallet} is delegated to 0x{to} (EIP-7702): pools take one transaction of it at a time"
        return [paid, fail(place, "delegation", f"{why}; give the keeper a key of its own")]
    return [paid, fail(place, "delegation", f"{wallet} is a contract") if code else ok(place, "delegation", "none")]


@dataclass(frozen=True, slots=True)
class _Deployment:
    settings: Settings
    name: str
    chain: RpcChain
    head: BlockRef

    async def findings(self, addresses: Mapping[str, str]) -> list[Finding]:
        protocol = self._protocol()
        found = [await self._code(option, address) for option, address in _contracts(protocol)]
        if any(finding.status == "fail" for finding in found):
            return found
        markets = self.settings.markets_of(DeploymentId(self.name))
        known: dict[str, ChainState] = {}
        for market in markets.values():
            state = await self._state(protocol, market)
            if isinstance(state, Finding):
                found.append(state)
            else:
                known[market.market] = state
        if known:
            found += self._oracle(next(iter(known.values())), addresses)
        for name, state in known.items():
            found += market_findings(self.settings.market(name), state)
        return found

    def _protocol(self) -> PerpProtocol:
        chosen = self.settings.deployments[self.name]
        where = f"deployments.{self.name}"
        return build(PROTOCOLS, chosen.protocol, chosen.options, where, chain_id=self.settings.chain.id)

    async def _code(self, option: str, address: Address) -> Finding:
        subject = f"deployments.{self.name}.{option}"
        code = await self.chain.code(address, self.head)
        if code:
            return ok(subject, "code", f"{len(code)} bytes at {address}")
        return misconfigured(subject, "code", f"no contract at {address} on chain {self.settings.chain.id}")

    async def _state(self, protocol: PerpProtocol, market: MarketSettings) -> ChainState | Finding:
        number = market.market_no or 0
        try:
            state = await self.chain.ask(protocol.state(self.head, [number]), self.head)
        except Reverted as error:
            what = protocol.explain_revert(error.data)
            return misconfigured(market.market, "market_no", f"{self.name} has no market {number}: {what.name}")
        if number not in state.markets or number not in state.feeds:
            return misconfigured(market.market, "market_no", f"{self.name} has no market {number}")
        return state

    def _oracle(self, state: ChainState, addresses: Mapping[str, str]) -> Iterator[Finding]:
        subject, oracle = f"deployments.{self.name}", state.oracle
        ours = [address for place, address in addresses.items() if place.startswith("signers.reports")]
        for address in ours:
            if address in oracle.signers:
                yield ok(subject, "signer", f"{address} may sign")
            else:
                yield fail(subject, "signer", f"{address} is not one of the oracle's signers", NO_PERMISSION)
        if ours and len(ours) < oracle.quorum:
            yield warn(
                subject, "quorum", f"{len(ours)} keys here, {oracle.quorum} signatures needed: others must co-sign"
            )
        if self.settings.report.ttl_s > oracle.max_validity_s:
            limit = f"the oracle allows {oracle.max_validity_s} s"
            yield misconfigured(subject, "report.ttl_s", f"{self.settings.report.ttl_s} s, but {limit}")
        if oracle.paused:
            yield warn(subject, "paused", "the oracle is paused: nothing can be published")


def _contracts(protocol: PerpProtocol) -> Iterator[tuple[str, Address]]:
    """Those options of a protocol that are addresses."""
    hints = typing.get_type_hints(type(protocol))
    for found in fields(protocol):  # type: ignore[arg-type]  # registries hold dataclasses
        if hints[found.name] is Address:
            yield found.name, getattr(protocol, found.name)


def market_findings(market: MarketSettings, state: ChainState) -> Iterator[Finding]:
    """One market's file against the chain's rules."""
    number = market.market_no or 0
    feed, rules = state.feeds[number], state.markets[number].parameters
    yield ok(market.market, "market_no", f"market {number}, last price at {feed.observed_at_s or 'never'}")
    if feed.frozen:
        yield warn(market.market, "frozen", "the feed is frozen: its prices are skipped")
    if market.publish and market.publish.heartbeat_s >= rules.max_price_age_s:
        stale = f"prices count as stale on chain after {rules.max_price_age_s} s"
        yield warn(market.market, "publish.heartbeat_s", f"{market.publish.heartbeat_s:g} s, but {stale}")
    wanted = PREMIUM_REPORTED if market.funding and market.funding.premium == "impact" else PREMIUM_DERIVED
    if market.funding and feed.premium_kind != wanted:
        kind = "the batch's premium" if feed.premium_kind == PREMIUM_REPORTED else "mark against index"
        yield misconfigured(market.market, "funding.premium", f"{market.funding.premium}, but the chain takes {kind}")
    if market.funding is None and market.book is None and feed.premium_kind == PREMIUM_REPORTED:
        yield warn(
            market.market, "funding.premium", "the chain takes the batch's premium; without `book` it is always 0"
        )
    if (plan := rate_plan(market)) is not None:
        yield from _funding_method(market.market, plan, feed, rules, state.at.timestamp_s)
    if market.asserts:
        yield from _asserted(market.market, market.asserts, {**_plain(feed), **_plain(rules)})


def _funding_method(
    subject: str, plan: RatePlan, feed: FeedState, rules: MarketParameters, now_s: int
) -> Iterator[Finding]:
    """What is charged is the chain's; a method that says otherwise only shows another number."""
    found = list(contradictions(plan.versions.at(plan.next_boundary(now_s)), rules, feed))
    if not found:
        yield ok(subject, "funding.method", f"the chain charges by {plan.name}")
    for said in found:
        yield warn(subject, "funding.method", f"{said}; the chain's is charged, the method's only shown")


def _plain(noun: Any) -> dict[str, Any]:
    return {found.name: getattr(noun, found.name) for found in fields(noun)}


def _asserted(subject: str, asserts: AssertSettings, chain: Mapping[str, Any]) -> Iterator[Finding]:
    for name, field in type(asserts).model_fields.items():
        said = getattr(asserts, name)
        if said is None:
            continue
        if name == "tiers":
            said = tuple((tier.floor_units, tier.mmr_bps) for tier in said)
            is_ = tuple((tier.floor_units, tier.mmr_bps) for tier in chain["tiers"])
        else:
            is_ = chain[name]
        check = f"assert.{field.alias or name}"
        if said == is_:
            yield ok(subject, check)
        else:
            yield misconfigured(subject, check, f"the file says {_shown(name, said)}, the chain {_shown(name, is_)}")


def _shown(name: str, value: Any) -> str:
    return text_of(value) if name.endswith("_e18") else str(value)
