"""The contracts that the modelled keeper calls, and intents for them. The calldata: a kind, the intent's id, a number."""

from __future__ import annotations

from enum import Enum

from keeper.domain.chain import Call
from keeper.domain.ids import Address, DeploymentId, Hash
from keeper.domain.time import Timestamp
from keeper.domain.transaction import Expectation, Intent, Lane, intent_id
from keeper.ports.protocol import Revert

CHAIN_ID = 31337
CONTRACT = Address("0x" + "c0" * 20)
STRANGER = Address("0x" + "5a" * 20)
"""Where somebody else with our key sends to."""
DONE = Hash("0x" + "d0" * 32)
DEPLOYMENT = DeploymentId("model")
GAS = 60_000


class Kind(Enum):
    RECORD = b"\x01"
    """Counts how often it was called, without asking whether it was before."""
    ONCE = b"\x02"
    """Reverts when somebody was quicker."""
    REVERT = b"\x03"
    ROUND = b"\x05"
    """A price: reverts when a newer one is there."""
    SILENT = b"\x04"
    """Succeeds and does nothing."""


ALREADY_DONE = b"already done"


def intent(
    kind: Kind, lane: Lane, number: int, now: Timestamp, deadline: Timestamp | None = None, gas: int | None = GAS
) -> Intent:
    key = f"{kind.name}:{number}"
    own = intent_id(CHAIN_ID, CONTRACT, lane, key)
    return Intent(
        id=own,
        deployment=DEPLOYMENT,
        lane=lane,
        key=key,
        call=Call(CONTRACT, kind.value + bytes.fromhex(own) + number.to_bytes(4, "big"), 0, gas),
        created_at=now,
        deadline=deadline,
        expects=(Expectation(CONTRACT, DONE, topic(own)),),
    )


def topic(intent: str) -> Hash:
    return Hash("0x" + intent.rjust(64, "0"))


def meant(data: bytes) -> str:
    """The id of the intent that this calldata carries; empty for an empty transfer."""
    return data[1:17].hex()


def round_of(data: bytes) -> int:
    return int.from_bytes(data[17:], "big")


def kind_of(data: bytes) -> Kind:
    return Kind(data[:1])


def explain(_intent: Intent, data: bytes) -> Revert:
    return Revert("AlreadyDone" if data == ALREADY_DONE else "Refused", "", data == ALREADY_DONE)
