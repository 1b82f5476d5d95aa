"""The targets, by name. Each is imported only when it is asked for, so that atheris instruments what it needs.

A target has `check(data)`, which returns nothing whatever the bytes, or raises because an invariant is broken: its own
AssertionError, or what a decoder should not have raised. MAX_BYTES is the longest input that is worth its time. CODE is
what it is there for, files from the root of the project: how many of their lines its inputs reach is counted.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, cast

__all__ = ["CORPUS", "CORPUS_BYTES", "NAMES", "Target", "load", "seeds"]

NAMES: Final = (
    "http_request_head",
    "http_response",
    "query_routing",
    "websocket_input",
    "proxy_header",
    "amf0",
    "amf3",
    "flv_decoder",
    "media_headers",
    "chunk_reader",
    "handshake",
    "server_session",
    "client_session",
    "hub",
)
CORPUS: Final = Path(__file__).parents[1] / "corpus"
CORPUS_BYTES: Final = 16 * 1024
"""Of one target at most: seeds are to be read, and two handshakes take six of these."""


class Target(Protocol):
    """What a target's module has."""

    CODE: tuple[str, ...]
    MAX_BYTES: int
    check: Callable[[bytes], None]


def load(name: str) -> Target:
    """The target called `name`, one of NAMES."""
    return cast(Target, importlib.import_module(f"fuzz.targets.{name}"))


def seeds(name: str) -> list[Path]:
    """The files of a target's corpus: small inputs to start from, and what once was a crash."""
    return sorted(path for path in CORPUS.joinpath(name).iterdir() if path.is_file())
