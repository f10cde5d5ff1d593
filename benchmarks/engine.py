"""The price engine: a tick of 500 markets with mark, funding method, guard and gate, and messages from bytes to index.

    python -m benchmarks.engine

The tick is the running keeper's own (`PricingService.tick`, journal and metrics switched off), beside the parts that it
consists of. The path of a message is measured whole and by part, against json, Decimal and statistics.median doing the same
in turns; indices are compared. Times are the thread's own. Goals: 500 indices in 9 ms (`benchmarks.index` has the baseline),
one market's refresh in 5 µs, 300,000 messages a second.
"""

from __future__ import annotations

import gc
import random
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import getcontext
from functools import partial

from benchmarks import whole_path
from benchmarks.figures import machine, verdict
from benchmarks.index import ELSEWHERE_MS, MARKETS, NOW, SOURCES, USDT, snapshot, specs
from benchmarks.perps import CHAIN, MAIN, book_of, plan_of
from benchmarks.quiet import Quiet
from benchmarks.whole_path import Ours, Plain, compare, messages, parsed, plainly_parsed, seconds
from keeper.domain.gate import Open
from keeper.domain.ids import IndexId, MarketId
from keeper.domain.index import IndexPrice, IndexSpec, Withheld, index_price
from keeper.domain.market import MarketFold, MarketPlan, Seen, step
from keeper.domain.pricing import price_component
from keeper.domain.quote import Quotes
from keeper.domain.time import SECOND, Timestamp
from keeper.runtime.board import Board
from keeper.services.pricing import Boards, PricingService

TURNS, ROUNDS, WARM_S, NEW = 15, 3, 4, 100
GOAL_US, GOAL_PER_S = 5.0, 300_000
ELSEWHERE = "cryptofeed 4.3 µs and ccxt.pro 33 µs a ticker, parsing alone; Connect (Go) {ELSEWHERE_MS} ms for 500 × 10"


class Clock:
    def now(self) -> Timestamp:
        return NOW


def service(indices: Sequence[IndexSpec], plans: Sequence[MarketPlan], quotes: Quotes) -> PricingService:
    """As the keeper builds it, its boards filled."""
    boards = Boards(*(Board() for _ in range(7)))
    for source, quote in quotes.items():
        boards.quotes.put(source, quote)
    for plan in plans:
        assert plan.book is not None
        boards.books.put(plan.book, book_of(plan, quotes))
    boards.states.put(MAIN, CHAIN)
    quiet = Quiet()
    return PricingService(tuple(indices), tuple(plans), boards, quiet, Clock(), quiet, quiet, quiet)  # type: ignore[arg-type]


def steps(
    plans: Sequence[MarketPlan],
    folds: dict[MarketId, MarketFold],
    indices: Mapping[IndexId, IndexPrice | Withheld],
    quotes: Quotes,
    boards: Boards,
    now: Timestamp,
) -> None:
    """Guard, mark, funding method, premium and gate of every market."""
    behind: tuple[IndexId, ...] = (USDT,)
    for plan in plans:
        book = boards.books.get(plan.book) if plan.book else None
        seen = Seen(quotes, indices, {}, book, None, CHAIN, False, behind)
        folds[plan.market], _ = step(plan, folds[plan.market], seen, now)


def quietest(work: Callable[[], object], prepare: Callable[[], object] = lambda: None) -> tuple[float, float]:
    """(median, best) seconds of `work`, each time after `prepare`."""
    found = []
    for _ in range(TURNS):
        prepare()
        found.append(seconds(work))
    return statistics.median(found), min(found)


def stirred(daemon: PricingService, dice: random.Random) -> None:
    """As many quotes are new as come in 50 ms at 2,000 a second."""
    quotes = daemon.boards.quotes
    known = quotes.snapshot()
    for source in dice.sample(sorted(known), NEW):
        old = known[source]
        shift = (old.bid_e18 or 0) * dice.randrange(-10, 11) // 10**6
        quotes.put(source, replace(old, bid_e18=(old.bid_e18 or 0) + shift, ask_e18=(old.ask_e18 or 0) + shift))


def show(name: str, timed: tuple[float, float], each: int, what: str) -> None:
    median, best = timed
    print(f"{name:48}{1e3 * median:10.2f}{1e3 * best:9.2f}{1e6 * best / each:11.2f}  {what}")


