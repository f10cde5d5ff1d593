"""A tape through the same services, on a loop where an hour takes no time."""

from keeper.app.replay.play import Replayed, replay

__all__ = ["Replayed", "replay"]
