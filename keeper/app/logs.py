"""structlog: JSON for machines, a console for people. No locals in tracebacks: they hold keys."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any, TextIO

import structlog
from structlog.typing import Processor

from keeper.app.scrub import scrubbed, text
from keeper.domain.time import MICROSECOND, SECOND
from keeper.ports.clock import Clock
from keeper.ports.log import EventLog
from keeper.settings.models import LogSettings

Entry = MutableMapping[str, Any]
MAX_FRAMES = 20


def configure(settings: LogSettings, clock: Clock, stream: TextIO | None = None) -> EventLog:
    """Sets up logging for the whole process and returns its log. Times come from `clock`, so that a replay's are its own."""
    out = sys.stderr if stream is None else stream
    console = settings.format == "console" or (settings.format == "auto" and out.isatty())
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    structlog.configure(
        processors=[*_processors(clock), _console(out) if console else _json()],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=True,
    )
    log: EventLog = structlog.get_logger()
    _adopt_libraries(log)
    return log


def bind(**keys: str) -> None:
    """Adds keys to everything that the current task logs: `service`, `market`, `chain`."""
    structlog.contextvars.bind_contextvars(**keys)


def _processors(clock: Clock) -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _Stamp(clock),
        _exception,
        _scrub,
    ]


class _Stamp:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __call__(self, _logger: Any, _method: str, entry: Entry) -> Entry:
        seconds, nanos = divmod(self._clock.now(), SECOND)
        at = datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanos // MICROSECOND)
        first = {"at": at.isoformat(timespec="microseconds").replace("+00:00", "Z"), "level": entry.pop("level", "")}
        return {**first, "event": entry.pop("event", ""), **entry}


def _exception(_logger: Any, _method: str, entry: Entry) -> Entry:
    found = entry.pop("exc_info", None)
    error = sys.exc_info()[1] if found is True else found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        entry["traceback"] = traceback_of(error)
    return entry


def traceback_of(error: BaseException) -> list[str]:
    """The traceback as single lines without values of variables, innermost frames kept."""
    found = traceback.TracebackException.from_exception(error, limit=-MAX_FRAMES, capture_locals=False, compact=True)
    return [line for chunk in found.format() for line in chunk.rstrip("\n").split("\n")]


def _scrub(_logger: Any, _method: str, entry: Entry) -> Entry:
    clean: Entry = scrubbed(entry)
    return clean


def _json() -> Processor:
    return structlog.processors.JSONRenderer(ensure_ascii=True)


def _console(out: TextIO) -> Processor:
    renderer = structlog.dev.ConsoleRenderer(colors=out.isatty(), timestamp_key="at", pad_event_to=0, sort_keys=False)

    def render(logger: Any, method: str, entry: Entry) -> str:
        lines = entry.pop("traceback", [])
        # The bar keeps a line that an exception's text forged from looking like an entry of ours.
        return "\n".join([str(renderer(logger, method, entry)), *(f"  | {line}" for line in lines)])

    return render


class _Adopted(logging.Handler):
    """What libraries log through the standard library, from warning on, as events of ours."""

    def __init__(self, log: EventLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        keys: dict[str, Any] = {"logger": record.name, "error": text(record.getMessage())}
        if record.exc_info:
            keys["exc_info"] = record.exc_info
        if record.levelno >= logging.ERROR:
            self._log.error("library.failed", advice="a library reported this; see docs/operations.md", **keys)
        else:
            self._log.warning("library.warned", **keys)


def _adopt_libraries(log: EventLog) -> None:
    root = logging.getLogger()
    root.handlers = [_Adopted(log)]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    # aiohttp's access log would repeat every scrape.
    logging.getLogger("aiohttp.access").propagate = False
