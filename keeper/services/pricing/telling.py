"""What a pricing service says of its indices, markets and sources: each change once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from keeper.domain.condition import Cause, Condition
from keeper.domain.ids import IndexId, MarketId, SourceId
from keeper.domain.index import IndexFlag, IndexPrice, Rejected, Withheld
from keeper.domain.market import PricedMarket
from keeper.domain.numbers import text_of
from keeper.domain.scorecard import Record
from keeper.domain.session import Phase
from keeper.domain.time import to_seconds
from keeper.ports.log import EventLog
from keeper.ports.meter import Meter
from keeper.services.pricing.scores import Turn


@dataclass(frozen=True, slots=True)
class Teller:
    """`words`, `flags` and `refused` are what was told last."""

    meter: Meter
    log: EventLog
    words: dict[IndexId, str] = field(default_factory=dict)
    flags: dict[IndexId, tuple[IndexFlag, ...]] = field(default_factory=dict)
    refused: dict[tuple[IndexId, SourceId], str] = field(default_factory=dict)
    """Sources that an index does without, by the reason."""
    phases: dict[MarketId, Phase] = field(default_factory=dict)

    def indices(self, indices: Mapping[IndexId, IndexPrice | Withheld]) -> None:
        """Changes between computed and withheld, and of each refusal's reason. A reference is no vote, and none is refused."""
        for index, priced in indices.items():
            self._index(index, priced)
            if isinstance(priced, IndexPrice):
                self._flags(index, priced.flags)
            for refused in priced.rejected:
                key = (index, refused.source)
                if refused.reason is not Rejected.REFERENCE and self.refused.get(key) != refused.reason.value:
                    self.refused[key] = refused.reason.value
                    self.meter.count(
                        "keeper_quotes_rejected_total", source=refused.source, market=index, reason=refused.reason.value
                    )
                    self.log.info(
                        "quote.rejected", market=index, source=refused.source, reason=refused.reason.value,
                        detail=refused.detail,
                    )  # fmt: skip
            for vote in priced.inputs if self.refused else ():
                if self.refused.pop((index, vote.source), None) is not None:
                    self.log.info("quote.accepted", market=index, source=vote.source)

    def _index(self, index: IndexId, priced: IndexPrice | Withheld) -> None:
        word = priced.reason.value if isinstance(priced, Withheld) else "computed"
        if word == self.words.get(index):
            return
        self.words[index] = word
        if isinstance(priced, Withheld):
            self.meter.count("keeper_index_withheld_total", market=index, reason=word)
            self.log.warning("index.withheld", market=index, reason=word, detail=priced.detail)
        else:
            self.log.info("index.computed", market=index, price=text_of(priced.price_e18), sources=len(priced.inputs))

    def _flags(self, index: IndexId, flags: tuple[IndexFlag, ...]) -> None:
        before = self.flags.get(index, ())
        if flags == before:
            return
        self.flags[index], names = flags, [flag.value for flag in flags]
        if set(flags) ^ set(before) == {IndexFlag.LIMITED}:
            self.log.info("index.limited", market=index, flags=names)
        else:
            self.log.warning("index.flagged", market=index, flags=names)

    def condition(self, priced: PricedMarket) -> bool:
        """A transition, with its causes. Gives whether the market was halted, or is no more."""
        before, after = priced.condition_before.condition, priced.condition.condition
        if before is after:
            return False
        market, causes = priced.plan.market, [cause.value for cause in priced.condition.causes]
        self.meter.gauge("keeper_market_condition", after, market=market)
        if after is Condition.HALT:
            self.log.critical(
                "condition.halted", market=market, before=before.name, causes=causes, advice=_advice(priced)
            )
        elif after is Condition.NORMAL:
            self.log.info("condition.restored", market=market, before=before.name)
        else:
            self.log.warning("condition.changed", market=market, before=before.name, now=after.name, causes=causes)
        return Condition.HALT in (before, after)

    def session(self, priced: PricedMarket) -> None:
        """The underlying's trading hours, and a calendar that is about to end."""
        market, turn, rules = priced.plan.market, priced.session, priced.plan.session
        if turn is None or rules is None or turn.hours.phase is self.phases.get(market):
            return
        phase = self.phases[market] = turn.hours.phase
        self.meter.gauge("keeper_market_open", 1 if phase is Phase.OPEN else 0, market=market)
        if phase is Phase.UNKNOWN:
            self.log.error(
                "session.unknown",
                market=market,
                advice="its calendar has ended and nothing is published: renew the calendars, or write a schedule",
            )
            return
        until_s = None if turn.hours.until is None else to_seconds(turn.hours.until)
        self.log.info("session.changed", market=market, phase=phase.value, until_s=until_s)
        if rules.ending(priced.as_of):
            self.log.warning("session.calendar_ending", market=market, calendar=rules.calendar.name)

    def scores(self, turns: Sequence[Turn]) -> None:
        """Who sits out from now on, who is back, and the record that says so."""
        for spec, before, after in turns:
            for source in sorted(after.benched - before.benched):
                record = after.records[source]
                self.log.warning(
                    "source.quarantined", market=spec.id, source=source, bad_pct=record.bad_pct,
                    apart_bps=record.apart_bps, left=len(spec.sources) - len(after.benched),
                )  # fmt: skip
            for source in sorted(before.benched - after.benched):
                self.log.info("source.readmitted", market=spec.id, source=source)
            for source, record in after.records.items():
                self._record(spec.id, source, before.records.get(source), record)

    def _record(self, index: IndexId, source: SourceId, before: Record | None, after: Record) -> None:
        """Only what can be seen to change: nearly always nothing does, of hundreds of sources each second."""
        if before is None or before.bad_pct != after.bad_pct:
            self.meter.gauge("keeper_source_bad_ratio", after.bad_pct / 100, source=source, market=index)
        if before is None or before.apart_bps != after.apart_bps:
            self.meter.gauge("keeper_source_apart_bps", after.apart_bps, source=source, market=index)
        if before is None or before.benched_at != after.benched_at:
            benched = 0 if after.benched_at is None else 1
            self.meter.gauge("keeper_source_quarantined", benched, source=source, market=index)


def _advice(priced: PricedMarket) -> str:
    causes, market = priced.condition.causes, priced.plan.market
    if Cause.FAR_APART in causes:
        what = "mark and index are further apart than condition.halt_bps: compare both with other screens"
    else:
        what = "there has been no price for condition.halt.after_s: /status shows each source and why it is not used"
    how = f"keeper ctl resume {market}" if priced.plan.condition.manual else "it recovers by itself with good prices"
    return f"{what}; nothing is published or liquidated meanwhile; {how}"
