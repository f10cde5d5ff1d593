"""The live table: what a keeper says of itself on /status, for people. A missing key leaves a blank, never a traceback."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Column, Table
from rich.text import Text

from keeper.app.scrub import scrubbed

Status = Mapping[str, Any]
NONE = "·"
_MOST_DIGITS = 60
"""Before the point or after it: no price or rate has as many."""
_RED, _YELLOW, _GREEN, _DIM = "red", "yellow", "green", "dim"


def render(status: Status, header: Sequence[str] = (), world: Mapping[str, object] | None = None) -> RenderableType:
    """The whole screen. `header` are lines of the demo's own, `world` figures that the keeper does not know."""
    status = scrubbed(status)
    parts: list[RenderableType] = [Text(line, style=_DIM) for line in header]
    parts.append(_headline(status, world or {}))
    if not status:
        parts.append(Text("waiting for the keeper's first words", style=_YELLOW))
        return Group(*parts)
    parts += [_markets(status), _sources(status), _transactions(status)]
    return Group(*parts)


def _at(status: Any, *path: str) -> Any:
    """The value under `path`, or None wherever the way ends."""
    for key in path:
        status = status.get(key) if isinstance(status, Mapping) else None
    return status


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _rows(value: Any) -> list[Mapping[str, Any]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list | tuple) else []


def _shown(value: Any, unit: str = "") -> str:
    return NONE if value is None else f"{value}{unit}"


def price_text(value: Any) -> str:
    """Seven significant digits, at most eight after the point."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return NONE
    if not number.is_finite() or abs(number.adjusted()) > _MOST_DIGITS:
        return NONE
    digits = max(0, min(8, 6 - number.adjusted())) if number else 2
    return f"{number:,.{digits}f}"


def rate_text(value: Any) -> str:
    """A rate as a percentage with six digits."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return NONE
    if not number.is_finite() or abs(number.adjusted()) > _MOST_DIGITS:
        return NONE
    return f"{number * 100:+.6f} %"


def _headline(status: Status, world: Mapping[str, object]) -> RenderableType:
    words = [
        ("keeper ", ""),
        (_shown(_at(status, "version")), "bold"),
        ("  mode ", _DIM),
        (_shown(_at(status, "mode")), ""),
        ("  block ", _DIM),
        (_shown(_at(status, "block", "number")), "bold"),
    ]
    for name, value in world.items():
        words += [(f"  {name} ", _DIM), (str(value), "")]
    return Panel(Text.assemble(*words), padding=(0, 1))


def _markets(status: Status) -> RenderableType:
    """A column a market: it fits a narrow terminal."""
    markets = _columns(status)
    table = Table("", *map(_headed, markets), box=box.SIMPLE, padding=(0, 1), expand=True)
    closing = any(_at(market, "session") for market in markets.values())
    for label, cell in _ROWS if closing else [row for row in _ROWS if row[0] != "session"]:
        table.add_row(Text(label, style=_DIM), *(_words(cell(market)) for market in markets.values()))
    return table


def _columns(status: Status) -> Mapping[str, Status]:
    """The markets, then the indices that only convert for them."""
    markets = {str(name): _mapping(market) for name, market in _mapping(_at(status, "markets")).items()}
    indices = {str(name): _mapping(index) for name, index in _mapping(_at(status, "indices")).items()}
    converting = {
        name: {**index, "index": index.get("price")} for name, index in indices.items() if name not in markets
    }
    return {**markets, **converting}


def _index(market: Status) -> Text:
    reason = _at(market, "withheld", "reason")
    return Text(f"withheld: {reason}", style=_RED) if reason else Text(price_text(_at(market, "index")))


def _on_chain(market: Status) -> str:
    if not _at(market, "onchain"):
        return NONE
    price, age = price_text(_at(market, "onchain", "mark")), _shown(_at(market, "onchain", "age_s"), " s")
    return f"{price}  {age} old, off by {_shown(_at(market, 'onchain', 'deviation_bps'), ' bps')}"


def _decision(market: Status) -> str:
    words = (_at(market, "decision", "kind"), _at(market, "decision", "reason"))
    return " ".join(str(word) for word in words if word) or NONE


def _funding(market: Status) -> str:
    if not _at(market, "funding"):
        return NONE
    due = _shown(_at(market, "funding", "in_s"), " s")
    predicted, last = (rate_text(_at(market, "funding", key)) for key in ("predicted_rate", "last_rate"))
    return f"in {due} at {predicted}, last {last}"


def _accounts(market: Status) -> Text:
    if "accounts" not in market:
        return Text(NONE)
    return Text.assemble(
        _shown(_at(market, "accounts")),
        ", ",
        _count(_at(market, "at_risk"), "at risk", _YELLOW),
        ", ",
        _count(_at(market, "liquidatable"), "liquidatable", _RED),
    )


def _state(state: Any, reason: Any) -> Text:
    if state is None:
        return Text(NONE)
    calm = str(state) in ("open", "pass", "ok", "normal", "closed")
    words = str(state) if calm or not reason else f"{state}: {reason}"
    return Text(words, style=_GREEN if calm else _YELLOW)


