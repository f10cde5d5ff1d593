"""Every configured price of a contract read once, and the sequencer's uptime feed."""

from __future__ import annotations

from keeper.adapters.onchain import ONCHAIN_SOURCES
from keeper.adapters.onchain.feed import read_all
from keeper.adapters.onchain.sequencer import sequencer_query, uptime_feed
from keeper.adapters.onchain.source import Reading
from keeper.adapters.rpc import RpcChain
from keeper.app.findings import Finding, fail, misconfigured, ok, warn
from keeper.domain.chain import BlockRef
from keeper.domain.ids import source_id
from keeper.errors import DataError, Reverted
from keeper.settings.models import Settings
from keeper.settings.options import build

_OPERATORS_FAULT = frozenset({"unreadable", "base", "refused", "uninitialised", "decimals"})
"""What waiting does not cure."""


async def check_onchain(settings: Settings, chain: RpcChain, head: BlockRef) -> list[Finding]:
    """Raises what the node raises."""
    sources = {
        source_id(chosen.kind, name): build(ONCHAIN_SOURCES, chosen.kind, chosen.options, f"onchain.{name}")
        for name, chosen in settings.onchain.items()
    }
    found = []
    for source, outcome in (await read_all(chain, sources, {}, head, head)).items():
        subject = f"onchain.{source.partition(':')[2]}"
        if isinstance(outcome, Reading):
            found.append(ok(subject, source.partition(":")[0], outcome.detail))
        elif outcome.reason in _OPERATORS_FAULT:
            found.append(misconfigured(subject, source.partition(":")[0], outcome.detail))
        else:
            found.append(warn(subject, source.partition(":")[0], f"{outcome.reason}: {outcome.detail}"))
    return [*found, *await _sequencer(settings, chain, head)]


async def _sequencer(settings: Settings, chain: RpcChain, head: BlockRef) -> list[Finding]:
    feed = settings.chain.sequencer_feed
    if feed is None:
        return []
    query = sequencer_query(uptime_feed(feed), head, round(settings.chain.sequencer_grace_s))
    try:
        word = await chain.ask(query, head)
    except (Reverted, DataError) as error:
        return [misconfigured("chain", "sequencer_feed", f"no uptime feed there: {error}")]
    if word.trusted:
        return [ok("chain", "sequencer_feed", word.detail)]
    return [fail("chain", "sequencer_feed", f"{word.state.value}: {word.detail}")]
