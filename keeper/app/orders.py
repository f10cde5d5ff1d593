"""What the admin socket can order: each verb one small function over the running app."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keeper.app.admin import Verb
from keeper.app.intake import feeds, listen, pricing_services
from keeper.app.operator import WORDS
from keeper.app.rates import traced_rate
from keeper.app.registries import REGISTRIES
from keeper.app.sessions import plans_of
from keeper.app.status import StatusPage
from keeper.app.txorders import TxOrders
from keeper.app.world import App
from keeper.domain.ids import MarketId
from keeper.domain.index import IndexPrice
from keeper.domain.market import PricedMarket
from keeper.domain.numbers import text_of
from keeper.domain.time import to_seconds
from keeper.errors import ConfigError
from keeper.runtime.supervisor import Supervisor
from keeper.services.pricing import PricingService
from keeper.settings.load import load
from keeper.settings.models import Settings

_PAUSED = "paused"
_LONGEST_REASON = 200
_SHOWN = ("index", "mark", "withheld", "condition", "onchain", "decision")


@dataclass(slots=True)
class Orders:
    app: App
    page: StatusPage
    supervisor: Supervisor
    reloading: asyncio.Lock = field(default_factory=asyncio.Lock)

    def verbs(self) -> Mapping[str, Verb]:
        return {
            "status": self.status,
            "pause": self.pause,
            "resume": self.resume,
            "reload": self.reload,
            "price": self.price,
            "accounts": self.accounts,
            "halt": self.halt,
            "unhalt": self.unhalt,
            **TxOrders(self.app.outboxes, self.app.switches.causes, self.app.world.clock).verbs(),
        }

    def restore_pauses(self) -> None:
        """A pause outlives a restart: who ordered it has not taken it back."""
        saved = json.loads(self.app.world.journal.snapshots.load(_PAUSED) or "{}")
        for market, reason in saved.items():
            if market in self.app.plans:
                self.app.boards.paused.put(MarketId(market), str(reason))

    async def status(self, _words: Mapping[str, str]) -> Any:
        return self.page.status()

    async def pause(self, words: Mapping[str, str]) -> Any:
        market = self._market(words)
        self.app.boards.paused.put(market, f"paused by the operator at {to_seconds(self.app.world.clock.now())}")
        self._keep_pauses()
        return f"{market} is paused: nothing is published, settled or liquidated for it"

    async def resume(self, words: Mapping[str, str]) -> Any:
        market = self._market(words)
        self.app.boards.paused.drop(market)
        self._keep_pauses()
        halted = self._told("resumed", market)
        if self._told("lifted", market):
            return f"{market} runs again: its halt is lifted, and what is still wrong halts it again"
        if self._told("accepted", market):
            return f"{market} runs again; what its two sources say is believed from now on"
        return f"{market} runs again{' from a fresh start' if halted else ''}"

    def _told(self, word: str, market: MarketId) -> bool:
        """Whether it meant anything to the market's prices; if so, a replay of the tape must hear it too."""
        pricing = [service for service in self.app.core.values() if isinstance(service, PricingService)]
        meant = [service.name for service in pricing if WORDS[word](service, market)]
        if meant and self.app.world.taping is not None:
            self.app.world.taping.ordered(word, market)
        return bool(meant)

    async def halt(self, words: Mapping[str, str]) -> Any:
        self.app.switches.halt.order("the operator", words.get("reason", "")[:_LONGEST_REASON])
        return "nothing is sent from now on, in any market and after a restart too, until `keeper ctl unhalt`"

    async def unhalt(self, _words: Mapping[str, str]) -> Any:
        halt = self.app.switches.halt
        halt.lift()
        left = self.app.switches.causes()
        if "halt_file" in left:
            return f"the order is lifted, and {halt.file} still holds: nothing is sent until that file is deleted"
        return f"not halted any more{'; still: ' + '; '.join(left.values()) if left else ': sending goes on'}"

    async def price(self, words: Mapping[str, str]) -> Any:
        market = self._market(words)
        shown = self.page.status()["markets"][market]
        if words.get("trace") != "yes":
            return {key: shown[key] for key in _SHOWN}
        priced = self.app.boards.prices.get(market)
        return {**shown, "trace": _trace(priced) if priced is not None else None}

    async def accounts(self, words: Mapping[str, str]) -> Any:
        only = words.get("at_risk") == "yes"
        return {deployment.id: self.page.risks(deployment.id, only) for deployment in self.app.deployments}

    async def reload(self, _words: Mapping[str, str]) -> Any:
        """Reads the files again; any fault leaves everything as it is. One after the other: each stops what it replaces."""
        async with self.reloading:
            return await self._reload()

    async def _reload(self) -> str:
        before = self.app.settings
        after = load(before.file, REGISTRIES)
        if fixed := _needs_restart(before, after):
            raise ConfigError(f"a restart is needed for: {', '.join(fixed)}")
        plans = plans_of(after, self.app.world.clock.now())
        if self.app.world.evidence is not None:
            self.app.world.evidence.configured(after.decisive)
        prices = pricing_services(after, self.app.world, self.app.boards, plans)
        intake = feeds(after, self.app.world, self.app.boards)
        self._keep_pauses()  # raises on a full disk, through which no market's memory is handed on
        await self.supervisor.stop_all(keep=lambda key: not key.startswith(("pricing:", "quotes:")))
        self._forget(before, after)
        for key, service in prices.items():
            self.supervisor.start(key, service)
        for feed in intake.values():
            listen(self.supervisor, feed, self.app.world.clock)
        self.app.settings, self.app.plans, self.app.intake = after, plans, intake
        kept = {key: service for key, service in self.app.core.items() if not key.startswith("pricing:")}
        self.app.core = {**kept, **prices}
        self.page.plans, self.page.config_hash = plans, after.hash
        self.app.world.meter.gauge("keeper_config_info", 0, sha256=before.hash)
        self.app.world.meter.gauge("keeper_config_info", 1, sha256=after.hash)
        self.app.world.meter.count("keeper_config_reloads_total", outcome="done")
        self.app.world.log.info("config.reloaded", hash=after.hash)
        return f"reloaded: configuration {after.hash[:12]}"

    def _forget(self, before: Settings, after: Settings) -> None:
        """Quotes of sources that no market wants any more."""
        wanted, had = (
            {source.id for market in settings.markets for source in (*market.sources, *market.references)}
            for settings in (after, before)
        )
        for source in had - wanted:
            self.app.boards.quotes.drop(source)
            self.app.boards.feeds.drop(source)

    def _market(self, words: Mapping[str, str]) -> MarketId:
        market = MarketId(words.get("market", ""))
        if market not in self.app.plans:
            raise ConfigError(f"{market or 'no market'}: the markets are {', '.join(sorted(self.app.plans))}")
        return market

    def _keep_pauses(self) -> None:
        paused = self.app.boards.paused.snapshot()
        self.app.world.journal.snapshots.save(_PAUSED, json.dumps(dict(sorted(paused.items()))))


