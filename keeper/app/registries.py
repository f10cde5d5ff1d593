"""Everything that this build knows by a name an operator may write."""

from __future__ import annotations

from keeper.adapters.calendars import examine_calendar
from keeper.adapters.onchain import ONCHAIN_SOURCES
from keeper.adapters.protocols import PROTOCOLS
from keeper.adapters.references import REFERENCES
from keeper.adapters.signers import SIGNERS
from keeper.adapters.sources import BOOK_VENUES, STREAM_VENUES
from keeper.settings.options import Registries

REGISTRIES = Registries(
    venues=STREAM_VENUES,
    books=BOOK_VENUES,
    onchain=ONCHAIN_SOURCES,
    polled=REFERENCES,
    calendar=examine_calendar,
    protocols=PROTOCOLS,
    signers=SIGNERS,
)
