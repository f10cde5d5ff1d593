"""What a scrape says about ages and distances is computed when it is asked."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from keeper.adapters.prometheus import PrometheusMeter
from keeper.app.boards import Boards
from keeper.app.gauges import Gauges
from keeper.domain.chain import BlockRef
from keeper.domain.exchange import ChainState, FeedState, OracleState
from keeper.domain.ids import DeploymentId, Hash, MarketId
from keeper.domain.numbers import E18
from keeper.domain.time import SECOND, Timestamp
from keeper.runtime.mailbox import Mailbox
from keeper.runtime.pulse import Pulse

MAIN, BTC = DeploymentId("main"), MarketId("BTC-USD")
BLOCK = BlockRef(1, Hash("0x" + "0" * 64), Hash("0x" + "0" * 64), 1_000)
FEED = FeedState(1, 3600, 60, 500, 300, 0, False, 100 * E18, 100 * E18, 0, 990, 990_000, 0, 0, 0, 0, 0, 0)
STATE = ChainState(BLOCK, OracleState((), 1, 1, 1, 60, 60, False), {1: FEED}, {}, 0, 0, 0)


class HandClock:
    at = Timestamp(1_000 * SECOND)

    def now(self) -> Timestamp:
        return self.at


def _scraped(gauges: Gauges) -> dict[str, float]:
    gauges.refresh()
    assert isinstance(gauges.meter, PrometheusMeter)
    lines = gauges.meter.exposition().decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line.startswith("keeper_")}


def _gauges(boards: Boards) -> Gauges:
    clock: Any = HandClock()
    pulse, inbox = Pulse(clock), Mailbox[Any]("intents", 4)
    inbox.offer(1)
    pulse.beats["pricing"] = clock.now()
    plan: Any = SimpleNamespace(market=BTC, market_no=1, deployment=MAIN, session=None)
    funds = SimpleNamespace(address="0xaa", reserved_wei=5 * 10**17, runway_s=7200)
    outbox: Any = SimpleNamespace(inbox=inbox, status=lambda: funds)
    return Gauges(PrometheusMeter(), boards, lambda: {BTC: plan}, [outbox], pulse, clock)


def test_gauges__of_a_price_on_chain__tell_its_age_and_distance_now() -> None:
    boards = Boards()
    gauges = _gauges(boards)
    assert not [name for name in _scraped(gauges) if name.startswith("keeper_oracle_price{")]
    boards.states.put(MAIN, STATE)
    marked: Any = SimpleNamespace(marked=SimpleNamespace(mark=SimpleNamespace(price_e18=101 * E18)))
    boards.prices.put(BTC, marked)
    scraped = _scraped(gauges)
    assert scraped['keeper_oracle_price{market="BTC-USD"}'] == 100
    assert scraped['keeper_oracle_age_seconds{market="BTC-USD"}'] == 10
    assert scraped['keeper_oracle_deviation_ratio{market="BTC-USD"}'] == 0.01
    assert scraped['keeper_mailbox_depth{mailbox="intents"}'] == 1
    assert scraped['keeper_service_last_beat_timestamp_seconds{service="pricing"}'] == 1_000


def test_gauges__before_the_first_price__claim_none() -> None:
    boards = Boards()
    boards.states.put(MAIN, replace(STATE, feeds={1: replace(FEED, round_id=0, mark_e18=0)}))
    assert not [name for name in _scraped(_gauges(boards)) if name.startswith("keeper_oracle_")]


def test_gauges__of_a_wallet__tell_what_is_reserved_and_for_how_long_it_lasts() -> None:
    scraped = _scraped(_gauges(Boards()))
    assert scraped['keeper_wallet_reserved_wei{signer="0xaa"}'] == 5e17
    assert scraped['keeper_wallet_runway_seconds{signer="0xaa"}'] == 7200
