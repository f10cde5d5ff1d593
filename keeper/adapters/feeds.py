"""A venue's feed, by the transport that it speaks."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from keeper.adapters.sse import EventStreamFeed
from keeper.adapters.tuning import FeedTuning
from keeper.adapters.websocket import SessionFactory, WebsocketFeed, open_session
from keeper.ports.clock import Clock
from keeper.ports.venue import EventStreamVenue, StreamVenue


def feed_of(
    venue: StreamVenue[Any],
    symbols: Sequence[str],
    clock: Clock,
    rng: random.Random,
    sessions: SessionFactory = open_session,
    tuning: FeedTuning | None = None,
) -> WebsocketFeed:
    kind = EventStreamFeed if isinstance(venue, EventStreamVenue) else WebsocketFeed
    return kind(venue, symbols, clock, rng, sessions, FeedTuning() if tuning is None else tuning)
