"""Structured logs on standard error: one JSON object a line, or text for a terminal."""

import logging
import sys
from typing import Final

import structlog

__all__ = ["LEVELS", "configure_logs"]

LEVELS: Final = ("debug", "info", "warning", "error")


def configure_logs(*, form: str, level: str) -> None:
    """Send every log event to standard error.

    Args:
        form: "text" or "json".
        level: one of `LEVELS`; what lies below is not logged.
    """
    renderer: structlog.typing.Processor
    if form == "json":
        renderer = structlog.processors.JSONRenderer(sort_keys=False)
        tracebacks: structlog.typing.Processor = structlog.processors.dict_tracebacks
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=16)
        tracebacks = structlog.dev.set_exc_info
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            tracebacks,
            _event_first,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )


def _event_first(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A reader of JSON lines looks for the event's name; it stands first."""
    return {"event": event.pop("event", ""), **event}
