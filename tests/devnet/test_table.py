"""The live table, as text: whatever a keeper says or leaves out, there is a table and no traceback."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from keeper.devnet.table import price_text, rate_text, render

FULL: dict[str, Any] = {
    "version": "1.2.3",
    "mode": "live",
    "now_ms": 1_800_000_000_000,
    "block": {"number": 42, "timestamp_s": 1_800_000_000},
    "markets": {
        "BTC-USD": {
            "index": "60000.12",
            "mark": "60001.5",
            "withheld": None,
            "sources": [
                {"source": "okx:BTC-USDT", "price": "60000.1", "age_ms": 12, "used": True, "reason": "", "state": "connected"},
                {"source": "kraken:BTC/USD", "price": None, "age_ms": 9000, "used": False, "reason": "stale", "state": "stalled"},
            ],
            "onchain": {"index": "60000", "mark": "59990", "age_s": 3.2, "round_id": 7, "deviation_bps": 2},
            "decision": {"kind": "hold", "reason": "quiet"},
            "condition": {"state": "DEGRADED", "causes": ["few_sources"], "for_s": 3, "divergence_bps": 2},
            "guard": {"state": "pass", "reason": ""},
            "gate": {"open": False, "reason": "moved", "closed_ms": 1200},
            "funding": {"in_s": 13, "predicted_rate": "0.0000123", "last_rate": "-0.0000004"},
            "accounts": 17,
            "at_risk": 3,
            "liquidatable": 1,
            "pushes": {"deviation": 5, "first": 1},
        },
        "ETH-USD": {"withheld": {"reason": "sources", "detail": "2 of 3 sources"}},
    },
    "indices": {
        "USDT-USD": {
            "price": "0.9998",
            "withheld": None,
            "sources": [{"source": "kraken:USDT/USD", "price": "0.9998", "age_ms": 5, "used": True, "reason": "", "state": "x"}],
        }
    },
    "transactions": {
        "pending": [{"lane": "price", "key": "7", "nonce": 9, "age_ms": 300, "attempts": 2, "hash": "0xabc"}],
        "counts": {"price": {"confirmed": 6}, "funding": {"confirmed": 2}},
    },
    "wallets": [{"address": "0x1234", "nonce": 10, "balance_wei": "5"}],
    "feeds": [
        {"venue": "okx", "symbol": "BTC-USDT", "state": "connected", "reconnects": 2},
        {"venue": "kraken", "symbol": "BTC/USD", "state": "disconnected", "reconnects": 0},
    ],
}  # fmt: skip
SNAPSHOT = """
╭────────────────────────────────────────────────────────────────────────────────────────────────────────────╮
│ keeper 1.2.3  mode live  block 42  trades 5                                                                │
╰────────────────────────────────────────────────────────────────────────────────────────────────────────────╯

                 BTC-USD                                                ETH-USD                  USDT-USD
 ────────────────────────────────────────────────────────────────────────────────────────────────────────────
  index          60,000.12                                              withheld: sources        0.9998000
  mark           60,001.50                                              ·                        ·
  on chain       59,990.00  3.2 s old, off by 2 bps                     ·                        ·
  decision       hold quiet                                             ·                        ·
  condition      DEGRADED: few_sources                                  ·                        ·
  guard          pass                                                   ·                        ·
  gate           shut: moved                                            ·                        ·
  funding        in 13 s at +0.001230 %, last -0.000040 %               ·                        ·
  accounts       17, 3 at risk, 1 liquidatable                          ·                        ·
  pushes         deviation 5 first 1                                    ·                        ·


  venue         feed                    BTC-USD                      ETH-USD         USDT-USD
 ────────────────────────────────────────────────────────────────────────────────────────────────────────────
  kraken        disconnected            · stale 9000 ms                              0.9998000 5 ms
  okx           connected ↻2            60,000.10 12 ms


  lane                       outcomes                             pending
 ────────────────────────────────────────────────────────────────────────────────────────────────────────────
  price                      confirmed 6                          7 #9 300 ms ×2
  funding                    confirmed 2                          ·
  wallet                     0x1234                               nonce 10
