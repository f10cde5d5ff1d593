"""How words are spelt in a settings file, and the nearest right spelling of one that is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_LONGEST_REPEATED = 12
"""A longer word is not repeated, corrected or not: it may be a secret that was pasted into the wrong line."""


@dataclass(frozen=True, slots=True)
class Spelling:
    """`words` tell what to write, `nearest` turns a near miss into it."""

    pattern: str
    words: str
    nearest: Callable[[str], str] = lambda word: word

    def told(self, written: object) -> str:
        near = self.nearest(written) if isinstance(written, str) and len(written) <= _LONGEST_REPEATED else ""
        return f"{self.words}; did you mean {near}?" if near and re.search(self.pattern, near) else self.words


def _pair(word: str) -> str:
    capitals = re.sub(r"[/_:]", "-", word.upper())
    return capitals if "-" in capitals else f"{capitals}-USD"


NAME = Spelling(r"^[a-z][a-z0-9_-]{0,39}$", "write a name in small letters and digits, a letter first", str.lower)
PAIR = Spelling(
    r"^[A-Z0-9]{1,20}-[A-Z0-9]{1,20}(\.[A-Z0-9]{1,20})?$",
    "write base and quote in capitals with a hyphen between, e.g. BTC-USD",
    _pair,
)
CURRENCY = Spelling(r"^[A-Z0-9]{1,20}$", "write a currency in capitals and digits", str.upper)
SYMBOL = Spelling(
    r"^[\x21-\x7e]{1,66}$", "write the venue's own spelling, 1 to 66 characters without blanks", str.strip
)
ADDRESS = Spelling(r"^0x[0-9a-fA-F]{40}$", "write an address: 0x and 40 hexadecimal digits, in quotes")
SPELLINGS: Mapping[str, Spelling] = {each.pattern: each for each in (NAME, PAIR, CURRENCY, SYMBOL, ADDRESS)}
