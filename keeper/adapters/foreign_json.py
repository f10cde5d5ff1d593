"""JSON from strangers. Nesting is bounded, because a deep enough document overflows the C stack and kills the process."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

_SAFE_DEPTH = 1000
"""CPython's own default. py_ecc, which eth-account imports, raises the limit to 100,000, and before Python 3.14 that limit
is all that stops a decoder written in C: https://github.com/msgspec/msgspec/issues/1033
"""


def decode(document: bytes | str) -> Any:
    """Raises ValueError on anything that is not JSON or too deep."""
    limit = sys.getrecursionlimit()
    try:
        if limit > _SAFE_DEPTH:
            sys.setrecursionlimit(_SAFE_DEPTH)
        return msgspec.json.decode(document)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    finally:
        if limit > _SAFE_DEPTH:
            sys.setrecursionlimit(limit)
