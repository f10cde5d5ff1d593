"""A log and a meter that keep nothing."""

from __future__ import annotations

from typing import Any


class Quiet:
    def __getattr__(self, _name: str) -> Any:
        return lambda *_words, **_keys: None