_RELOADABLE = frozenset({"markets", "venues", "onchain", "log"})


def _needs_restart(before: Settings, after: Settings) -> list[str]:
    """Parts that a running keeper cannot exchange."""
    old, new = before.public(), after.public()
    fixed = [key for key in sorted(old) if key not in _RELOADABLE and old[key] != new[key]]
    fixed += [key for key in ("state_dir", "admin_socket", "signers") if getattr(before, key) != getattr(after, key)]
    numbers = [
        sorted((str(market.id), str(market.deployment), market.market_no) for market in settings.perps)
        for settings in (before, after)
    ]
    return [*dict.fromkeys(fixed), *(["the set of published markets"] if numbers[0] != numbers[1] else [])]


def _trace(priced: PricedMarket) -> dict[str, Any]:
    """How the mark came about, for people."""
    marked = priced.marked
    return {
        "votes": [
            {
                "source": vote.source,
                "stated": text_of(vote.stated_e18),
                "rate": text_of(vote.rate_e18) if vote.rate_e18 is not None else None,
                "price": text_of(vote.price_e18),
                "weight": vote.spec.weight,
                "group": vote.group,
            }
            for vote in priced.index.inputs
        ],
        "refused": [
            {"source": refused.source, "reason": refused.reason.value, "detail": refused.detail}
            for refused in priced.index.rejected
        ],
        "method": priced.plan.spec.method.name,
        "index_flags": [flag.value for flag in priced.index.flags] if isinstance(priced.index, IndexPrice) else [],
        "mark_method": marked.mark.method if marked is not None else None,
        "components": {name: text_of(value) for name, value in marked.mark.components} if marked is not None else {},
        "flags": [flag.value for flag in marked.mark.flags] if marked is not None else [],
        "premium": text_of(marked.entry.premium_e18) if marked is not None else None,
        **({"rate": traced_rate(marked)} if priced.plan.rates is not None else {}),
    }
