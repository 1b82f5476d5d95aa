"""Structured logs on standard error: one JSON object a line, or text for a terminal.

What is logged may hold strings that a viewer or an origin has chosen; whatever they are, an event stays one line, and
no escape sequence reaches a terminal. Tracebacks show the code alone: its variables hold signatures and passwords.
"""

import logging
import sys
from typing import Final, TextIO

import structlog

__all__ = ["LEVELS", "configure_logs"]

LEVELS: Final = ("debug", "info", "warning", "error")


def configure_logs(*, form: str, level: str) -> None:
    """Send every log event to standard error.

    Args:
        form: "text" or "json".
        level: one of `LEVELS`; what lies below is not logged.
    """
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *(_json() if form == "json" else _text(colours=sys.stderr.isatty())),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=lambda *_: _LineLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )


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
    """Writes lines, and goes on where that fails: the streams are worth more than their log.

    Whoever read it may have gone (EPIPE), or the disk be full; the next line may arrive again.
    """

    def __init__(self, file: TextIO) -> None:
        self._file: Final = file

    def info(self, line: str) -> None:
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except OSError:
            pass

    debug = warning = error = critical = info
