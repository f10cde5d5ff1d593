"""The uptime feed of a rollup's sequencer, described."""

from __future__ import annotations

from collections.abc import Sequence

from keeper.adapters.encoding.addresses import checked_address
from keeper.adapters.onchain.chainlink import LATEST_ROUND
from keeper.adapters.onchain.source import ask
from keeper.domain.chain import BlockRef, Query
from keeper.domain.ids import Address
from keeper.domain.sequencer import Sequencer, sequencer_of
from keeper.errors import ConfigError


def uptime_feed(written: str) -> Address:
    """Raises ConfigError for an address with a wrong checksum."""
    try:
        return checked_address(written)
    except ValueError as error:
        raise ConfigError(f"chain.sequencer_feed: {error}") from None


def sequencer_query(feed: Address, at: BlockRef, grace_s: int) -> Query[Sequencer]:
    """Raises Reverted or AbiMismatch where there is no such feed."""

    def decode(answers: Sequence[bytes]) -> Sequencer:
        _round, answer, started_s, _updated_s, _answered = LATEST_ROUND.result(answers[0])
        return sequencer_of(answer, started_s, at.timestamp_s, grace_s)

    return Query((ask(feed, LATEST_ROUND),), decode)
