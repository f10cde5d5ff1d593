"""What may be asked of `keeper explain` and `keeper verify`: anything else is refused with a sentence, never a traceback."""

from __future__ import annotations

import pytest

from keeper.app.admin import Refused
from keeper.app.provenance.batches import Asked, asked, instant
from keeper.domain.time import SECOND

AT = 1_769_860_800 * SECOND
HALF = "\udcff"
"""How Python hands over a byte of the command line that is no UTF-8."""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("0xABCDEF01", Asked(tx="0xabcdef01")),
        ("0x" + "a" * 64, Asked(tx="0x" + "a" * 64)),
        (" 0xabcdef0123… ", Asked(tx="0xabcdef0123")),
        ("1769860800123", Asked(round_id=1769860800123)),
        ("BTC-USD@2026-01-31T12:00:00", Asked(market="BTC-USD", at=AT)),
        ("BTC-USD@2026-01-31T13:00:00+01:00", Asked(market="BTC-USD", at=AT)),
        ("BTC-USD@1769860800", Asked(market="BTC-USD", at=AT)),
        ("BTC-USD@1769860800000", Asked(market="BTC-USD", at=AT)),
    ],
)
def test_asked__as_documented__is_understood(words: str, expected: Asked) -> None:
    assert asked(words) == expected


NO_TIMES = [
    "",
    "soon",
    "-1",
    f"{AT}",
    "9" * 13,
    "9" * 20,
    "9" * 5_000,
    "0001-01-01",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    HALF,
]


@pytest.mark.parametrize("text", NO_TIMES, ids=lambda text: text[:26].encode(errors="replace").decode())
def test_instant__of_anything_else__is_refused(text: str) -> None:
    with pytest.raises(Refused, match="write a time"):
        instant(text)
    with pytest.raises(Refused, match="write a time"):
        asked(f"BTC-USD@{text}")


@pytest.mark.parametrize(
    "words",
    [
        "",
        "BTC-USD",
        "@2026-01-31T12:00:00",
        "0x",
        "0xabc",
        "0x" + "a" * 65,
        "0xnothexadecimal",
        "0x" + HALF * 9,
        "-5",
        "9" * 26,
        "9" * 5_000,
    ],
    ids=lambda words: words[:26].encode(errors="replace").decode(),
)
def test_asked__for_anything_else__is_refused(words: str) -> None:
    with pytest.raises(Refused, match="write a transaction's hash") as raised:
        asked(words)
    assert len(str(raised.value)) < 300
