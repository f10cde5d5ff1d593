"""An intent (what is wanted once), a transaction (one nonce of one wallet) and its attempts (one fee level each)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum

from keeper.domain.chain import Call
from keeper.domain.ids import Address, DeploymentId, Hash
from keeper.domain.time import Timestamp


class Lane(IntEnum):
    """What goes first on a shared wallet: nonce order is execution order."""

    SAFETY = 0
    PRICE = 1
    LIQUIDATION = 2
    FUNDING = 3
    HOUSEKEEPING = 4


@dataclass(frozen=True, slots=True)
class Expectation:
    """A log that proves the effect: the address, the event and, where given, its first indexed argument."""

    address: Address
    topic0: Hash
    topic1: Hash | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """Something to do once. The same decision after a restart has the same id.

    `key` of a price is its round, of a funding (market, boundary), of a liquidation (account, market, block and log
    index of the account's last event). Success is a receipt with status 1 that has one of the logs in `expects`.
    """

    id: str
    deployment: DeploymentId
    lane: Lane
    key: str
    call: Call
    created_at: Timestamp
    deadline: Timestamp | None
    expects: tuple[Expectation, ...]


def intent_id(chain_id: int, contract: Address, lane: Lane, key: str) -> str:
    """Stable over restarts: 32 hexadecimal digits of BLAKE2b over what the intent is."""
    words = f"{chain_id}|{contract}|{lane.name}|{key}"
    return hashlib.blake2b(words.encode(), digest_size=16).hexdigest()
