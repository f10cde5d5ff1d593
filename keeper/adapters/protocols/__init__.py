"""Perp protocols, described. A kind is a frozen dataclass whose fields are the operator's options."""

from __future__ import annotations

from collections.abc import Mapping

from keeper.adapters.protocols.reference import ReferencePerp

PROTOCOLS: Mapping[str, type[ReferencePerp]] = {
    "reference": ReferencePerp,
}
