"""An event with keys, not a sentence: `log.info("report.published", market=…, trigger=…)`. An error carries `advice`."""

from __future__ import annotations

from typing import Any, Protocol


class EventLog(Protocol):
    def debug(self, event: str, **keys: Any) -> Any: ...

    def info(self, event: str, **keys: Any) -> Any: ...

    def warning(self, event: str, **keys: Any) -> Any: ...

    def error(self, event: str, **keys: Any) -> Any: ...

    def critical(self, event: str, **keys: Any) -> Any: ...