"""


def shown(status: Any, width: int = 110, **world: object) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    with console.capture() as capture:
        console.print(render(status, (), world))
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def test_table__full_status__is_this_text() -> None:
    assert shown(FULL, trades=5).strip() == SNAPSHOT.strip()


def test_table__a_market_that_closes__shows_phase_and_next_change() -> None:
    session = {"calendar": "XNYS", "phase": "closed", "until_s": 1_800_022_200}
    markets = {**FULL["markets"], "BTC-USD": {**FULL["markets"]["BTC-USD"], "session": session}}
    assert "XNYS closed until Fri 14:10 UTC" in shown({**FULL, "markets": markets})
    session["until_s"] = 10**30
    assert "XNYS closed" in shown({**FULL, "markets": markets})


def test_table__nothing_heard_yet__says_so() -> None:
    assert "waiting for the keeper's first words" in shown({})


@pytest.mark.parametrize("key", sorted(FULL))
def test_table__one_part_missing_or_null__shows_the_rest(key: str) -> None:
    without = {name: part for name, part in FULL.items() if name != key}
    for status in (without, {**without, key: None}):
        text = shown(status)
        assert ("60,001.50" in text) == (key != "markets")


_DAMAGE = (
    None,
    "",
    "x",
    0,
    -1.5,
    True,
    [],
    {},
    [None],
    float("nan"),
    "[/x]",
    "1e9999999",
    "9e-9999999",
    "9e999999",
    "sNaN",
)


@pytest.mark.parametrize("words", ["[/x] [red]", "[link=x]", "a\x1b[2J\x9b1mb"])
def test_table__words_of_others__stand_there_as_words(words: str) -> None:
    """Found: words in brackets were taken for styles, which ended the demo when they fitted none."""
    status = {
        "markets": {
            "BTC-USD": {"decision": {"kind": words, "reason": words}, "pushes": {words: 1}, "session": {"phase": words}}
        },
        "indices": {"BTC-USD": {}, words: {"sources": [{"source": f"{words}:B"}]}},
        "feeds": [{"venue": "v", "state": words}],
        "transactions": {
            "counts": {words: {words: 1}},
            "pending": [{"lane": words, "key": words, "nonce": words, "age_ms": 1, "attempts": 1}],
        },
        "wallets": [{"address": words, "nonce": words}],
    }
    told = shown(status, 600)
    assert not {char for char in told if not char.isprintable()} - {"\n"}
    assert told.count(words.replace("\x1b", "\\u001b").replace("\x9b", "\\u009b")) == 14


def test_price__and_rate_of_a_size_that_none_has__are_blank() -> None:
    for text in ("1e999999", "9e999999", "1e61", "-1e61", "sNaN", "Infinity", "1e-999999"):
        assert len(price_text(text)) < 30
        assert len(rate_text(text)) < 30


def _replaced(tree: Any, value: Any) -> Iterator[Any]:
    """The tree, each time with another of its branches replaced by `value`."""
    yield value
    parts = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, part in parts:
        for other in _replaced(part, value):
            copy: Any = dict(tree) if isinstance(tree, dict) else list(tree)
            copy[key] = other
            yield copy


@pytest.mark.parametrize("value", _DAMAGE, ids=repr)
def test_table__each_branch_of_another_kind__never_raises(value: Any) -> None:
    damaged = [tree for tree in _replaced(FULL, value) if isinstance(tree, dict)]
    assert len(damaged) > 80
    for status in damaged:
        shown(status)


def _pruned(draw: st.DrawFn, tree: Any) -> Any:
    """The tree with some of its branches gone, nulled, or of another kind."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(_DAMAGE))
    if isinstance(tree, dict):
        return {key: _pruned(draw, part) for key, part in tree.items() if draw(st.integers(0, 9))}
    return [_pruned(draw, part) for part in tree] if isinstance(tree, list) else tree


@given(st.composite(lambda draw: _pruned(draw, FULL))())
def test_table__any_damage_to_the_status__never_raises(status: Any) -> None:
    shown(status if isinstance(status, dict) else {})


@pytest.mark.parametrize(
    ("value", "text"),
    [("60000.123456", "60,000.12"), ("0.99987654321", "0.9998765"), ("0", "0.00"), (None, "·"), ("NaN", "·"), ("1e-9", "0.00000000")],
)  # fmt: skip
def test_price__any_size__has_seven_digits_at_most(value: Any, text: str) -> None:
    assert price_text(value) == text


def test_rate__fraction__is_a_percentage() -> None:
    assert (rate_text("0.0001"), rate_text("-0.000000069"), rate_text("?")) == ("+0.010000 %", "-0.000007 %", "·")