def ticks(indices: Sequence[IndexSpec], quotes: Quotes) -> float:
    """Prints what a tick costs. Returns the best time of one market's refresh, in seconds."""
    plans = [plan_of(spec, number) for number, spec in enumerate(indices, 1) if spec.id != USDT]
    daemon = service(indices, plans, quotes)
    for second in range(WARM_S + 1):  # until averages count and gates are open; quotes are fresh all the while
        daemon.tick(Timestamp(NOW + second * SECOND))
    now = Timestamp(NOW + WARM_S * SECOND)
    priced = price_component(indices, quotes, {}, now)
    live = [plan for plan in plans if isinstance(priced[plan.spec.id], IndexPrice)]
    unmarked = [plan for plan in live if (it := daemon.boards.prices.get(plan.market)) is None or it.marked is None]
    if daemon.folds.halted or unmarked or len(live) < MARKETS - 2:
        raise SystemExit(
            f"halted {sorted(daemon.folds.halted)[:3]}, without a mark {len(unmarked)}, priced {len(live)}"
        )
    if shut := [plan.market for plan in plans if not isinstance(daemon.boards.prices.get(plan.market).gate, Open)]:  # type: ignore[union-attr]
        raise SystemExit(f"the gates of {len(shut)} are shut")
    folds = dict(daemon.folds.markets)
    _settled()
    print(f"{'ms a tick':48}{'p50':>10}{'best':>9}{'µs each':>11}")
    show(f"{MARKETS} indices", quietest(partial(price_component, indices, quotes, {}, now)), MARKETS, "an index")
    again = partial(price_component, indices, quotes, {}, now, before=priced)
    show("  the same with its votes from before", quietest(again), MARKETS, "an index")
    work = partial(steps, plans, folds, priced, quotes, daemon.boards, now)
    show(f"{len(plans)} × guard, mark, funding, premium, gate", quietest(work), len(plans), "a market")
    stir = partial(stirred, daemon, random.Random(3))
    show(f"the service's tick, {NEW} quotes new", quietest(partial(daemon.tick, now), stir), MARKETS, "a market")
    far, sources = plans[7], plans[7].spec.sources
    moved = partial(daemon.tick, now, {sources[0].source})
    show(
        "its tick for one far move", quietest(_repeated(moved, 20)), 20, "a tick: snapshot of 5,000, index, rate, mark"
    )
    rates = {"USDT": priced[USDT].price_e18} if isinstance(priced[USDT], IndexPrice) else {}  # type: ignore[union-attr]
    one = _repeated(partial(index_price, far.spec, quotes, rates, None, now), 500)
    refresh = quietest(one)
    show("one market's index alone", refresh, 500, "an index")
    return refresh[1] / 500


def _settled() -> None:
    """What stands is no business of the collector's: as the keeper does it at its start."""
    gc.collect()
    gc.freeze()


def _repeated(work: Callable[[], object], times: int) -> Callable[[], None]:
    def repeated() -> None:
        for _ in range(times):
            work()

    return repeated


def path() -> float:
    """Prints what a message costs. Returns messages a second."""
    dice = random.Random(5)
    each = messages(MARKETS, SOURCES, ROUNDS, dice)
    _settled()
    now = Timestamp(max(NOW, _latest(each)) + SECOND // 2)
    whole, plain_whole, parse, plain_parse, board = [], [], [], [], []
    for _ in range(TURNS // 3):
        ours, plain = Ours(), Plain()
        whole.append(seconds(partial(_taken, ours, each, now)))
        plain_whole.append(seconds(partial(_taken, plain, each, now)))
        board.append(seconds(partial(_heard, Ours(), each, now)))
        parse.append(seconds(partial(parsed, each, now)))
        plain_parse.append(seconds(partial(plainly_parsed, each, now)))
    print(f"  equal: {compare(ours, plain)} indices after {len(each)} messages")
    print(f"{'µs a message, best of ' + str(TURNS // 3):48}{'keeper':>10}{'plain':>9}{'ratio':>9}")
    for name, own, other in (
        ("bytes → quote", parse, plain_parse),
        ("bytes → quote → board", board, []),
        ("bytes → quote → board → its index at once", whole, plain_whole),
    ):
        against = f"{1e6 * min(other) / len(each):9.2f}{min(other) / min(own):8.1f}x" if other else ""
        print(f"{name:48}{1e6 * min(own) / len(each):10.2f}{against}")
    print(f"to the board, where the ticks find them: {len(each) / min(board):.0f} messages a second of a core")
    return len(each) / min(whole)


def _heard(ours: Ours, each: Sequence[whole_path.Message], now: Timestamp) -> None:
    for message in each:
        ours.hear(message, now)


def _taken(side: Ours | Plain, each: Sequence[whole_path.Message], now: Timestamp) -> None:
    for message in each:
        side.take(message, now)


def _latest(each: Sequence[whole_path.Message]) -> Timestamp:
    """Venues of these dialects state the time of the frame: the keeper's clock stands right behind it."""
    stamps = [o.observed_at or Timestamp(0) for m in each[-50:] for o in m.line.step(m.frame, NOW)]
    return max(stamps)


def main() -> int:
    getcontext().prec = 60
    indices = specs()
    quotes = snapshot(indices, random.Random(11), faulty=False)
    print(f"{MARKETS} markets × {SOURCES} sources, screened; mark median3, funding hyperliquid; {machine()}")
    refresh_us, per_s = 1e6 * ticks(indices, quotes), path()
    print(f"elsewhere: {ELSEWHERE.format(ELSEWHERE_MS=ELSEWHERE_MS)}")
    print(verdict(refresh_us <= GOAL_US, f"<= {GOAL_US:.0f} µs one refresh", f"best {refresh_us:.1f} µs"))
    print(verdict(per_s >= GOAL_PER_S, f">= {GOAL_PER_S} messages/s", f"best {per_s:.0f} a core"))
    return 0 if refresh_us <= GOAL_US and per_s >= GOAL_PER_S else 1


if __name__ == "__main__":
    sys.exit(main())
