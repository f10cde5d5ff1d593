"""What an app is made of."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from keeper.adapters.evidence.archive import EvidenceArchive
from keeper.adapters.journal import Journal
from keeper.adapters.rpc import RpcChain
from keeper.adapters.schedule import ApschedulerSchedule
from keeper.adapters.signers.key_signer import KeySigner
from keeper.adapters.websocket import SessionFactory, open_session
from keeper.app.boards import Boards
from keeper.app.halt import Switches
from keeper.app.taping import Taping
from keeper.domain.ids import MarketId
from keeper.domain.market import MarketPlan
from keeper.domain.transaction import Lane
from keeper.ports.clock import Clock
from keeper.ports.deployment import Deployment
from keeper.ports.log import EventLog
from keeper.ports.meter import Meter
from keeper.runtime.pulse import Pulse
from keeper.runtime.supervisor import Service
from keeper.services.outbox.service import Outbox
from keeper.services.quotes import QuoteService
from keeper.settings.models import Settings


@dataclass(frozen=True, slots=True)
class World:
    """What every service is given of the machine that it runs on."""

    clock: Clock
    log: EventLog
    meter: Meter
    pulse: Pulse
    journal: Journal
    chain: RpcChain
    sessions: Callable[[str], SessionFactory] = lambda _venue: open_session
    """By venue: what its feed connects with."""
    taping: Taping | None = None
    draws: Callable[[str], random.Random] = lambda _venue: random.Random()  # noqa: S311  (jitter)
    evidence: EvidenceArchive | None = None


@dataclass(frozen=True, slots=True)
class Keys:
    """`wallets` by name, and which of them each lane sends with: none in a dry run without keys."""

    reports: tuple[KeySigner, ...]
    wallets: Mapping[str, KeySigner] = field(default_factory=dict)
    lanes: Mapping[Lane, str] = field(default_factory=dict)

    def sender(self, lane: Lane) -> KeySigner | None:
        return self.wallets[self.lanes[lane]] if lane in self.lanes else None

    def lanes_of(self, wallet: str) -> frozenset[Lane]:
        return frozenset(lane for lane, owner in self.lanes.items() if owner == wallet)


@dataclass(slots=True)
class App:
    """Everything, built and not yet running. `intake` is stopped first, `core` last."""

    settings: Settings
    world: World
    boards: Boards
    deployments: tuple[Deployment, ...]
    plans: Mapping[MarketId, MarketPlan]
    outboxes: tuple[Outbox, ...]
    schedule: ApschedulerSchedule
    switches: Switches
    intake: dict[str, QuoteService] = field(default_factory=dict)
    core: dict[str, Service] = field(default_factory=dict)
