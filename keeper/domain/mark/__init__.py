"""Mark methods by the name that an operator writes. A new one is a file, a line here and its vectors in the tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keeper.domain.mark.ema_basis import EmaBasis
from keeper.domain.mark.funding_fair import FundingFair
from keeper.domain.mark.index_only import IndexOnly
from keeper.domain.mark.median_of_three import MedianOfThree
from keeper.domain.mark.method import MarkMethod

MARK_METHODS: Mapping[str, type[MarkMethod[Any]]] = {
    IndexOnly.name: IndexOnly,
    FundingFair.name: FundingFair,
    EmaBasis.name: EmaBasis,
    MedianOfThree.name: MedianOfThree,
}
