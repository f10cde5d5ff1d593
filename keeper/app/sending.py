"""From the keys to the outboxes: one for each wallet, and every lane's way to its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keeper.adapters.signers.key_signer import KeySigner
from keeper.adapters.signers.policy import PermittedCalls, SendingRules
from keeper.app.boards import Boards
from keeper.app.halt import Switches
from keeper.app.world import Keys, World
from keeper.domain.fees import FeeRules
from keeper.domain.ids import DeploymentId
from keeper.domain.pauses import paused_for
from keeper.domain.transaction import Intent, Lane
from keeper.ports.deployment import Deployment
from keeper.ports.protocol import Revert
from keeper.runtime.board import Board
from keeper.runtime.mailbox import Mailbox
from keeper.services.outbox.rules import OutboxRules
from keeper.services.outbox.service import Outbox
from keeper.services.outbox.wallet import Wallet
from keeper.settings.models import ChainSettings, Settings

_INBOX = 256


def inboxes_of(keys: Keys) -> Mapping[Lane, Mailbox[Intent]]:
    """Lanes of one wallet share one. Without keys there is one that nobody empties."""
    names = {wallet: f"intents:{signer.address}" for wallet, signer in keys.wallets.items()} or {"none": "intents:none"}
    found: dict[str, Mailbox[Intent]] = {wallet: Mailbox(name, _INBOX) for wallet, name in names.items()}
    return {lane: found[keys.lanes.get(lane, "none")] for lane in Lane}


def outboxes_of(
    settings: Settings,
    keys: Keys,
    world: World,
    boards: Boards,
    deployments: Sequence[Deployment],
    inboxes: Mapping[Lane, Mailbox[Intent]],
    switches: Switches,
) -> tuple[Outbox, ...]:
    """In the order of the settings. Prices are seen by the wallet of their lane alone."""
    by_id = {deployment.id: deployment.protocol for deployment in deployments}
    allowed = frozenset(call for deployment in deployments for call in deployment.protocol.permitted())
    rules = _rules(settings.chain, switches.dry_run)

    def explain(intent: Intent, data: bytes) -> Revert:
        return by_id[intent.deployment].explain_revert(data)

    def barred(intent: Intent) -> str:
        return paused_for(intent.lane, boards.states.get(intent.deployment))

    def outbox(role: str, signer: KeySigner) -> Outbox:
        lanes = keys.lanes_of(role)
        wallet = Wallet(
            name=signer.address,
            role=role,
            lanes=lanes,
            chain_id=settings.chain.id,
            chain=world.chain,
            signer=PermittedCalls(signer, SendingRules(allowed, settings.chain.max_fee_wei)),
            ledger=world.journal.ledger,
            explain=explain,
            clock=world.clock,
            log=world.log,
            meter=world.meter,
            halted=switches.halt.reason,
            barred=barred,
            rules=rules,
            outcomes=boards.outcomes,
        )
        prices: Board[DeploymentId, Intent] = boards.slot if Lane.PRICE in lanes else Board()
        return Outbox(wallet, prices, inboxes[min(lanes)], boards.heads, world.pulse)

    return tuple(outbox(role, signer) for role, signer in keys.wallets.items() if keys.lanes_of(role))


def _rules(chain: ChainSettings, dry_run: bool) -> OutboxRules:
    bumps = {lane: min(chain.bump_blocks, blocks) for lane, blocks in OutboxRules().bump_blocks.items()}
    return OutboxRules(
        fees=FeeRules(bump_percent=chain.bump_percent, ceiling_wei=chain.max_fee_wei),
        bump_blocks={**bumps, Lane.HOUSEKEEPING: 10},
        confirmations=chain.confirmations,
        finality_blocks=chain.finality_blocks,
        orphan_after_blocks=chain.orphan_after_blocks,
        orphan_after_s=chain.orphan_after_s,
        legacy_fees=chain.legacy_fees,
        dry_run=dry_run,
    )
