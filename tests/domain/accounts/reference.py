"""The rules once more, as plainly as an executable text can be: the model that the keeper's arithmetic is held against.

It follows docs/reference-protocol.md and shares no code with `keeper`. Verbs change the state or raise `Refused`; every
event is appended to `log` as a tuple. Collateral tokens are left out, as in the contracts.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

E4, E18, E30, E48 = 10**4, 10**18, 10**30, 10**48
FUND = "0x" + "f" * 40
TRADE, WITHDRAW, LIQUIDATE, FUNDING = 1, 2, 4, 8


class Refused(Exception):
    pass


def down(a, b):
    return a // b


def up(a, b):
    return -(-a // b)


def zero(a, b):
    return abs(a) // abs(b) * (1 if (a >= 0) == (b >= 0) else -1)


def between(x, low, high):
    return low if x < low else min(x, high)


@dataclass
class Feed:
    interval: int
    hold: int
    kind: int = 0
    deviation: int = 500
    spread: int = 300
    index: int = 0
    mark: int = 0
    premium: int = 0
    at: int = 0
    round: int = 0
    acc: int = 0
    covered: int = 0
    grid: tuple = (0, 0, 0, 0)
    frozen: bool = False


@dataclass
class Rules:
    tiers: tuple
    im: int = 20_000
    buffer: int = 11_000
    penalty: int = 40
    share: int = 5_000
    lot: int = 10**15
    least: int = 5 * 10**6
    most: int = 10**18
    max_oi: int = 10**36
    maker: int = 1
    taker: int = 4
    band: int = 200
    age: int = 60
    kind: int = 0
    interest: int = 10**14
    clamp: int = 5 * 10**14
    cap: int = 75 * 10**14


@dataclass
class Market:
    rules: Rules
    cum: int = 0
    at: int = 0
    snap: tuple = (0, 0)
    oi: int = 0
    clearing: int = 0


@dataclass
class Holder:
    margin: int = 0
    held: dict = field(default_factory=dict)  # market -> [size, quote, cum]


class Exchange:
    def __init__(self):
        self.feeds, self.markets, self.holders, self.log = {}, {}, {FUND: Holder()}, []
        self.stopped, self.paused, self.fees, self.money = False, 0, 0, 0

    # oracle ---------------------------------------------------------------------------------------------------------
    def push(self, prices, at, millis=0, many=False):
        """prices: (feed, index, mark, reported premium); rule 1 to 7 of a skipped price."""
        for number, index, mark, reported in prices:
            feed, number_of_round = self.feeds[number], at * 1000 + millis
            reason = self._skip(feed, number_of_round, index, mark, reported, many)
            if reason:
                self.log.append(("PriceSkipped", number, number_of_round, reason))
                continue
            grid = at - at % feed.interval
            if not feed.round:
                feed.grid = (grid, 0, 0, 0)
            else:
                if grid > feed.at:
                    feed.grid = (grid, *self._sums(feed, grid), feed.mark)
                feed.acc, feed.covered = self._sums(feed, at)
            feed.index, feed.mark, feed.at, feed.round = index, mark, at, number_of_round
            feed.premium = self._premium(feed, index, mark, reported)
            self.log.append(("PriceUpdated", number, feed.round, at, index, mark, feed.premium, feed.acc, feed.covered))

    def _skip(self, feed, round_id, index, mark, reported, many):
        if not (index and mark):
            return 2
        if feed.frozen:
            return 3
        if round_id <= feed.round:
            return 4
        far = not feed.round or any(
            abs(new - old) * E4 > feed.deviation * old for new, old in ((index, feed.index), (mark, feed.mark))
        )
        if far and not many:
            return 5
        if abs(mark - index) * E4 > feed.spread * index and not many:
            return 6
        return 7 if abs(self._premium(feed, index, mark, reported)) > E18 else 0

    def _premium(self, feed, index, mark, reported):
        return reported if feed.kind else min(E18, zero((mark - index) * E18, index))

    def _sums(self, feed, until):
        seconds = min(until - feed.at, feed.hold)
        return feed.acc + feed.premium * seconds, feed.covered + seconds

    def sums_at(self, number, boundary):
        feed = self.feeds[number]
        if not feed.round:
            return 0, 0, 0
        if feed.at < boundary:
            return (*self._sums(feed, boundary), feed.mark)
        assert feed.grid[0] == boundary
        return feed.grid[1:]

    def live(self, number):
        return not self.stopped and not self.feeds[number].frozen and self.feeds[number].round > 0

    def fresh(self, number, now):
        return self.live(number) and now - self.feeds[number].at <= self.markets[number].rules.age

    def usable(self, number, now):
        return self.fresh(number, now) or (self.live(number) and now - self.feeds[number].at > 3600)

    # funding --------------------------------------------------------------------------------------------------------
    def list(self, number, rules, now):
        interval = self.feeds[number].interval
        market = self.markets[number] = Market(rules, at=now - now % interval)
        market.snap = self.sums_at(number, market.at)[:2]

    def due(self, number, now):
        market, interval = self.markets[number], self.feeds[number].interval
        boundary = now - now % interval
        if boundary <= market.at or self.paused & FUNDING:
            return None
        acc, covered, mark = self.sums_at(number, boundary)
        window, seen, rules = boundary - market.at, covered - market.snap[1], market.rules
        premium = zero(acc - market.snap[0], seen) if 2 * seen >= window else 0
        if rules.kind == 0:
            rate = zero((premium + between(rules.interest - premium, -rules.clamp, rules.clamp)) * interval, 28_800)
        else:
            rate = zero(between(premium, -rules.clamp, rules.clamp) * interval, 86_400) + rules.interest
        rate = between(rate, -rules.cap, rules.cap)
        times = window // interval
        return boundary, times, premium, seen, rate, mark, market.cum + rate * mark * times, acc, covered

    def cum(self, number, now):
        found = self.due(number, now)
        return found[6] if found else self.markets[number].cum

    def accrue(self, number, now, waived=False):
        found = self.due(number, now)
        if not found:
            return False
        market = self.markets[number]
        if waived:
            found = (*found[:4], 0, found[5], market.cum, *found[7:])
        market.at, market.cum, market.snap = found[0], found[6], found[7:]
        self.log.append(("FundingSettled", number, *found))
        return True

    def resume_funding(self, now):
        self.paused &= ~FUNDING
        for number in self.markets:
            self.accrue(number, now, waived=True)

    # accounts -------------------------------------------------------------------------------------------------------
    def holder(self, who):
        return self.holders.setdefault(who, Holder())

    def worth(self, who, now):
        """cash, E, MM, IM, N."""
        holder = self.holders.get(who, Holder())
        cash = equity = holder.margin
        maintenance = initial = total = 0
        for number, (size, quote, cum) in holder.held.items():
            mark, rules = self.feeds[number].mark, self.markets[number].rules
            debt = up(size * (self.cum(number, now) - cum), E48)
            n = up(abs(size) * mark, E30)
            cash, equity = cash - debt, equity - debt + down(size * mark, E30) + quote
            maintenance += up(self.weighted(rules, n), E4)
            initial += up(self.weighted(rules, n) * rules.im, E4 * E4)
            total += n
        return cash, equity, maintenance, initial, total

    @staticmethod
    def weighted(rules, n):
        edges = [floor for floor, _ in rules.tiers[1:]] + [max(n, rules.tiers[-1][0])]
        return sum(
            rate * (min(n, top) - floor) for (floor, rate), top in zip(rules.tiers, edges, strict=True) if n > floor
        )

    def available(self, now):
        cash, equity, *_ = self.worth(FUND, now)
        return max(0, min(cash, equity))

    def credit(self, who, cause, delta):
        if delta:
            self.holder(who).margin += delta
            self.log.append(("MarginChanged", who, cause, delta, self.holders[who].margin))

    def move(self, who, number, cause, delta, cash, fee=0):
        holder, market = self.holder(who), self.markets[number]
        size, quote, cum = holder.held.get(number, (0, 0, market.cum))
        paid = up(size * (market.cum - cum), E48)
        if size == 0 or (size > 0) == (delta > 0):
            after, gained = quote + cash, 0
        elif abs(delta) <= abs(size):
            after = quote - zero(quote * abs(delta), abs(size))
            gained = quote - after + cash
        else:
            first = zero(cash * abs(size), abs(delta))
            after, gained = cash - first, quote + first
        holder.margin += gained - paid - fee
        market.clearing += paid
        market.oi += max(size + delta, 0) - max(size, 0)
        self.fees += fee
        self.log.append(
            (
                "PositionChanged",
                who,
                number,
                cause,
                delta,
                cash,
                paid,
                fee,
                size + delta,
                after,
                market.cum,
                holder.margin,
            )
        )
        holder.held[number] = (size + delta, after, market.cum)
        if size + delta == 0:
            assert after == 0
            del holder.held[number]

    def sweep(self, number):
        market = self.markets[number]
        if market.oi == 0 and market.clearing:
            assert market.clearing > 0
            market.clearing, residue = 0, market.clearing
            self.log.append(("FundingResidue", number, residue))
            self.credit(FUND, 6, residue)

    # verbs ----------------------------------------------------------------------------------------------------------
    def deposit(self, who, amount):
        self.money += amount
        self.credit(who, 1, amount)

    def withdraw(self, who, amount, now):
        cash, equity, _, initial, _ = self.worth(who, now)
        if self.paused & WITHDRAW or any(not self.fresh(m, now) for m in self.holder(who).held):
            raise Refused("stale")
        if self.worth(FUND, now)[1] < 0 or amount > min(cash, equity - initial, self.money):
            raise Refused("not free")
        self.money -= amount
        self.credit(who, 2, -amount)

    def trade(self, maker, taker, number, delta, price, now):
        rules, mark = self.markets[number].rules, self.feeds[number].mark
        if self.paused & TRADE or taker in (maker, FUND) or not delta or delta % rules.lot:
            raise Refused("parties or size")
        kept = self._keep()
        try:
            self.accrue(number, now)
            if not self.fresh(number, now) or abs(price - mark) * E4 > rules.band * mark:
                raise Refused("price")
            cash, n, sides = down(-delta * price, E30), up(abs(delta) * price, E30), []
            for who, change, part, bps in ((taker, delta, cash, rules.taker), (maker, -delta, -cash, rules.maker)):
                size = self.holder(who).held.get(number, (0,))[0]
                reduces = size != 0 and (size > 0) != (change > 0) and abs(change) <= abs(size)
                if not reduces and (who == FUND or n < rules.least or len(self.holders[who].held) >= 8):
                    raise Refused("size")
                self.move(who, number, 1, change, part, 0 if who == FUND else up(n * bps, E4))
                sides.append((who, reduces))
            self._require(number, sides, now)
        except Refused:
            self._back(kept)
            raise
        self.sweep(number)

    def _require(self, number, sides, now):
        rules, mark = self.markets[number].rules, self.feeds[number].mark
        if self.markets[number].oi > rules.max_oi:
            raise Refused("open interest")
        for who, reduces in sides:
            _, equity, maintenance, initial, _ = self.worth(who, now)
            if who == FUND:
                need = 0
            elif any(not self.fresh(m, now) for m in self.holders[who].held):
                raise Refused("stale")
            else:
                need = maintenance if reduces else initial
            size = self.holders[who].held.get(number, (0,))[0]
            if equity < need or (not reduces and up(abs(size) * mark, E30) > rules.most):
                raise Refused("margin")

    def _after(self, who, number, size, now):
        """delta, cash, E1, notional closed, loss."""
        _, equity, _, _, total = self.worth(who, now)
        mark, held = self.feeds[number].mark, self.holders[who].held
        had = held[number][0]
        delta = -size if had > 0 else size
        cash, n = down(-delta * mark, E30), up(size * mark, E30)
        after = equity - down(had * mark, E30) + down((had + delta) * mark, E30) + cash
        if after >= 0:
            loss = 0
        elif size == abs(had) and len(held) == 1:
            loss = -after
        else:
            loss = up(-after * n, total)
        return delta, cash, after, n, loss

    def reason(self, who, number, limit, caller, now):
        """Why not (1 … 6, or 0), and the size."""
        if who in (FUND, caller):
            return 1, 0
        if number not in self.holder(who).held:
            return 2, 0
        if not self.fresh(number, now) or not all(self.usable(m, now) for m in self.holders[who].held):
            return 3, 0
        _, equity, maintenance, _, _ = self.worth(who, now)
        if equity >= maintenance:
            return 4, 0
        rules, mark = self.markets[number].rules, self.feeds[number].mark
        have = size = abs(self.holders[who].held[number][0])
        if 2 * equity >= maintenance:
            n = up(have * mark, E30)
            a = up(rules.buffer * maintenance, E4) - equity
            b = down(rules.buffer * up(self.weighted(rules, n), E4), E4) - up(n * rules.penalty, E4)
            if b > a:
                size = min(have, up(up(have * a, b), rules.lot) * rules.lot)
                if up((have - size) * mark, E30) < rules.least:
                    size = have
        size = min(size, limit - limit % rules.lot)
        if not size:
            return 5, 0
        return (6 if self._after(who, number, size, now)[4] > self.available(now) else 0), size

    def liquidate(self, who, number, limit, caller, now):
        """Reason; the funding stays settled even if it is not 0."""
        if self.paused & LIQUIDATE:
            raise Refused("paused")
        self.accrue(number, now)
        reason, size = self.reason(who, number, limit, caller, now)
        if reason:
            self.log.append(("LiquidationSkipped", who, number, reason))
            return reason
        rules, (_, equity, maintenance, *_) = self.markets[number].rules, self.worth(who, now)
        delta, cash, after, n, loss = self._after(who, number, size, now)
        self.move(who, number, 2, delta, cash)
        self.move(FUND, number, 3, -delta, -cash)
        penalty = reward = 0
        if after >= 0:
            penalty = min(up(n * rules.penalty, E4), after)
            reward = down(penalty * rules.share, E4)
            self.credit(who, 3, -penalty)
            self.credit(caller, 4, reward)
            self.credit(FUND, 3, penalty - reward)
        else:
            self.credit(who, 5, loss)
            self.credit(FUND, 5, -loss)
        mark = self.feeds[number].mark
        self.log.append(("Liquidated", who, number, caller, size, mark, equity, maintenance, penalty, reward, loss))
        self.sweep(number)
        return 0

    def deleverage(self, who, other, number, size, now):
        kept = self._keep()
        try:
            self._deleverage(who, other, number, size, now)
        except Refused:
            self._back(kept)
            raise

    def _deleverage(self, who, other, number, size, now):
        if self.paused & LIQUIDATE or other in (who, FUND):
            raise Refused("parties")
        self.accrue(number, now)
        have, theirs = (self.holder(x).held.get(number, (0,))[0] for x in (who, other))
        if have * theirs >= 0:
            raise Refused("NoPosition")
        if not 0 < size <= min(abs(have), abs(theirs)) or size % self.markets[number].rules.lot:
            raise Refused("size")
        shields = [m for x in (who, other) if x != FUND for m in self.holders[x].held if not self.usable(m, now)]
        if not self.fresh(number, now) or shields:
            raise Refused("Stale")
        delta, cash, after, _, loss = self._after(who, number, size, now)
        if after >= 0:
            raise Refused("NotBankrupt")
        cover = 0 if who == FUND else self.available(now)
        if cover >= loss:
            raise Refused("FundNotEmpty")
        self.move(who, number, 4, delta, cash + loss - cover)
        self.move(other, number, 4, -delta, -cash - loss + cover)
        self.credit(who, 5, cover)
        self.credit(FUND, 5, -cover)
        _, equity, maintenance, *_ = self.worth(other, now)
        if equity < maintenance:
            raise Refused("CounterpartyUnhealthy")
        self.log.append(("Deleveraged", who, other, number, size, self.feeds[number].mark, loss, cover))
        self.sweep(number)

    def _keep(self):
        return copy.deepcopy((self.markets, self.holders, self.fees, self.money)), len(self.log)

    def _back(self, kept):
        (self.markets, self.holders, self.fees, self.money), length = kept
        del self.log[length:]

    def check(self):
        """The books, in every state."""
        quotes = sum(quote for h in self.holders.values() for _, quote, _ in h.held.values())
        margins = sum(h.margin for h in self.holders.values())
        assert self.money == margins + quotes + sum(m.clearing for m in self.markets.values()) + self.fees
        for number, market in self.markets.items():
            held = [h.held[number] for h in self.holders.values() if number in h.held]
            assert sum(size for size, _, _ in held) == 0
            assert market.clearing * E48 + sum(size * (market.cum - cum) for size, _, cum in held) >= 0