def _condition(condition: Mapping[str, Any]) -> Text:
    state = condition.get("state")
    if state is None:
        return Text(NONE)
    named = condition.get("causes")
    causes = ", ".join(map(str, named)) if isinstance(named, list | tuple) else ""
    style = {"NORMAL": _GREEN, "DEGRADED": _YELLOW}.get(str(state), _RED)
    return Text(f"{state}: {causes}" if causes else str(state), style=style)


def _gate(gate: Mapping[str, Any]) -> Text:
    if gate.get("open") is None:
        return Text(NONE)
    if gate["open"]:
        return Text("open", style=_GREEN)
    return Text(f"shut: {gate.get('reason') or 'no reason given'}", style=_YELLOW)


def _count(value: Any, noun: str, style: str) -> Text:
    return Text(f"{_shown(value)} {noun}", style=style if value else "")


def _counted(counts: Mapping[str, Any]) -> str:
    return " ".join(f"{name} {number}" for name, number in sorted(counts.items())) or NONE


_FAR_S = 10**11


def _session(session: Mapping[str, Any]) -> str:
    """Of a market that closes: its calendar, the phase and the next change."""
    if not session:
        return NONE
    until_s = session.get("until_s")
    until = (
        f" until {datetime.fromtimestamp(until_s, UTC):%a %H:%M} UTC"
        if isinstance(until_s, int) and 0 < until_s < _FAR_S
        else ""
    )
    return f"{session.get('calendar')} {session.get('phase')}{until}"


def _headed(name: str) -> Column:
    return Column(Text(name))


def _words(cell: Text | str) -> Text:
    """As they stand: what others say may look like markup."""
    return cell if isinstance(cell, Text) else Text(cell)


_ROWS: tuple[tuple[str, Callable[[Status], Text | str]], ...] = (
    ("index", _index),
    ("mark", lambda market: price_text(_at(market, "mark"))),
    ("on chain", _on_chain),
    ("decision", _decision),
    ("condition", lambda market: _condition(_mapping(_at(market, "condition")))),
    ("guard", lambda market: _state(_at(market, "guard", "state"), _at(market, "guard", "reason"))),
    ("gate", lambda market: _gate(_mapping(_at(market, "gate")))),
    ("session", lambda market: _session(_mapping(_at(market, "session")))),
    ("funding", _funding),
    ("accounts", _accounts),
    ("pushes", lambda market: _counted(_mapping(_at(market, "pushes")))),
)


def _sources(status: Status) -> RenderableType:
    """A line a venue, a column a market: the price it states, or why it is refused."""
    markets = {name: _rows(_at(column, "sources")) for name, column in _columns(status).items()}
    feeds: dict[str, list[Mapping[str, Any]]] = {}
    for feed in _rows(_at(status, "feeds")):
        feeds.setdefault(str(feed.get("venue")), []).append(feed)
    venues = sorted({_venue(source) for sources in markets.values() for source in sources} | set(feeds))
    table = Table("venue", "feed", *map(_headed, markets), box=box.SIMPLE, padding=(0, 1), expand=True)
    for venue in venues:
        cells = (Text("\n").join(_source(s) for s in sources if _venue(s) == venue) for sources in markets.values())
        table.add_row(Text(venue), _feed(feeds.get(venue, [])), *cells)
    return table


def _venue(source: Mapping[str, Any]) -> str:
    return str(source.get("source", "?")).partition(":")[0]


def _feed(feeds: Sequence[Mapping[str, Any]]) -> Text:
    """One venue's state: what is wrong with any of its symbols comes first."""
    states = dict.fromkeys(str(feed["state"]) for feed in feeds if feed.get("state") is not None)
    wrong = [state for state in states if state != "connected"]
    counts = (feed.get("reconnects") for feed in feeds)
    again = max((count for count in counts if isinstance(count, int)), default=0)
    words = ", ".join(wrong or states) or NONE
    return Text(f"{words} ↻{again}" if again else words, style=_YELLOW if wrong else _GREEN)


def _source(source: Mapping[str, Any]) -> Text:
    age = f" {source['age_ms']} ms" if source.get("age_ms") is not None else ""
    if source.get("used"):
        return Text(price_text(source.get("price")) + age)
    reason = source.get("reason") or source.get("state") or "unused"
    return Text(f"{price_text(source.get('price'))} {reason}{age}", style=_RED)


def _transactions(status: Status) -> RenderableType:
    table = Table("lane", "outcomes", "pending", box=box.SIMPLE, padding=(0, 1), expand=True)
    pending = _rows(_at(status, "transactions", "pending"))
    counts = _mapping(_at(status, "transactions", "counts"))
    lanes = dict.fromkeys([*counts, *(str(row.get("lane")) for row in pending)])
    for lane in lanes:
        waiting = [row for row in pending if str(row.get("lane")) == lane]
        table.add_row(*map(Text, (lane, _counted(_mapping(counts.get(lane))), _pending(waiting))))
    for wallet in _rows(_at(status, "wallets")):
        table.add_row(*map(Text, ("wallet", _shown(wallet.get("address")), f"nonce {_shown(wallet.get('nonce'))}")))
    return table


def _pending(rows: Sequence[Mapping[str, Any]]) -> str:
    words = [f"{row.get('key')} #{row.get('nonce')} {row.get('age_ms')} ms ×{row.get('attempts')}" for row in rows[:3]]
    more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
    return ", ".join(words) + more or NONE
