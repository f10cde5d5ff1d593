"""Publishers of reference rates: what an index is held against, and where chosen its last resort."""

from __future__ import annotations

from collections.abc import Mapping

from keeper.adapters.references.ecb import Ecb
from keeper.adapters.references.reference import Reference

REFERENCES: Mapping[str, type[Reference]] = {"ecb": Ecb}

__all__ = ["REFERENCES", "Reference"]
