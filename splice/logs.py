"""Structured logs on standard error: one JSON object a line, or text for a terminal.

What is logged may hold strings that a viewer or an origin has chosen; whatever they are, an event stays one line, and
no escape sequence reaches a terminal. Tracebacks show the code alone: its variables hold signatures and passwords.

The admin side reads along: it counts by the events, and passes them on. It gets those of level info and above, whatever
the level of the log itself.
"""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import structlog

from splice.log_lines import LogLines

__all__ = ["LEVELS", "EventListener", "configure_logs", "listening"]

LEVELS: Final = ("debug", "info", "warning", "error")

EventListener = Callable[[Mapping[str, Any]], None]

_listeners: Final[list[EventListener]] = []

_log = structlog.get_logger()


def configure_logs(*, form: str, level: str) -> None:
    """Send every log event to standard error.

    Args:
        form: "text" or "json".
        level: one of `LEVELS`; what lies below is not logged.
    """
    lowest = getattr(logging, level.upper())
    logger = _LineLogger(LogLines(sys.stderr))
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _tell_listeners,
            _OnlyFrom(lowest),
            *(_json() if form == "json" else _text(colours=sys.stderr.isatty())),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(min(lowest, logging.INFO)),
        logger_factory=lambda *_: logger,
        cache_logger_on_first_use=False,
    )


@contextmanager
def listening(listener: EventListener) -> Iterator[None]:
    """Call `listener` with every event while the block runs, in the thread that logs it.

    It gets the event's fields, `event`, `level` and `timestamp` among them, and changes none. It must not raise.
    """
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def _tell_listeners(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    for listener in _listeners:
        listener(event)
    return event


class _OnlyFrom:
    """Drops what lies below the log's level, behind those who want to know it all the same."""

    def __init__(self, lowest: int) -> None:
        self._lowest: Final = lowest

    def __call__(self, _logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        if getattr(logging, event["level"].upper()) < self._lowest:
            raise structlog.DropEvent
        return event


def _json() -> list[structlog.typing.Processor]:
    tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    return [
        structlog.processors.ExceptionRenderer(tracebacks),
        _event_first,
        structlog.processors.JSONRenderer(sort_keys=False),
    ]


def _text(*, colours: bool) -> list[structlog.typing.Processor]:
    return [
        structlog.processors.format_exc_info,
        _printable,
        structlog.dev.ConsoleRenderer(
            colors=colours, pad_event_to=16, exception_formatter=structlog.dev.plain_traceback
        ),
    ]


def _event_first(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A reader of JSON lines looks for the event's name; it stands first."""
    return {"event": event.pop("event", ""), **event}


def _printable(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Strings as they are but for what would break the line or steer the terminal; a traceback keeps its lines."""
    for key, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            kept = "\n" if key == "exception" else ""
            event[key] = "".join(c if c.isprintable() or c in kept else ascii(c)[1:-1] for c in value)
    return event


class _LineLogger:
    """What structlog hands a finished line to."""

    def __init__(self, lines: LogLines) -> None:
        self._lines: Final = lines

    def info(self, line: str) -> None:
        dropped = self._lines.write(line + "\n")
        if dropped:
            _log.warning(
                "log.dropped", lines=dropped, advice="whoever reads the log was slow, or had stopped: see to it"
            )

    debug = warning = error = critical = info
