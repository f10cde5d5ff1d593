"""What is wanted in one case: funding and liquidation keys once each, and of the prices the newest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Self

from keeper.adapters.encoding.keccak import keccak
from keeper.domain.chain import Call
from keeper.domain.ids import Address, Hash
from keeper.domain.time import Timestamp
from keeper.domain.transaction import Expectation, Intent, Lane, intent_id
from tests.chain.stage import CHAIN_ID, DEPLOYMENT, RECORDED, selector

ACTED = Hash("0x" + keccak(b"Acted(bytes32,uint256)").hex())
ROUND = 1
"""What a Counter of one key records: it refuses it the second time."""
_GAS = 200_000
_LANES = {"funding": Lane.FUNDING, "liquidation": Lane.LIQUIDATION}
_LOGS = {"counter": RECORDED, "probe": ACTED}


@dataclass(frozen=True, slots=True)
class Scene:
    """Told to each process in turn. `keys`: where each is acted on; with `probe` all are one contract."""

    url: str
    direct_url: str
    directory: str
    secret: str
    contract: str
    price: Address
    keys: dict[str, Address]
    prices: int
    price_every_s: float
    price_deadline_s: float | None

    @classmethod
    def read(cls, words: str) -> Self:
        return cls(**json.loads(words))

    def words(self) -> str:
        return json.dumps(asdict(self))

    def acts(self, now: Timestamp) -> Iterator[Intent]:
        for key, target in self.keys.items():
            yield self._intent(_LANES[key.split(":")[0]], key, target, self.word(key), now, None)

    def round(self, number: int, now: Timestamp, deadline: Timestamp | None) -> Intent:
        return self._intent(Lane.PRICE, f"price:{number}", self.price, number.to_bytes(32, "big"), now, deadline)

    def word(self, key: str) -> bytes:
        """The argument of the key's call."""
        return ROUND.to_bytes(32, "big") if self.contract == "counter" else keccak(key.encode())

    def named(self, to: str, data: bytes) -> str:
        """Which key a mined transaction was for."""
        word = data[4:36]
        known = {(target, self.word(key)): key for key, target in self.keys.items()}
        return known.get((Address(to), word), f"price:{int.from_bytes(word, 'big')}")

    def _intent(
        self, lane: Lane, key: str, target: Address, word: bytes, now: Timestamp, deadline: Timestamp | None
    ) -> Intent:
        function = "record(uint256)" if self.contract == "counter" else "act(bytes32)"
        return Intent(
            id=intent_id(CHAIN_ID, target, lane, key),
            deployment=DEPLOYMENT,
            lane=lane,
            key=key,
            call=Call(target, selector(function) + word, 0, _GAS),
            created_at=now,
            deadline=deadline,
            expects=(Expectation(target, _LOGS[self.contract], Hash("0x" + word.hex())),),
        )
