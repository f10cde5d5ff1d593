"""Every board of one running keeper: who writes what, in one place."""

from __future__ import annotations

from dataclasses import dataclass, field

from keeper.domain.ahead import UnderWay
from keeper.domain.chain import BlockRef
from keeper.domain.events import FundingSettled
from keeper.domain.exchange import ChainState
from keeper.domain.heads import Head
from keeper.domain.holdings import Holdings
from keeper.domain.ids import DeploymentId, IndexId, MarketId, SourceId
from keeper.domain.index import IndexPrice, Withheld
from keeper.domain.market import PricedMarket
from keeper.domain.quote import Depth, Quote, Trade
from keeper.domain.scorecard import ScoreState
from keeper.domain.sequencer import Sequencer
from keeper.domain.transaction import Intent, Outcome
from keeper.runtime.board import Board
from keeper.services.funding import FundingStatus
from keeper.services.liquidations import LiquidationStatus
from keeper.services.outbox.outcomes import OutcomeBoard
from keeper.services.publishing import PublishStatus
from keeper.services.quotes import FeedStatus


@dataclass(frozen=True, slots=True)
class DeploymentBoards:
    """What belongs to one deployment alone."""

    settlements: Board[int, FundingSettled] = field(default_factory=Board)
    wake: Board[str, int] = field(default_factory=Board)


@dataclass(frozen=True, slots=True)
class Boards:
    """Writers: quotes, books, trades, feeds: QuoteService · indices, prices, scores: PricingService · heads, blocks: HeadService · announced: HeadStream ·
    states: ChainStateService · holdings: AccountIndexService · slot, underway, pushes: PublishingService · funding: FundingService ·
    liquidations: LiquidationService · outcomes: the outboxes · paused: the admin socket · sequencer: SequencerService.
    """

    quotes: Board[SourceId, Quote] = field(default_factory=Board)
    books: Board[SourceId, Depth] = field(default_factory=Board)
    trades: Board[SourceId, Trade] = field(default_factory=Board)
    feeds: Board[SourceId, FeedStatus] = field(default_factory=Board)
    indices: Board[IndexId, IndexPrice | Withheld] = field(default_factory=Board)
    prices: Board[MarketId, PricedMarket] = field(default_factory=Board)
    scores: Board[IndexId, ScoreState] = field(default_factory=Board)
    heads: Board[str, Head] = field(default_factory=Board)
    blocks: Board[str, BlockRef] = field(default_factory=Board)
    announced: Board[str, int] = field(default_factory=Board)
    states: Board[DeploymentId, ChainState] = field(default_factory=Board)
    holdings: Board[DeploymentId, Holdings] = field(default_factory=Board)
    slot: Board[DeploymentId, Intent] = field(default_factory=Board)
    underway: Board[DeploymentId, UnderWay] = field(default_factory=Board)
    pushes: Board[MarketId, PublishStatus] = field(default_factory=Board)
    funding: Board[MarketId, FundingStatus] = field(default_factory=Board)
    liquidations: Board[DeploymentId, LiquidationStatus] = field(default_factory=Board)
    outcomes: Board[str, Outcome] = field(default_factory=OutcomeBoard)
    paused: Board[MarketId, str] = field(default_factory=Board)
    sequencer: Board[str, Sequencer] = field(default_factory=Board)
